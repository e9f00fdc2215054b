"""The retrieval page's autoencoders: one per color version, kept for the next run, beside untrained copies."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from histokin.encoders.autoencoder import cbhir
from histokin.encoders.base import Encoder
from histokin.errors import UsageError
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.reproduce.versions import Version
from histokin.training.autoencoder import UNTRAINED, AutoencoderProfile, autoencoder_profile, train_autoencoder
from histokin.training.images import ImageSet
from histokin.training.report import Trained, Watch, require_torch


@final
@dataclass(frozen=True)
class Autoencoder:
    """One trained autoencoder; ``report`` is that of its training."""

    version: str
    folder: Path
    report: Mapping[str, Any]

    @property
    def trained(self) -> Encoder:
        """Its encoder."""
        return cbhir(self.folder)

    @property
    def untrained(self) -> Encoder:
        """The encoder that training began with."""
        return cbhir(self.folder / UNTRAINED)

    @property
    def steps(self) -> str:
        """ "done / published"."""
        steps = self.report["steps"]
        return f"{steps['done']} / {steps['published']}"


def folder_name(name: str) -> str:
    """A set's name as the name of a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def train_versions(run: Run, versions: Sequence[Version], minutes: float) -> dict[str, Autoencoder] | str:
    """One autoencoder per version, ``minutes`` in all; why there are none, where PyTorch is not installed."""
    try:
        require_torch()
    except UsageError as error:
        return error.reason
    found = {}
    for version in versions:
        folder = run.out / "networks" / folder_name(version.hospitals.name) / f"cbhir-{version.name}"
        say = run.teller(f"{version.hospitals.name}, {version.title}: autoencoder")
        done = _train(run, version.to_train(), folder, minutes / len(versions), say)
        found[version.name] = Autoencoder(version.name, folder, done.report)
    return found


def _train(run: Run, images: ImageSet, folder: Path, minutes: float, say: Watch) -> Trained:
    profile: AutoencoderProfile = autoencoder_profile("cbhir", "reduced")
    if run.quick:
        tiny = replace(profile, side=32, batch=8)
        return train_autoencoder("cbhir", images, folder, profile=tiny, steps=6, watch=say)
    return train_autoencoder("cbhir", images, folder, profile=profile, minutes=minutes, watch=say)
