"""Trains the VGG19 comparator of the histopathology retrieval paper: a supervised classifier of the same images."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from histokin.training.class_labels import class_list
from histokin.training.course import train
from histokin.training.images import ImageSet
from histokin.training.length import Length
from histokin.training.report import Trained, Watch, require_torch

CLASSIFIER, UNTRAINED = "classifier.onnx", "untrained.onnx"


@final
@dataclass(frozen=True)
class Vgg19Profile:
    """How it is trained, with Adam on the cross-entropy of the classes; the best step by the validation images.

    Parameters
    ----------
    side : images are resized to so many pixels.
    head : ``paper``: two layers of 4096 before the classes; ``pooled``: the mean of the last map, then the classes.
    minutes : take as many steps as fit into this, rather than all ``epochs``.
    """

    name: str
    side: int
    head: str
    rate: float
    epochs: int
    batch: int = 32
    minutes: float | None = None


PROFILES: Mapping[str, Vgg19Profile] = {
    "paper": Vgg19Profile("paper", 224, "paper", 1e-4, 30),
    "practical": Vgg19Profile("practical", 224, "pooled", 1e-4, 30),
    "reduced": Vgg19Profile("reduced", 48, "pooled", 1e-4, 30, batch=16, minutes=3.0),
}
"""The paper copies its figures from another one and states no recipe: rate, batch and epochs are ours."""


def train_vgg19(
    images: ImageSet,
    labels: Mapping[str, str],
    out: Path,
    *,
    profile: Vgg19Profile | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    start: Path | None = None,
    watch: Watch | None = None,
) -> Trained:
    """Train, or go on with the training that ``out`` holds, and write the classifier with its report.

    Writes ``classifier.onnx`` (float32 "image" "n 3 side side" in 0 to 1, to "logits"), ``untrained.onnx``,
    ``report.json`` with the order of the classes, and ``checkpoint.pt``.

    Parameters
    ----------
    labels : the class of every image, by its name in ``images``.
    start : a file of torchvision's VGG19 weights (ImageNet); None: random, and the report says so.

    Raises
    ------
    UsageError
        without PyTorch, when an image has no class, there is one class only, or ``out`` holds another training.
    EncoderError
        when the start does not fit.
    KeyboardInterrupt
        after Ctrl-C, once the checkpoint is written.
    """
    require_torch()
    chosen = profile or PROFILES["reduced"]
    classes = class_list(images, labels)
    from histokin.training.vgg19_run import Vgg19Training

    training = Vgg19Training(images, labels, classes, chosen, seed, device, start)
    configuration = {
        "trainer": "vgg19",
        "profile": asdict(chosen),
        "steps": steps,
        "seed": seed,
        "images": images.digest,
        "classes": [labels[name] for name in images.names],
        "start": training.start_digest,
    }
    about = {
        "kind": "vgg19",
        "style": images.name,
        "classes": classes,
        "weights_at_start": "random" if start is None else start.name,
    }
    return train(
        training,
        out,
        configuration,
        Length(steps, training.epochs_steps, training.epochs_steps, chosen.minutes, minutes),
        about,
        published=None,
        products=(CLASSIFIER, UNTRAINED),
        seed=seed,
        watch=watch,
    )
