"""How much of a window is gland: from a mask or drawn glands that are supplied, or from a proxy named as such."""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int32, Shaped, UInt8

from histokin.errors import InputError, UnreadableFile, UnsupportedFormat
from histokin.slides.areas import Area
from histokin.slides.grid import integral, shares_of_sums
from histokin.types import Mask, Region

LEAST_GLAND = 0.5
"""A window with less gland than this is dropped, as published."""

MASK_ENDINGS = (".png", ".tif", ".tiff", ".bmp")
MOST_ASKEW = 0.02
"""A mask's sides may differ from the slide's proportions by this share."""

PROXY_MPP = 2.0
MOST_PROXY_PX = 16_000_000
NUCLEI_UM, GAP_UM, LUMEN_UM, SPECK_UM = 5.0, 4.0, 100.0, 40.0
"""Of the proxy: blur, gaps bridged (radius), lumens filled and specks dropped (diameter)."""

LEAST_CONTRAST, LEAST_BLUE, ALL_BLUE = 0.08, 0.1, 0.3
"""Hematoxylin density: sides closer than this are one; no gland below; where there is one side, all gland from here."""

Plane = Float32[np.ndarray, "_ _"]
Picture = UInt8[np.ndarray, "_ _ 3"]
Fractions = Float64[np.ndarray, " n"]


class Glands(ABC):
    """Where glands are. ``source`` is ``mask``, ``areas`` or ``proxy``."""

    source: str

    @abstractmethod
    def fractions(self, regions: Sequence[Region]) -> Fractions:
        """Share of each region, in level-0 pixels, that is gland, 0 to 1."""


@final
@dataclass(frozen=True, eq=False)
class GlandMask(Glands):
    """A mask of any resolution over ``frame``; there is no gland outside."""

    mask: Mask
    frame: Region
    source: str = "mask"

    def fractions(self, regions: Sequence[Region]) -> Fractions:
        height, width = self.mask.shape
        scale = np.array([width / self.frame.width, height / self.frame.height] * 2)
        corners = [(r.x, r.y, r.x + r.width, r.y + r.height) for r in regions]
        boxes = np.array(corners, np.float64).reshape(-1, 4) - [self.frame.x, self.frame.y] * 2
        return shares_of_sums(self._sums, np.asarray(boxes * scale))

    @cached_property
    def _sums(self) -> Int32[np.ndarray, "h1 w1"]:
        return integral(self.mask)


@final
@dataclass(frozen=True, eq=False)
class GlandAreas(Glands):
    """Glands drawn one by one; they are taken not to overlap."""

    areas: tuple[Area, ...]
    source: str = "areas"

    def fractions(self, regions: Sequence[Region]) -> Fractions:
        boxes = [area.bounds for area in self.areas]
        return np.array(
            [
                min(1.0, sum(a.share(r) for a, box in zip(self.areas, boxes, strict=True) if box.overlaps(r)))
                for r in regions
            ],
            np.float64,
        )


def read_gland_mask(path: Path, width: int, height: int) -> GlandMask:
    """A picture of the whole slide (``width`` x ``height`` at level 0) at any resolution; what is not 0 is gland.

    Instance masks (a number per gland) are taken as well. Transparency does not count.

    Raises
    ------
    UnreadableFile, UnsupportedFormat
        not a PNG, TIFF or BMP that can be read; JPEG would smear the edges.
    InputError
        its proportions are not the slide's.
    """
    mask = _decoded(path)
    if mask.shape[0] * mask.shape[1] == 0 or _askew(mask.shape[1] / width, mask.shape[0] / height, mask):
        raise InputError(
            f"a gland mask of {mask.shape[1]} x {mask.shape[0]} pixels does not have the proportions of the slide, "
            f"{width} x {height}",
            remedy="Export the mask of the whole slide, at any resolution",
            path=path,
        )
    return GlandMask(mask, Region(0, 0, width, height))


def proxy_glands(
    pictures: Sequence[tuple[Region, Picture]], slide_mpp: float, hematoxylin: Callable[[Picture], Plane]
) -> list[GlandMask]:
    """Guess where glands are from the density of nuclei: a proxy, not a segmentation.

    Hematoxylin is blurred over 5 µm and split by Otsu's threshold over all pictures of the slide together; gaps of
    4 µm are closed, what is enclosed and below 100 µm across counts as lumen, specks below 40 µm are dropped. Dense
    lymphocytes look like glands to it, solid tumor does too, and lumens that are wide or cut by the edge do not.

    Parameters
    ----------
    pictures : areas of one slide, in level-0 pixels, with their pixels at any resolution (best near 2 µm/px).
    slide_mpp : microns per pixel of level 0.
    hematoxylin : gives the concentration of each pixel, in natural-log density at unit length.
    """
    scales = [slide_mpp * frame.width / picture.shape[1] for frame, picture in pictures]
    planes = [
        np.asarray(cv2.GaussianBlur(np.maximum(hematoxylin(picture), 0), (0, 0), max(NUCLEI_UM / mpp, 0.3)), np.float32)
        for (_, picture), mpp in zip(pictures, scales, strict=True)
    ]
    if not planes:
        return []
    threshold = _threshold(np.concatenate([plane.ravel() for plane in planes]))
    return [
        GlandMask(_shape(np.asarray(plane > threshold), mpp), frame, "proxy")
        for (frame, _), plane, mpp in zip(pictures, planes, scales, strict=True)
    ]


def proxy_size(frame: Region, slide_mpp: float) -> tuple[int, int]:
    """Width and height in pixels at which :func:`proxy_glands` should see an area."""
    scale = min(1.0, slide_mpp / PROXY_MPP, math.sqrt(MOST_PROXY_PX / (frame.width * frame.height)))
    return max(1, round(frame.width * scale)), max(1, round(frame.height * scale))


def _threshold(values: Float32[np.ndarray, " n"]) -> float:
    levels = np.clip(values * 100, 0, 255).astype(np.uint8)
    cut, _ = cv2.threshold(levels.reshape(-1, 1), 0, 255, cv2.THRESH_OTSU)
    above = levels > cut
    if not above.any() or above.all() or values[above].mean() - values[~above].mean() < LEAST_CONTRAST:
        return 0.0 if values.mean() >= ALL_BLUE else math.inf
    return max(float(cut) / 100, LEAST_BLUE)


def _shape(dense: Mask, mpp: float) -> Mask:
    reach = max(1, round(GAP_UM / mpp))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    framed = cv2.copyMakeBorder(dense.astype(np.uint8), reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    closed = np.asarray(cv2.morphologyEx(framed, cv2.MORPH_CLOSE, kernel))[reach:-reach, reach:-reach] > 0
    filled = closed | _small(~closed, LUMEN_UM / mpp)
    return np.asarray(filled & ~_small(filled, SPECK_UM / mpp), bool)


def _small(mask: Mask, diameter: float) -> Mask:
    """The connected parts smaller than a disk."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < math.pi * diameter**2 / 4
    small[0] = False
    return np.asarray(small[labels], bool)


def _askew(across: float, down: float, mask: Mask) -> bool:
    slack = MOST_ASKEW + 1 / min(mask.shape)
    return bool(abs(across - down) > slack * max(across, down))


def _decoded(path: Path) -> Mask:
    from PIL import Image, UnidentifiedImageError

    if path.suffix.lower() not in MASK_ENDINGS:
        raise UnsupportedFormat("a gland mask is a PNG, TIFF or BMP file", remedy="Save it as PNG", path=path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                opaque = picture.convert("RGB") if picture.mode in ("RGBA", "LA", "PA") else picture
                pixels: Shaped[np.ndarray, "..."] = np.asarray(opaque)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        reason = "the gland mask has too many pixels"
        raise UnreadableFile(reason, remedy="Save it at 1/8 of the slide's resolution", path=path) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        reason = f"the gland mask cannot be read ({type(error).__name__})"
        raise UnreadableFile(reason, remedy="Save it as PNG", path=path) from None
    return np.asarray(pixels.reshape(*pixels.shape[:2], -1).astype(bool).any(axis=2), bool)


def as_picture(mask: Mask) -> UInt8[np.ndarray, "h w"]:
    """A mask as a gray picture, glands white, that :func:`read_gland_mask` reads."""
    return mask.astype(np.uint8) * 255
