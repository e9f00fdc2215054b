"""Trains the DCNN comparator: a small convolutional classifier whose last features but one are searched.

The content-based medical image retrieval paper compares itself with a "DCNN" and does not say which; this one has four
convolutions, is trained from scratch on the classes that the search is judged by, and is therefore supervised.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from histokin.errors import UsageError
from histokin.training.class_labels import class_list
from histokin.training.course import train
from histokin.training.images import ImageSet
from histokin.training.length import Length
from histokin.training.report import Trained, Watch, require_torch

ENCODER, UNTRAINED = "encoder.onnx", "untrained"


@final
@dataclass(frozen=True)
class DcnnProfile:
    """How it is trained: Adam on the cross-entropy of the classes, best step by that of the validation images.

    ``side``: images are resized to so many pixels, a multiple of 16. ``minutes``: take as many of the steps of all
    ``epochs`` as fit into this.
    """

    side: int = 64
    rate: float = 1e-3
    epochs: int = 20
    batch: int = 32
    minutes: float = 2.0


def train_dcnn(
    images: ImageSet,
    labels: Mapping[str, str],
    out: Path,
    *,
    profile: DcnnProfile | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    watch: Watch | None = None,
) -> Trained:
    """Train, or go on with the training that ``out`` holds, and write the encoder with its report.

    Writes ``encoder.onnx`` (256 features) with ``encoder.json``, the same of the network before training in
    ``untrained/``, ``report.json`` and ``checkpoint.pt``.

    Parameters
    ----------
    labels : the class of every image, by its name in ``images``.
    minutes : plan as many steps as fit into so many minutes (default: as the profile says), and stop after them.
    steps : so many steps in place of that.

    Raises
    ------
    UsageError
        without PyTorch, when an image has no class, there is one class only, or ``out`` holds another training.
    KeyboardInterrupt
        after Ctrl-C, once the checkpoint is written.
    """
    require_torch()
    chosen = profile or DcnnProfile()
    if chosen.side < 16 or chosen.side % 16:
        raise UsageError(f"a side of {chosen.side} pixels", remedy="Give a multiple of 16")
    classes = class_list(images, labels)
    from histokin.training.dcnn_run import DcnnTraining

    training = DcnnTraining(images, labels, classes, chosen, seed, device)
    configuration = {
        "trainer": "dcnn",
        "profile": asdict(chosen),
        "steps": steps,
        "seed": seed,
        "images": images.digest,
        "classes": [labels[name] for name in images.names],
    }
    return train(
        training,
        out,
        configuration,
        Length(steps, training.epochs_steps, training.epochs_steps, chosen.minutes, minutes),
        {"kind": "dcnn", "style": images.name, "classes": classes},
        published=None,
        products=(ENCODER, f"{UNTRAINED}/{ENCODER}"),
        seed=seed,
        watch=watch,
    )
