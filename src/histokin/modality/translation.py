"""Representations by translation: images of one modality are made to look like those of the other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histokin.errors import UsageError
from histokin.modality.folder import TrainedFolder
from histokin.modality.network_map import HomeMap, NetworkMap
from histokin.types import ImageMap


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
