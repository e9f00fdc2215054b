"""The contract of every slide reader, and the reading logic that all of them share."""

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Literal, final

import numpy as np
from jaxtyping import UInt8

from histokin.errors import BadPixels, MissingScale, UsageError
from histokin.types import RGB, Region

BLOCK_PX = 2_000_000
"""Source pixels decoded at once when a large area is shrunk; bounds the memory of a read."""

SMALLEST_BAD_PX = 256
"""Places that do not decode are narrowed down to about this many level-0 pixels a side."""


class Slide(ABC):
    """A picture with a place and, where known, a scale. A context manager; reads may come from many threads.

    Attributes
    ----------
    path, format : the file and what it is (``openslide:aperio``, ``ome-tiff``, ``tiff``, ``png``, ``jpeg``).
    width, height : size of level 0 in pixels.
    mpp : microns per pixel of level 0, or None where unknown.
    kind : ``slide``, or ``image`` for a loose picture, one patch-sized item when its scale is unknown.
    properties : vendor, objective power and the like; never anything that identifies a patient.

    A subclass gives the sizes of its levels to the constructor and implements :meth:`_pixels`; everything
    else is final. The same region and size always give the same bytes, whatever was read before.
    """

    def __init__(
        self,
        path: Path,
        *,
        format: str,
        levels: tuple[tuple[int, int], ...],
        mpp: float | None,
        kind: Literal["slide", "image"],
        properties: dict[str, str],
    ) -> None:
        self.path = path
        self.format = format
        self.width, self.height = levels[0]
        self.mpp = mpp
        self.kind: Literal["slide", "image"] = kind
        self.properties = properties
        self._levels = levels
        self._shrinks = tuple(min(self.width / w, self.height / h) for w, h in levels)
        self._bad: list[Region] = []
        self._bad_lock = threading.Lock()

    @abstractmethod
    def _pixels(self, level: int, x: int, y: int, width: int, height: int) -> RGB:
        """``width`` x ``height`` pixels of ``level``; ``x``, ``y`` are level-0 pixels; white outside.

        Raises :class:`BadPixels`, after which the next call must work again.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the file. Reading afterwards is an error; closing twice is not."""

    @final
    @property
    def bad(self) -> list[Region]:
        """Places that did not decode so far, in level-0 pixels, sorted."""
        with self._bad_lock:
            return sorted(set(self._bad))

    @final
    def read(self, region: Region, width: int, height: int) -> RGB:
        """The region resampled to ``width`` x ``height`` pixels: 8-bit RGB, white outside the slide.

        Shrinking averages over areas, from the smallest level that has the resolution; enlarging is bilinear.

        Raises
        ------
        BadPixels
            a part of the region does not decode; the slide keeps working.
        UsageError
            a side is not positive.
        """
        if min(region.width, region.height, width, height) < 1:
            raise UsageError(
                f"cannot read a region of {region.width} x {region.height} into {width} x {height} pixels",
                remedy="Give sides of at least one pixel",
                path=self.path,
            )
        try:
            return self._assemble(region, width, height, paint=False)
        except BadPixels:
            self._note_bad(self._inside(region))
            raise

    @final
    def overview(self, mpp: float) -> RGB:
        """The whole slide at ``mpp`` microns per pixel. What does not decode is white and listed in ``bad``.

        Raises
        ------
        MissingScale
            the scale of the slide is not known.
        """
        scale = require_mpp(self) / mpp
        return self._whole(max(1, round(self.width * scale)), max(1, round(self.height * scale)))

    @final
    def thumbnail(self, max_px: int = 512) -> RGB:
        """The whole slide with its longer side ``max_px`` pixels (never enlarged); bad places are white."""
        scale = min(1.0, max_px / max(self.width, self.height))
        return self._whole(max(1, round(self.width * scale)), max(1, round(self.height * scale)))

    def __enter__(self) -> "Slide":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _whole(self, width: int, height: int) -> RGB:
        return self._assemble(Region(0, 0, self.width, self.height), width, height, paint=True)

    def _level(self, shrink: float) -> int:
        """The smallest level that still has the resolution asked for."""
        fit = [i for i, s in enumerate(self._shrinks) if s <= shrink * 1.001]
        return max(fit, key=lambda i: self._shrinks[i], default=0)

    def _assemble(self, region: Region, width: int, height: int, *, paint: bool) -> RGB:
        level = self._level(min(region.width / width, region.height / height))
        source = region.width * region.height / self._shrinks[level] ** 2
        if source <= BLOCK_PX:
            return self._block(region, width, height, level, paint=paint)
        out = np.empty((height, width, 3), np.uint8)
        split = math.ceil(math.sqrt(source / BLOCK_PX))
        for area, left, top, right, bottom in _blocks(region, width, height, split):
            out[top:bottom, left:right] = self._block(area, right - left, bottom - top, level, paint=paint)
        return out

    def _block(self, region: Region, width: int, height: int, level: int, *, paint: bool) -> RGB:
        """One block of the output; with ``paint``, what does not decode is halved until small, then white."""
        shrink = self._shrinks[level]
        w, h = max(1, round(region.width / shrink)), max(1, round(region.height / shrink))
        try:
            return _resize(self._pixels(level, region.x, region.y, w, h), width, height)
        except BadPixels:
            if not paint:
                raise
        if max(region.width, region.height) <= SMALLEST_BAD_PX * max(1.0, shrink) or max(width, height) == 1:
            self._note_bad(self._inside(region))
            return np.full((height, width, 3), 255, np.uint8)
        out = np.empty((height, width, 3), np.uint8)
        for area, left, top, right, bottom in _blocks(region, width, height, 2):
            out[top:bottom, left:right] = self._block(area, right - left, bottom - top, level, paint=True)
        return out

    def _inside(self, region: Region) -> Region:
        x, y = max(0, region.x), max(0, region.y)
        right, bottom = min(self.width, region.x + region.width), min(self.height, region.y + region.height)
        return Region(x, y, max(0, right - x), max(0, bottom - y))

    def _note_bad(self, region: Region) -> None:
        with self._bad_lock:
            self._bad.append(region)


def require_mpp(slide: Slide) -> float:
    """Microns per pixel of level 0; raises :class:`MissingScale` with the remedy where unknown."""
    if slide.mpp is not None:
        return slide.mpp
    power = slide.properties.get("objective-power", "")
    hint = f" (its objective of {power}x is often {10 / float(power):g} µm/px)" if _is_number(power) else ""
    raise MissingScale(
        "the file does not say how many microns a pixel spans",
        remedy=f"Give it with --mpp, for example --mpp 0.5{hint}, or in an mpp column of the labels table",
        path=slide.path,
    )


def _is_number(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False


def _blocks(region: Region, width: int, height: int, split: int) -> Iterator[tuple[Region, int, int, int, int]]:
    """Cut output and region alike: the piece of the region, then left, top, right, bottom of the output."""
    columns = np.linspace(0, width, min(split, width) + 1).round().astype(int).tolist()
    rows = np.linspace(0, height, min(split, height) + 1).round().astype(int).tolist()
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            x0, x1 = round(left * region.width / width), round(right * region.width / width)
            y0, y1 = round(top * region.height / height), round(bottom * region.height / height)
            piece = Region(region.x + x0, region.y + y0, max(1, x1 - x0), max(1, y1 - y0))
            yield piece, left, top, right, bottom


def _resize(pixels: RGB, width: int, height: int) -> UInt8[np.ndarray, "height width 3"]:
    if pixels.shape[:2] == (height, width):
        return np.ascontiguousarray(pixels)
    import cv2

    shrinking = width <= pixels.shape[1] and height <= pixels.shape[0]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method), np.uint8)
