"""Representations by two networks trained together, one for each modality, onto one scale and into one space."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histokin.modality.base import Representation
from histokin.modality.folder import TrainedFolder, read_folder
from histokin.modality.network_map import NetworkMap
from histokin.types import ImageMap


class PairedNetworks(Representation):
    """Both modalities through a network of their own, onto one 8-bit scale that the training pairs decided.

    Parameters
    ----------
    path : the folder that the trainer of this name wrote.
    digest : what the folder's digest must be; None takes it as it is.

    Raises
    ------
    UnreadableFile, UnsupportedFormat, NotComparable
        for a folder that cannot be used, or has changed.
    """

    def __init__(self, path: str | Path, digest: str | None = None) -> None:
        self.path = Path(path).expanduser().absolute()
        self.trained: TrainedFolder = read_folder(self.path, self.name, digest)

    @property
    def space(self) -> str:
        return f"{self.name}@{self.trained.digest()}"

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.trained.modalities

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.trained.facts

    def _map(self, modality: str) -> ImageMap:
        trained = self.trained
        return NetworkMap(
            self.space,
            modality,
            trained.inputs[modality],
            self.path,
            trained.networks[modality],
            trained.multiple,
            trained.scale,
            trained.channels[modality],
            self.to_dict(),
            trained.margin,
        )

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "options": {"path": str(self.path), "digest": self.trained.digest()}}
