"""Trains the autoencoders of both retrieval papers: an image is made again from a few numbers, which then describe it.

Sources: content-based histopathology retrieval with color normalization (200 features, "cbhir"), and content-based
medical image retrieval (48 features, "cbmir").
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, final

from histokin.errors import UnknownName, UsageError
from histokin.training.course import train
from histokin.training.images import ImageSet
from histokin.training.length import Length
from histokin.training.report import Trained, Watch, require_torch

Kind = Literal["cbhir", "cbmir"]
ENCODER, AUTOENCODER, UNTRAINED = "encoder.onnx", "autoencoder.onnx", "untrained"

PUBLISHED_STEPS: Mapping[str, int] = {"cbhir": 15_000, "cbmir": 62_500}
"""48,000 images in batches of 32 for 10 epochs; 40,000 images in batches of 32 (the size is ours) for 50 epochs."""


@final
@dataclass(frozen=True)
class AutoencoderProfile:
    """How an autoencoder is trained, with Adam on the mean squared error of pixels in 0 to 1.

    Parameters
    ----------
    side : images are resized to so many pixels.
    rate, decay : the learning rate of step t is ``rate / (1 + decay t)``.
    patience : stop after so many validations (one an epoch) without a better one; None: train all epochs.
    augment : small rotations, shifts and zooms of the input, which is also what is to be made again.
    minutes : take as many steps as fit into this, rather than all ``epochs``.
    most : use at most so many images.
    """

    name: str
    side: int
    rate: float
    epochs: int
    batch: int = 32
    decay: float = 0.0
    patience: int | None = None
    augment: bool = False
    minutes: float | None = None
    most: int | None = None


PROFILES: Mapping[str, Mapping[str, AutoencoderProfile]] = {
    "cbhir": {
        "paper": AutoencoderProfile("paper", 224, 1e-6, 10),
        "practical": AutoencoderProfile("practical", 224, 5e-4, 100, patience=5, augment=True),
        "reduced": AutoencoderProfile("reduced", 112, 5e-4, 60, batch=16, minutes=5.0, most=4000),
    },
    "cbmir": {
        "paper": AutoencoderProfile("paper", 128, 1e-3, 50, decay=2e-5, patience=5),
        "practical": AutoencoderProfile("practical", 128, 1e-3, 100, decay=2e-5, patience=10, augment=True),
        "reduced": AutoencoderProfile("reduced", 64, 1e-3, 50, decay=2e-5, minutes=4.0, most=4000),
    },
}


def autoencoder_profile(kind: str, name: str, side: int | None = None, most: int | None = None) -> AutoencoderProfile:
    """The profile of an autoencoder, with another image size and number of images where given.

    Raises
    ------
    UnknownName, UsageError
        for a name nobody gave, or a side that the network cannot halve.
    """
    if kind not in PROFILES:
        raise UnknownName(f"no autoencoder '{kind}'", remedy=f"Choose one of: {', '.join(PROFILES)}")
    if name not in PROFILES[kind]:
        raise UnknownName(f"no profile '{name}'", remedy=f"Choose one of: {', '.join(PROFILES[kind])}")
    if side is not None and (side < 16 or side % 8):
        raise UsageError(f"a side of {side} pixels", remedy="Give a multiple of 8 from 16")
    profile = PROFILES[kind][name]
    return replace(profile, side=side or profile.side, most=most or profile.most)


def train_autoencoder(
    kind: str,
    images: ImageSet,
    out: Path,
    *,
    profile: str | AutoencoderProfile = "reduced",
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    start: Path | None = None,
    legacy_double_scaling: bool = False,
    watch: Watch | None = None,
) -> Trained:
    """Train, or go on with the training that ``out`` holds, and write the encoder with its report.

    Writes ``encoder.onnx`` with ``encoder.json`` (the folder is an encoder), ``autoencoder.onnx`` (float32 "image"
    "n 3 side side" in 0 to 1, and "reconstruction"), the same files of the network before training in
    ``untrained/``, ``report.json``, ``curves.png``, ``samples.png`` and ``checkpoint.pt``.

    Parameters
    ----------
    kind : ``cbhir`` (200 features) or ``cbmir`` (48).
    images : 80 of 100 are learned from, 10 choose the best step, 10 give the figures (or as the table of images says).
    minutes : stop after so many minutes of this session (default: as the profile says); run again to go on.
    steps : so many steps in place of what the profile says.
    device : such as "cpu" or "cuda"; None for a GPU where there is one.
    start : a ``checkpoint.pt`` of another training of this kind and size, to begin with.
    legacy_double_scaling : divide pixels by 255 twice while training, as related public code does; the encoder then
        meets other values in use than it has seen.

    Raises
    ------
    UnknownName, UsageError
        for a kind or profile nobody gave; without PyTorch, or when ``out`` holds another training.
    KeyboardInterrupt
        after Ctrl-C, once the checkpoint is written.
    """
    require_torch()
    chosen = autoencoder_profile(kind, profile) if isinstance(profile, str) else profile
    autoencoder_profile(kind, "paper")
    from histokin.training.autoencoder_run import AutoencoderTraining

    used = images if chosen.most is None else images.thinned(chosen.most)
    training = AutoencoderTraining(kind, used, chosen, seed, device, start, legacy_double_scaling)
    configuration = {
        "trainer": kind,
        "profile": asdict(chosen),
        "steps": steps,
        "seed": seed,
        "images": used.digest,
        "start": training.start_digest,
        "legacy_double_scaling": legacy_double_scaling,
    }
    about = {
        "kind": kind,
        "profile": chosen.name,
        "style": used.name,
        "failed": [e.to_dict() for e in used.failed],
    }
    return train(
        training,
        out,
        configuration,
        Length(steps, training.epochs_steps, PUBLISHED_STEPS[kind], chosen.minutes, minutes),
        about,
        published=PUBLISHED_STEPS[kind],
        products=(ENCODER, f"{UNTRAINED}/{ENCODER}"),
        seed=seed,
        watch=watch,
    )
