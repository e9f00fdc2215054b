"""The classifiers of the colorectal page: each trained for so many epochs, kept, and gone on with."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

from histokin.errors import EncoderError, HistokinError, UsageError
from histokin.evaluation.reproduce.colorectal_data import Tiles
from histokin.evaluation.reproduce.run import Run
from histokin.stain.base import Appearance
from histokin.stain.registry import normalizer
from histokin.training.classifier import UNTRAINED, train_classifier
from histokin.training.classifier_profiles import PROFILES, ClassifierProfile
from histokin.training.report import FILE, require_torch

NETWORKS = ("small", "resnet50", "densenet121", "inception_v3")
LARGE = NETWORKS[1:]
TITLES = {
    "small": "small network",
    "resnet50": "ResNet50",
    "densenet121": "DenseNet121",
    "inception_v3": "InceptionV3",
}
CHECKPOINT = "checkpoint.pt"
DONE = ("finished", "enough")
LEAST_EPOCHS = 3
"""Of a large network."""

MINUTES = 45.0
"""Of training, for which the epochs of a job are meant; with others they are more or fewer in proportion."""

QUICK_PX = 64


@final
@dataclass(frozen=True, eq=False)
class Job:
    """One training: on the parts of ``tiles``, after normalizer ``method``.

    Epochs are counted, not minutes, so that figures do not depend on what else the computer does. ``profile`` is used
    as it is; None for the network's own with ``epochs``, which are those of a run of 45 minutes.
    """

    name: str
    tiles: Tiles
    network: str = "small"
    method: str = "none"
    epochs: int = LEAST_EPOCHS
    profile: ClassifierProfile | None = None


@final
@dataclass(frozen=True, eq=False)
class Model:
    """A trained classifier: its folder, which holds an ``untrained`` copy, and the report of its training."""

    job: Job
    folder: Path
    report: Mapping[str, Any]

    @property
    def untrained(self) -> Path:
        """Folder of the copy that was never trained; all of its weights are random."""
        return self.folder / UNTRAINED

    @property
    def title(self) -> str:
        """What tables call it."""
        return TITLES[self.job.network]

    @property
    def start(self) -> str:
        """Where the training began."""
        told = str(self.report["weights_at_start"])
        return "RANDOM" if told == "random" else told

    @property
    def steps(self) -> str:
        """Steps done / published, epochs and the profile."""
        steps = self.report["steps"]
        epochs = float(self.report["epochs"])
        return f"{steps['done']:,} / {steps['published']:,} ({epochs:.1f} epochs, {self.report['profile']})"


@final
@dataclass(frozen=True, eq=False)
class Models:
    """Trained classifiers by the name of their job; ``absent`` says of the others why they are not there."""

    found: Mapping[str, Model]
    absent: Mapping[str, str]

    def get(self, name: str) -> Model | None:
        """One of them."""
        return self.found.get(name)


def train_jobs(run: Run, jobs: Sequence[Job]) -> Models:
    """Train all, or go on; what is done is taken as it is. What cannot be trained is left out, with the reason."""
    try:
        require_torch()
    except UsageError as error:
        return Models({}, {job.name: error.reason for job in jobs})
    found: dict[str, Model] = {}
    absent: dict[str, str] = {}
    for job in jobs:
        try:
            found[job.name] = train_job(run, job)
        except HistokinError as error:
            absent[job.name] = str(error)
            run.say(f"{job.name} is left out: {error}")
    return Models(found, absent)


def train_job(run: Run, job: Job) -> Model:
    """One training, to its end."""
    profile = job.profile or profile_of(run, job.network, job.epochs)
    start = _start(run, job.network)
    appearance = None if job.method == "none" else normalizer(job.method)
    folder = run.out / "networks" / f"{job.name}-{job_key(job, profile, start, appearance)}"
    report = finished(folder)
    if report is None:
        run.say(f"{job.name}: training, {profile.epochs} epochs")
        train_classifier(
            job.tiles.images,
            job.tiles.labels,
            folder,
            network=job.network,
            profile=profile,
            steps=2 if run.quick else None,
            start=start,
            normalizer=appearance,
            watch=run.teller(job.name),
        )
        report = _told(folder)
        # As large as four networks, and nothing is left to go on with.
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return Model(job, folder, report)


def finished(folder: Path) -> Mapping[str, Any] | None:
    """The report of a training that came to its end; None otherwise."""
    report = _told(folder) if (folder / FILE).is_file() else {}
    return report if report.get("stopped") in DONE else None


def _told(folder: Path) -> Mapping[str, Any]:
    """The report on disk: a page that is made again reads the same numbers."""
    report: Mapping[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return report


def profile_of(run: Run, network: str, epochs: int) -> ClassifierProfile:
    """Tiny where the run is quick; ``practical`` on a GPU; otherwise ``reduced`` for so many epochs."""
    if run.quick:
        px = max(QUICK_PX, 96 if network == "inception_v3" else 0)
        return replace(PROFILES[network, "reduced"], name="quick", input_px=px, batch=4, epochs=1, minutes=None)
    import torch

    if torch.cuda.is_available():
        return PROFILES[network, "practical"]
    least = LEAST_EPOCHS if network in LARGE else 1
    return replace(PROFILES[network, "reduced"], epochs=max(least, round(epochs * run.minutes / MINUTES)), minutes=None)


def _start(run: Run, network: str) -> str | None:
    """ImageNet's weights of a large network where they can be had; None, the profile's own, otherwise."""
    if network == "small" or run.quick:
        return None
    from histokin.encoders.weight_files import needs_of, obtain

    needs = needs_of(network)
    try:
        return None if needs is None else str(obtain(needs))
    except (EncoderError, UsageError):
        return None


def job_key(job: Job, profile: ClassifierProfile, start: str | None, appearance: Appearance | None) -> str:
    """Of everything that makes this training another than the next one."""
    told = {
        "tiles": job.tiles.digest,
        "profile": asdict(profile),
        "start": None if start is None else Path(start).name,
        "normalizer": None if appearance is None else appearance.space,
        "network": job.network,
    }
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=4).hexdigest()
