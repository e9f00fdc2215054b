"""The networks of the retrieval page that are trained on its own data: the autoencoder and the DCNN, per set."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from histokin.errors import HistokinError, UsageError
from histokin.evaluation.reproduce.cbmir_data import SEED, Modalities
from histokin.evaluation.reproduce.run import Run
from histokin.training.autoencoder import AutoencoderProfile, autoencoder_profile, train_autoencoder
from histokin.training.dcnn import DcnnProfile, train_dcnn
from histokin.training.images import ImageSet
from histokin.training.report import Trained, require_torch
from histokin.types import RGB

SHARE, DCNN_SHARE = 0.4, 0.25
"""Of the minutes given, so much goes to training, that the page with its other networks is made in them; of that, so
much to the DCNN."""

HOUR = 60.0
LONGEST = 20.0
"""Minutes of one training at most."""


@final
@dataclass(frozen=True)
class Training:
    """One trained network: its folder (``untrained/`` inside), and its report."""

    folder: Path
    report: Mapping[str, Any]

    @property
    def steps(self) -> str:
        """Steps done, of how many published where that is known, and the profile."""
        done, published = self.report["steps"]["done"], self.report["steps"]["published"]
        return f"{done} / {published} steps" if published else f"{done} steps"

    def history(self, name: str) -> list[tuple[float, float]]:
        """(step, value) of one figure of the training."""
        return [(row["step"], row[name]) for row in self.report["history"] if name in row]


@final
@dataclass(frozen=True)
class Networks:
    """What was trained on one set. ``absent`` says why nothing was, where nothing was."""

    autoencoder: Training | None = None
    dcnn: Training | None = None
    absent: str = ""


def train_networks(run: Run, sets: Sequence[Modalities]) -> dict[str, Networks]:
    """Train both networks on every set, by the set's name; time goes by the number of images.

    Weights go to ``out/SET/networks``; a training that is there is gone on with, or taken as it is when it is done.
    """
    try:
        require_torch()
    except UsageError as error:
        return {images.name: Networks(absent=error.reason) for images in sets}
    whole = sum(len(images.paths) for images in sets)
    found = {}
    for images in sets:
        minutes = SHARE * run.minutes * len(images.paths) / whole
        folder = run.out / images.slug / "networks"
        pictures = image_set(images)
        try:
            found[images.name] = Networks(
                _autoencoder(run, images, pictures, min(LONGEST, (1 - DCNN_SHARE) * minutes), folder / "cbmir"),
                _dcnn(run, images, pictures, min(LONGEST, DCNN_SHARE * minutes), folder / "dcnn"),
            )
        except HistokinError as error:
            found[images.name] = Networks(absent=str(error))
    return found


def image_set(images: Modalities) -> ImageSet:
    """The set as trainings take it, with its split."""
    names = tuple(map(str, images.paths))
    digests = tuple(hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() for path in images.paths)

    def read(i: int) -> RGB:
        return images.image(i)

    return ImageSet(images.name, names, tuple(map(str, images.groups)), images.splits, digests, read)


def profile_of(run: Run) -> AutoencoderProfile:
    """Tiny where the run is quick; the paper's on a GPU; reduced otherwise, to thumbnails where an hour is not given.

    On two cores a step at 64 pixels takes above a second: in a quarter of an hour for all sets, more steps on smaller
    images make the better autoencoder.
    """
    if run.quick:
        return AutoencoderProfile("quick", 16, 1e-3, 1, decay=2e-5, minutes=1.0)
    import torch

    if torch.cuda.is_available():
        return autoencoder_profile("cbmir", "paper")
    reduced = autoencoder_profile("cbmir", "reduced")
    return reduced if run.minutes >= HOUR else replace(reduced, name="thumbnails", side=32, batch=16)


def _autoencoder(run: Run, images: Modalities, pictures: ImageSet, minutes: float, folder: Path) -> Training:
    done = train_autoencoder(
        "cbmir",
        pictures,
        folder,
        profile=profile_of(run),
        minutes=None if run.quick else minutes,
        steps=4 if run.quick else None,
        seed=SEED,
        watch=run.teller(f"{images.name}: autoencoder"),
    )
    return _training(done)


def _dcnn(run: Run, images: Modalities, pictures: ImageSet, minutes: float, folder: Path) -> Training:
    done = train_dcnn(
        pictures,
        dict(zip(pictures.names, images.labels, strict=True)),
        folder,
        profile=DcnnProfile(side=min(64, profile_of(run).side)),
        minutes=None if run.quick else minutes,
        steps=4 if run.quick else None,
        seed=SEED,
        watch=run.teller(f"{images.name}: DCNN"),
    )
    return _training(done)


def _training(done: Trained) -> Training:
    return Training(done.folder, done.report)
