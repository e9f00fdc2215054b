"""The patch grid: squares of a physical size, in level-0 pixels, and which of them hold tissue."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import cv2
import numpy as np
from jaxtyping import Float64, Int32

from histokin.errors import TooCoarse, TooSmall, UsageError
from histokin.slides.tissue import TissueMask
from histokin.types import Mask, Patch, Region

MAX_UPSAMPLING = 1.5
"""A file may be this many times coarser than the grid; beyond, detail would be invented."""

MOST_PEN = 0.05
"""A patch with more ink than this fraction is left out."""

FLAG_FOLD = 0.1
"""A patch with more folded tissue than this fraction is flagged."""

Counts = dict[str, int]


@final
@dataclass(frozen=True)
class Grid:
    """Patches of ``patch_px`` pixels at ``mpp`` microns per pixel, 0 <= ``overlap`` < 1 as a fraction.

    A patch is kept when at least ``min_tissue`` (0 to 1) of it is tissue; 0.7 as in published work on
    histology retrieval. Raises :class:`UsageError` for values outside these ranges.
    """

    mpp: float = 0.5
    patch_px: int = 224
    overlap: float = 0.0
    min_tissue: float = 0.7

    def __post_init__(self) -> None:
        checks = (
            (math.isfinite(self.mpp) and self.mpp > 0, "mpp", "a positive number of microns per pixel"),
            (self.patch_px >= 8, "patch_px", "at least 8 pixels"),
            (0 <= self.overlap < 1, "overlap", "a fraction from 0 up to, but not, 1"),
            (0 <= self.min_tissue <= 1, "min_tissue", "a fraction from 0 to 1"),
        )
        for fine, name, wanted in checks:
            if not fine:
                raise UsageError(f"{name} of the grid is {getattr(self, name)}", remedy=f"It takes {wanted}")

    def side(self, slide_mpp: float) -> int:
        """Side of a patch in level-0 pixels of a slide."""
        return max(1, round(self.patch_px * self.mpp / slide_mpp))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Grid":
        """Raises :class:`UsageError` for names that are not part of a grid."""
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise UsageError(f"a grid has no '{unknown[0]}'", remedy=f"It has: {known}")
        return cls(**values)


def grid_patches(
    slide_width: int,
    slide_height: int,
    slide_mpp: float,
    grid: Grid,
    region: Region | None = None,
    centered: bool = False,
    *,
    path: Path | None = None,
) -> list[Region]:
    """Complete patches only, row by row, in level-0 pixels.

    The side is ``round(patch_px * grid.mpp / slide_mpp)`` and the step ``side * (1 - overlap)``, origins
    rounded, so patches never overlap at overlap 0. With ``region`` (cut to the slide) the grid starts at its
    corner, and a region equal to a patch gives that patch. ``centered`` shares the remainder out evenly.

    Raises
    ------
    TooCoarse
        the slide has less than 1/1.5 of the resolution of the grid.
    TooSmall
        not one complete patch fits.
    UsageError
        the region lies outside the slide.
    """
    _require_resolution(slide_mpp, grid, path)
    area = _within(slide_width, slide_height, region, path)
    side = grid.side(slide_mpp)
    _require_room(area, side, grid, whole=region is None, path=path)
    step = max(1.0, side * (1 - grid.overlap))
    columns = _origins(area.width, side, step, centered)
    rows = _origins(area.height, side, step, centered)
    return [Region(area.x + x, area.y + y, side, side) for y in rows for x in columns]


def fitting_side(slide_width: int, slide_height: int, slide_mpp: float, grid: Grid, *, path: Path | None = None) -> int:
    """Side of a patch in level-0 pixels, of a slide that at least one fits; else raises as :func:`grid_patches`."""
    _require_resolution(slide_mpp, grid, path)
    side = grid.side(slide_mpp)
    _require_room(Region(0, 0, slide_width, slide_height), side, grid, whole=True, path=path)
    return side


def keep_tissue(regions: list[Region], mask: TissueMask, slide_mpp: float, grid: Grid) -> tuple[list[Patch], Counts]:
    """The patches that hold enough tissue, flagged ``pen`` or ``fold``, and the counts of all.

    Counts: ``grid`` = ``background`` (too little tissue) + ``pen`` (more than 5 % ink, left out) + ``kept``;
    ``fold`` of the kept ones are flagged. Fractions are exact areas of mask pixels, from integral images.
    """
    counts = {"grid": len(regions), "background": 0, "pen": 0, "fold": 0, "kept": 0}
    if not regions:
        return [], counts
    boxes = np.array([(r.x, r.y, r.x + r.width, r.y + r.height) for r in regions], float) * (slide_mpp / mask.mpp)
    tissue = shares(mask.mask, boxes)
    pen = shares(mask.pen, boxes)
    fold = shares(mask.fold, boxes)
    inked = pen > MOST_PEN
    enough = (tissue >= grid.min_tissue - 1e-9) & ~inked
    counts["pen"] = int((inked & (tissue + pen >= grid.min_tissue - 1e-9)).sum())
    counts["kept"] = int(enough.sum())
    counts["background"] = len(regions) - counts["pen"] - counts["kept"]
    patches = []
    for i in np.flatnonzero(enough).tolist():
        flags = tuple(name for name, on in (("pen", pen[i] > 0), ("fold", fold[i] >= FLAG_FOLD)) if on)
        patches.append(Patch(regions[i], round(float(tissue[i]), 4), flags))
    counts["fold"] = sum("fold" in patch.flags for patch in patches)
    return patches, counts


def _require_resolution(slide_mpp: float, grid: Grid, path: Path | None) -> None:
    if slide_mpp / grid.mpp > MAX_UPSAMPLING:
        raise TooCoarse(
            f"its pixels span {slide_mpp:.4g} µm, more than {MAX_UPSAMPLING:g} times the {grid.mpp:.4g} µm of the grid",
            remedy=f"Use a coarser grid, for example --grid-mpp {slide_mpp:.4g}",
            path=path,
        )


def _require_room(area: Region, side: int, grid: Grid, *, whole: bool, path: Path | None) -> None:
    if min(area.width, area.height) < side:
        raise TooSmall(
            f"{'the picture' if whole else 'the region'} is {area.width} x {area.height} pixels, and one patch of "
            f"{grid.patch_px} pixels at {grid.mpp:.4g} µm/px takes {side} x {side}",
            remedy="Use smaller patches with --patch-px or a finer grid with --grid-mpp"
            if whole
            else "Draw a larger region",
            path=path,
        )


def _within(width: int, height: int, region: Region | None, path: Path | None) -> Region:
    if region is None:
        return Region(0, 0, width, height)
    x, y = max(0, region.x), max(0, region.y)
    right, bottom = min(width, region.x + region.width), min(height, region.y + region.height)
    if right <= x or bottom <= y:
        raise UsageError(
            f"the region {region.x},{region.y},{region.width},{region.height} lies outside the slide",
            remedy=f"The slide is {width} x {height} pixels of level 0",
            path=path,
        )
    return Region(x, y, right - x, bottom - y)


def _origins(extent: int, side: int, step: float, centered: bool) -> list[int]:
    room = extent - side
    if room < 0:
        return []
    origins = [round(i * step) for i in range(int((room + 0.5) / step) + 1)]
    while origins[-1] > room:
        origins.pop()
    shift = (room - origins[-1]) // 2 if centered else 0
    return [origin + shift for origin in origins]


def shares(mask: Mask, boxes: Float64[np.ndarray, "n 4"]) -> Float64[np.ndarray, " n"]:
    """Share of each box (left, top, right, bottom, in mask pixels and fractions of them) that is set.

    The integral image of a mask, interpolated bilinearly, is exact. What lies outside the mask is not set.
    """
    return shares_of_sums(integral(mask), boxes)


def integral(mask: Mask) -> Int32[np.ndarray, "h1 w1"]:
    """How many pixels are set above and to the left of each corner of a pixel."""
    return np.asarray(cv2.integral(mask.view(np.uint8)), np.int32)


def shares_of_sums(total: Int32[np.ndarray, "h1 w1"], boxes: Float64[np.ndarray, "n 4"]) -> Float64[np.ndarray, " n"]:
    """:func:`shares` of a mask whose :func:`integral` is known."""
    height, width = total.shape[0] - 1, total.shape[1] - 1
    left, right = np.clip(boxes[:, 0], 0, width), np.clip(boxes[:, 2], 0, width)
    top, bottom = np.clip(boxes[:, 1], 0, height), np.clip(boxes[:, 3], 0, height)

    def upto(x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        i, j = np.minimum(x.astype(int), width - 1), np.minimum(y.astype(int), height - 1)
        fx, fy = x - i, y - j
        above = total[j, i] * (1 - fx) + total[j, i + 1] * fx
        below = total[j + 1, i] * (1 - fx) + total[j + 1, i + 1] * fx
        return np.asarray(above * (1 - fy) + below * fy)

    inside = upto(right, bottom) - upto(left, bottom) - upto(right, top) + upto(left, top)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.asarray(np.clip(inside / area, 0.0, 1.0))
