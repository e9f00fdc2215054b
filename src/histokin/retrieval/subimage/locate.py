"""The place of a picture of one microscope in a larger picture of another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import cv2
import numpy as np

from histokin.errors import NotComparable, NoTissue, TooSmall, UsageError
from histokin.modality.base import Representation
from histokin.retrieval.subimage.placing import LEAST_SIDE, Placement, Sweep, place
from histokin.retrieval.subimage.pyramid import Pixels
from histokin.slides.channels import read_channels
from histokin.slides.reading import open_slide
from histokin.types import RGB, Image, Region

BRIGHTFIELD = "brightfield"
MOST_PX = 1 << 26
"""Pixels of the picture that is searched (67 million); of a larger one a region is chosen."""

SCALES = (0.05, 4.0)
"""By so much, at least and at most, a query is resized to the scale of the picture."""

DOUBTFUL = 0.05
"""Margin below which a place is not to be believed; measured on mosaics of cores, see docs/cross-modality.md."""

SWEEP = Sweep(max_turn=180.0, shrink=8, finest=2, keep=8)


@final
@dataclass(frozen=True, eq=False)
class Found:
    """Where the query lies. ``place`` is in pixels of the searched picture, or of the slide that it is a region of.

    ``width`` and ``height`` are those of the query there; ``picture`` is what was searched and ``origin`` its upper
    left pixel; ``space`` is where the two were compared.
    """

    place: Placement
    width: int
    height: int
    picture: RGB
    origin: tuple[int, int]
    space: str
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: pixels, degrees, scores and corners."""
        found = self.place
        return {
            "x": found.x,
            "y": found.y,
            "angle": found.angle,
            "width": self.width,
            "height": self.height,
            "corners": found.corners(self.width, self.height).round(2).tolist(),
            "score": found.score,
            "rival": found.rival,
            "margin": found.margin,
            "space": self.space,
            "warnings": list(self.warnings),
        }


def locate(
    query: Path,
    image: Path,
    representation: Representation,
    *,
    modality: str,
    image_modality: str = BRIGHTFIELD,
    mpp: float | None = None,
    image_mpp: float | None = None,
    region: Region | None = None,
    sweep: Sweep = SWEEP,
) -> Found:
    """Find where in ``image`` the ``query`` was taken.

    Parameters
    ----------
    query, image : files; their modalities are ``modality`` and ``image_modality``.
    representation : has maps for both.
    mpp, image_mpp : microns per pixel where the files do not tell. Where both are known the query is resized to the
        image's scale; otherwise both are taken to have the same.
    region : part of the image, in its level-0 pixels; a slide needs one.

    Raises
    ------
    InputError
        for a file that cannot be read, a query that is too small, or one without any structure.
    UsageError
        for a modality the representation does not have, an image too large to be searched whole, a region outside.
    NotComparable
        when the scales of the two are too far apart.
    """
    maps = representation.map(modality), representation.map(image_modality)
    asked, asked_mpp = _pixels(query, modality, mpp, None)
    searched, searched_mpp = _pixels(image, image_modality, image_mpp, region)
    warnings = _scale_warnings(asked_mpp, searched_mpp)
    if asked_mpp is not None and searched_mpp is not None:
        asked = _resized(asked, asked_mpp / searched_mpp, query)
    if min(asked.shape[:2]) < 2 * LEAST_SIDE:
        raise TooSmall(
            f"the query has {asked.shape[1]} x {asked.shape[0]} pixels at the scale of {image.name}",
            remedy=f"Give a picture with sides of at least {2 * LEAST_SIDE} pixels there",
            path=query,
        )
    if np.ptp(asked) == 0:
        raise NoTissue("the query shows nothing: all its pixels are equal", remedy="Choose another part", path=query)
    mapped, there = np.asarray(maps[0](asked)), np.asarray(maps[1](searched))
    found = place(mapped, there, sweep)
    x, y = (region.x, region.y) if region else (0, 0)
    placed = Placement(found.score, found.x + x, found.y + y, found.angle, found.rival)
    height, width = asked.shape[:2]
    if placed.margin < DOUBTFUL:
        warnings += (
            f"another place fits nearly as well (margin {placed.margin:.3f}): where this was measured, most answers "
            f"below {DOUBTFUL:g} were wrong",
        )
    return Found(placed, width, height, _rgb(searched), (x, y), maps[1].space, warnings)


def outlined(found: Found, longest: int = 2048) -> RGB:
    """The searched picture with the query's outline, its upper edge in another color; at most ``longest`` px a side."""
    picture = found.picture
    factor = min(1.0, longest / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    drawn = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if factor < 1 else picture.copy()
    corners = (found.place.corners(found.width, found.height) - found.origin) * factor
    points = np.rint(corners).astype(np.int32)
    thick = max(2, round(max(size) / 400))
    cv2.polylines(drawn, [points], isClosed=True, color=(255, 214, 10), thickness=thick, lineType=cv2.LINE_AA)
    upper = points[0].tolist(), points[1].tolist()
    cv2.line(drawn, *upper, color=(220, 30, 30), thickness=thick, lineType=cv2.LINE_AA)
    return np.asarray(drawn)


def _pixels(path: Path, modality: str, mpp: float | None, region: Region | None) -> tuple[Image, float | None]:
    with open_slide(path, mpp=mpp) as opened:
        whole = Region(0, 0, opened.width, opened.height)
        chosen = region or whole
        if not (chosen.x >= 0 and chosen.x + chosen.width <= whole.width and chosen.width > 0) or not (
            chosen.y >= 0 and chosen.y + chosen.height <= whole.height and chosen.height > 0
        ):
            raise UsageError(
                f"the region {chosen.x},{chosen.y},{chosen.width},{chosen.height} is not within "
                f"{whole.width} x {whole.height} pixels",
                remedy="Choose one inside",
                path=path,
            )
        if chosen.width * chosen.height > MOST_PX:
            raise UsageError(
                f"{chosen.width} x {chosen.height} pixels are too many to be searched at once",
                remedy="Choose a --region of at most 8192 x 8192",
                path=path,
            )
        if modality == BRIGHTFIELD:
            pixels: Image = opened.read(chosen, chosen.width, chosen.height)
        else:
            pixels = read_channels(opened)[chosen.y : chosen.y + chosen.height, chosen.x : chosen.x + chosen.width]
        return np.ascontiguousarray(pixels), opened.mpp


def _scale_warnings(asked: float | None, searched: float | None) -> tuple[str, ...]:
    if (asked is None) == (searched is None):
        return ()
    which = "query" if asked is None else "searched picture"
    return (f"the scale of the {which} is unknown: both are taken to have the same",)


def _resized(image: Pixels, factor: float, path: Path) -> Pixels:
    if not SCALES[0] <= factor <= SCALES[1]:
        raise NotComparable(
            f"the query's pixels are {factor:.3g} times as large as those of the searched picture",
            remedy="Check the scales of both, or give them with --mpp and --in-mpp",
            path=path,
        )
    if abs(factor - 1) < 0.01:
        return image
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    smaller = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    return np.asarray(smaller).reshape(size[1], size[0], -1)


def _rgb(image: Image) -> RGB:
    """For drawing: 8-bit, three channels."""
    full = {"uint8": 1.0, "uint16": 257.0}.get(image.dtype.name, 1 / 255)
    small = np.rint(np.clip(image / full, 0, 255)).astype(np.uint8)
    return np.repeat(small, 3, axis=2) if small.shape[2] == 1 else small
