"""Trains a classifier of tissue classes whose maps explain it: ResNet50, DenseNet121, InceptionV3, or a small one."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from histokin.nets.classifier_file import WEIGHTS
from histokin.stain.base import Appearance
from histokin.training.class_labels import class_list
from histokin.training.classifier_profiles import ClassifierProfile, classifier_profile
from histokin.training.images import ImageSet
from histokin.training.report import Trained, Watch, require_torch, write_report

UNTRAINED = "untrained"


def train_classifier(
    images: ImageSet,
    labels: Mapping[str, str],
    out: Path,
    *,
    network: str = "small",
    profile: str | ClassifierProfile = "reduced",
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    start: str | Path | None = None,
    normalizer: Appearance | None = None,
    mpp: float | None = None,
    mixed_precision: bool | None = None,
    watch: Watch | None = None,
) -> Trained:
    """Train, or go on with the training that ``out`` holds, and write the classifier with its report.

    Writes ``classifier.onnx`` and ``classifier.json`` (:class:`~histokin.nets.classifier_file.ClassifierFile`),
    ``untrained/`` with the same before training, ``report.json``, four figures and ``checkpoint.pt``. Groups are never
    divided: see :func:`~histokin.training.class_split.split_classes`.

    Parameters
    ----------
    labels : the class of every image, by its name in ``images``.
    network : ``small``, ``resnet50``, ``densenet121`` or ``inception_v3``.
    minutes : stop this sitting after so long; profiles sized by time take as many steps as fit.
    start : a file of weights (torchvision's; an ONNX encoder for ``small``), ``shipped`` (the package's, ``small``
        only) or ``random``; None for what the profile says.
    normalizer : fitted to every group; written into ``classifier.json``, as what is classified must be mapped alike.
    mpp : microns per pixel of the images as they are.
    mixed_precision : compute in bfloat16 where that is safe; None: on a GPU.

    Raises
    ------
    UsageError
        without PyTorch, when an image has no class, a class has too few groups, the images are too small, or ``out``
        holds another training.
    EncoderError
        when the start does not fit the network.
    KeyboardInterrupt
        after Ctrl-C, once the checkpoint is written.
    """
    require_torch()
    chosen = classifier_profile(network, profile) if isinstance(profile, str) else profile
    classes = class_list(images, labels)
    from histokin.training.classifier_run import ClassifierTraining

    given = (images, labels, classes, chosen, seed, device, start, normalizer, mixed_precision)
    training = ClassifierTraining(network, *given)
    configuration = {
        "trainer": "classifier",
        "network": network,
        "profile": asdict(chosen),
        "steps": steps,
        "seed": seed,
        "classes": _digest([labels[name] for name in images.names]),
        "normalizer": None if normalizer is None else normalizer.space,
        "images": images.digest,
        "groups": _digest([*images.groups, *images.splits]),
        **training.identity,
    }
    task, outcome = training.sit(out, configuration, steps, minutes, watch)
    report = {
        **_about(images, network, chosen, classes, normalizer),
        **training.finish(task, outcome, out, mpp),
        "configuration": configuration,
    }
    write_report(out, report)
    return Trained(out, out / WEIGHTS, report)


def _about(
    images: ImageSet, network: str, profile: ClassifierProfile, classes: list[str], normalizer: Appearance | None
) -> dict[str, Any]:
    """What the report says of the request."""
    return {
        "kind": "classifier",
        "network": network,
        "profile": profile.name,
        "style": images.name,
        "failed": [e.to_dict() for e in images.failed],
        "class_names": classes,
        "normalizer": None if normalizer is None else normalizer.describe(),
    }


def _digest(texts: list[str]) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()
