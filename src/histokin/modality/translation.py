"""Representations by translation: images of one modality are made to look like those of the other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histokin.errors import UsageError
from histokin.modality.folder import TrainedFolder
from histokin.modality.network_map import HomeMap, NetworkMap
from histokin.modality.trained import TrainedRepresentation
from histokin.types import ImageMap


class Translation(TrainedRepresentation):
    """The other modality translated to ``towards``, whose own images only take the scale of the training images.

    Parameters
    ----------
    path, digest : of the folder, see :class:`~histokin.modality.trained.TrainedRepresentation`.
    towards : the modality whose look is given to the other one's images.

    Raises
    ------
    UsageError
        when the folder has no network towards that modality.
    """

    def __init__(self, path: str | Path, towards: str, digest: str | None = None) -> None:
        super().__init__(path, digest)
        self.towards = direction(self.trained, towards, self.path)

    @property
    def space(self) -> str:
        return f"{self.name}-{self.towards}@{self.trained.digest(self.towards)}"

    def _map(self, modality: str) -> ImageMap:
        return translation_map(self.space, self.trained, self.towards, modality, self.path, self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        described = super().to_dict()
        return {**described, "options": {**described["options"], "towards": self.towards}}


def direction(trained: TrainedFolder, towards: str, path: Path) -> str:
    """``towards`` where there is a network into that modality. Raises :class:`UsageError` naming those there are."""
    if towards not in trained.networks:
        raise UsageError(
            f"the folder has no network towards '{towards}'",
            remedy=f"Choose one of: {', '.join(trained.networks)}",
            path=path,
        )
    return towards


def translation_map(
    space: str, trained: TrainedFolder, towards: str, modality: str, path: Path, representation: Mapping[str, Any]
) -> ImageMap:
    """Images of ``towards`` are scaled as for the training; those of the other modality go through the network."""
    prepared, channels = trained.inputs[modality], trained.channels[towards]
    if modality == towards:
        return HomeMap(space, modality, prepared, channels, representation)
    return NetworkMap(
        space,
        modality,
        prepared,
        path,
        trained.networks[towards],
        trained.multiple,
        trained.scale,
        channels,
        representation,
        trained.margin,
    )
