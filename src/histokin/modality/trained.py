"""Representations that a trainer wrote into a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histokin.modality.base import Representation
from histokin.modality.folder import TrainedFolder, read_folder


class TrainedRepresentation(Representation):
    """What the trainer of this name wrote.

    Parameters
    ----------
    path : the folder.
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
    def modalities(self) -> tuple[str, ...]:
        return self.trained.modalities

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.trained.facts

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "options": {"path": str(self.path), "digest": self.trained.digest()}}
