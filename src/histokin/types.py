"""Units, array shapes and the records that pass between rooms. Imports nothing of ours.

Coordinates are pixels of level 0 of a slide, origin top left; lengths are microns. A level number never
leaves ``slides/``.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NewType, final

import numpy as np
from jaxtyping import Bool, Float32, UInt8, UInt16

Microns = NewType("Microns", float)
MicronsPerPixel = NewType("MicronsPerPixel", float)
Level0Px = NewType("Level0Px", int)
PatchPx = NewType("PatchPx", int)

RGB = UInt8[np.ndarray, "h w 3"]
Image = UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"] | Float32[np.ndarray, "h w c"]
Mapped = UInt8[np.ndarray, "h w _"] | UInt16[np.ndarray, "h w _"] | Float32[np.ndarray, "h w _"]
"""What an :class:`ImageMap` makes of an image "h w c": the same height and width, its own number of channels."""
Images = Sequence[UInt8[np.ndarray, "_ _ _"] | UInt16[np.ndarray, "_ _ _"] | Float32[np.ndarray, "_ _ _"]]
"""Several images, each "h w c"; their sizes may differ."""
Mask = Bool[np.ndarray, "h w"]
Vectors = Float32[np.ndarray, "n d"]


@final
@dataclass(frozen=True, order=True)
class Region:
    """A rectangle of a slide, in level-0 pixels: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int

    def overlaps(self, other: "Region") -> bool:
        """True when the two share at least one pixel."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


@final
@dataclass(frozen=True)
class Patch:
    """One square of tissue: its place, how much of it is tissue (0 to 1), and the flags raised on it."""

    region: Region
    tissue: float
    flags: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Place:
    """Where in a hit the query was found: a box of level-0 pixels, turned about its center.

    ``angle`` are degrees counterclockwise by which the query's picture has to be turned to lie on the hit as it is
    seen; ``score`` is what the order of hits was decided by, larger is better.
    """

    region: Region
    angle: float = 0.0
    score: float = 0.0


@final
@dataclass(frozen=True)
class Hit:
    """One answer. ``region`` is None when the hit is a whole slide; ``row`` is the archive row of the patch.

    ``place`` is where in the hit a re-ranker found the query; ``distance`` stays that of the search.
    """

    rank: int
    distance: float
    slide: str
    source: str
    region: Region | None
    label: str | None
    columns: dict[str, str]
    row: int | None = None
    place: Place | None = None


@final
@dataclass(frozen=True)
class Status:
    """What an image map did: ``ok``, or ``unchanged`` with the reason why the input came back as it was."""

    code: Literal["ok", "unchanged"] = "ok"
    reason: str = ""

    @property
    def ok(self) -> bool:
        return self.code == "ok"


@final
@dataclass(frozen=True)
class ImageInput:
    """What an image map takes: the number of channels and the modality by name."""

    channels: int = 3
    modality: str = "brightfield"


class ImageMap(ABC):
    """An image in, an image of the same height and width out, in a named space; the input is never written to.

    ``status`` tells how the fit went; :meth:`apply` returns the status of one call beside its image, so maps
    may be shared between threads.
    """

    @property
    @abstractmethod
    def space(self) -> str:
        """Name of the space the output lives in; equal names (and only those) may be compared."""

    @property
    def input(self) -> ImageInput:
        """Channels and modality that the map takes."""
        return ImageInput()

    @property
    def status(self) -> Status:
        """How the fit went."""
        return Status()

    @property
    def looks_around(self) -> bool:
        """True where a pixel's answer depends on its neighbors, so that tiles cut from an image show their edges."""
        return False

    @abstractmethod
    def apply(self, image: Image) -> tuple[Mapped, Status]:
        """The mapped image (a new array, or the input itself where unchanged) and the status of this call."""

    def __call__(self, image: Image) -> Mapped:
        return self.apply(image)[0]

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready description from which the same map can be rebuilt."""

    def then(self, other: "ImageMap") -> "ImageMap":
        """This map followed by ``other``."""
        return Chain((self, other))


@final
@dataclass(frozen=True)
class Chain(ImageMap):
    """Maps applied one after another; the space is the last one's."""

    maps: tuple[ImageMap, ...] = field(default_factory=tuple)

    @property
    def space(self) -> str:
        return self.maps[-1].space

    @property
    def input(self) -> ImageInput:
        return self.maps[0].input

    @property
    def status(self) -> Status:
        return next((m.status for m in self.maps if not m.status.ok), Status())

    @property
    def looks_around(self) -> bool:
        return any(m.looks_around for m in self.maps)

    def apply(self, image: Image) -> tuple[Mapped, Status]:
        worst = Status()
        for step in self.maps:
            image, status = step.apply(image)
            worst = status if worst.ok else worst
        return image, worst

    def to_dict(self) -> dict[str, Any]:
        return {"method": "chain", "maps": [m.to_dict() for m in self.maps]}
