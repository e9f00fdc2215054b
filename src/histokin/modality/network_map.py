"""Maps of trained representations: a network over the image, and images that are at home in the space already."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from histokin.errors import UnsupportedFormat
from histokin.modality.folder import NetworkFile
from histokin.modality.pixels import to_bytes, unit_values
from histokin.modality.preparing import Input
from histokin.modality.tiling import run_on
from histokin.nets.image_network import load_network
from histokin.types import Image, ImageInput, ImageMap, Mapped, Status


@final
@dataclass(frozen=True, eq=False)
class NetworkMap(ImageMap):
    """One modality through its network.

    Images up to 1024 x 1024 pixels (after shrinking) are mapped as a whole, mirrored on all sides to what the network
    takes and cut back; larger ones in overlapping tiles that are blended.

    Parameters
    ----------
    name : the space.
    modality, prepared : what it takes.
    folder, network : where the weights are; opened when first needed, once per process.
    multiple, scale, channels, margin : see :class:`~histokin.modality.folder.TrainedFolder`; a network with more
        channels out than ``channels`` is averaged.
    representation : description of the representation that this is a map of.
    """

    name: str
    modality: str
    prepared: Input
    folder: Path
    network: NetworkFile
    multiple: int
    scale: tuple[float, float]
    channels: int
    representation: Mapping[str, Any]
    margin: int = 0

    @property
    def space(self) -> str:
        return self.name

    @property
    def input(self) -> ImageInput:
        return ImageInput(channels=self.prepared.channels, modality=self.modality)

    @property
    def looks_around(self) -> bool:
        return True

    def values(self, image: Image) -> Float32[np.ndarray, "_ _ _"]:
        """What the network answers for the image, "h w c" of its full size, before it becomes 8-bit."""
        height, width = image.shape[:2]
        network = load_network(self.folder / self.network.file, self.network.sha256)
        made = run_on(self.prepared.prepare(image), self.multiple, network.run, self.margin)
        if made.shape[2] < self.channels:
            raise UnsupportedFormat(
                f"the network gives {made.shape[2]} channels, {self.channels} belong here",
                remedy="Train it again, or restore the folder from a copy",
                path=network.path,
            )
        if made.shape[2] > self.channels:
            made = made.mean(axis=2, keepdims=True, dtype=np.float32)
        return larger(made, self.prepared.shrink, height, width)

    def apply(self, image: Image) -> tuple[Mapped, Status]:
        """The image in the space. Raises :class:`UsageError` for what no representation takes."""
        unit_values(image, self.prepared.channels)
        return to_bytes(self.values(image), *self.scale), Status()

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": "representation",
            "representation": dict(self.representation),
            "modality": self.modality,
        }


@final
@dataclass(frozen=True, eq=False)
class HomeMap(ImageMap):
    """The modality that other images are translated to: scaled, and as sharp, as the training images were."""

    name: str
    modality: str
    prepared: Input
    channels: int
    representation: Mapping[str, Any]

    @property
    def space(self) -> str:
        return self.name

    @property
    def input(self) -> ImageInput:
        return ImageInput(channels=self.channels, modality=self.modality)

    def apply(self, image: Image) -> tuple[Mapped, Status]:
        """The image, 8-bit. Raises :class:`UsageError` for what no representation takes."""
        values = self.prepared.prepare(image)
        if values.shape[2] > self.channels:
            values = values.mean(axis=2, keepdims=True, dtype=np.float32)
        low, high = (-1, 1) if self.prepared.signed else (0, 1)
        return to_bytes(larger(values, self.prepared.shrink, *image.shape[:2]), low, high), Status()

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": "representation",
            "representation": dict(self.representation),
            "modality": self.modality,
        }


def larger(values: Float32[np.ndarray, "h w c"], factor: int, height: int, width: int) -> Float32[np.ndarray, "_ _ c"]:
    """``factor`` times as large, interpolated linearly between pixel centers, cut to ``height`` x ``width``."""
    import cv2

    if factor == 1:
        return values
    size = (values.shape[1] * factor, values.shape[0] * factor)
    grown = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR).reshape(size[1], size[0], values.shape[2])
    return np.ascontiguousarray(grown[:height, :width])
