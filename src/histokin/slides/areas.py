"""Areas drawn on a slide: polygons with holes, in level-0 pixels, and the class they were given."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import cv2
import numpy as np
from jaxtyping import Float64

from histokin.types import Mask, Region

Ring = Float64[np.ndarray, "_ 2"]
"""Corners of a closed line, x and y in level-0 pixels; the first is not repeated at the end."""

LEAST_CORNERS = 3


@final
@dataclass(frozen=True, eq=False)
class Polygon:
    """An outline and the holes in it."""

    outer: Ring
    holes: tuple[Ring, ...] = ()

    @property
    def size(self) -> float:
        """Area in level-0 pixels."""
        return max(0.0, ring_area(self.outer) - sum(ring_area(hole) for hole in self.holes))

    def inside(self, region: Region) -> float:
        """Area in level-0 pixels of what lies in ``region``; exact where no line crosses itself."""
        rings = (self.outer, *self.holes)
        first, *rest = (ring_area(_clipped(ring, region)) for ring in rings)
        return max(0.0, first - sum(rest))


@final
@dataclass(frozen=True, eq=False)
class Area:
    """One drawn object. ``label`` is its class, empty where it has none; ``measurements`` are named numbers."""

    label: str
    polygons: tuple[Polygon, ...]
    name: str = ""
    measurements: Mapping[str, float] = field(default_factory=dict)

    @property
    def size(self) -> float:
        """Area in level-0 pixels."""
        return sum(polygon.size for polygon in self.polygons)

    @property
    def bounds(self) -> Region:
        """The smallest rectangle of whole pixels around all polygons."""
        corners = np.concatenate([polygon.outer for polygon in self.polygons])
        left, top = (math.floor(v + 1e-6) for v in corners.min(axis=0).tolist())
        right, bottom = (math.ceil(v - 1e-6) for v in corners.max(axis=0).tolist())
        return Region(left, top, max(1, right - left), max(1, bottom - top))

    def share(self, region: Region) -> float:
        """How much of ``region`` lies in the area, 0 to 1. Polygons of one area are taken not to overlap."""
        found = sum(polygon.inside(region) for polygon in self.polygons)
        return min(1.0, found / (region.width * region.height))

    def mask(self, region: Region, width: int, height: int) -> Mask:
        """The area within ``region`` drawn on ``width`` x ``height`` pixels; a pixel on the line belongs to it."""
        scale = np.array([width / region.width, height / region.height])
        plane = np.zeros((height, width), np.uint8)
        for polygon in self.polygons:
            one = np.zeros_like(plane)
            rings = [(ring - (region.x, region.y)) * scale - 0.5 for ring in (polygon.outer, *polygon.holes)]
            # sixteenths of a pixel; far corners stay within OpenCV's 32 bits
            fixed = [np.clip(np.rint(ring * 16), -(2**29), 2**29).astype(np.int32) for ring in rings]
            cv2.fillPoly(one, fixed, 1, cv2.LINE_8, 4)
            plane |= one
        return plane > 0


@final
@dataclass(frozen=True, eq=False)
class Annotations:
    """What one file says. ``passed_over`` names objects that are no areas (points, lines, cells, ...), and why."""

    path: Path
    format: str
    areas: tuple[Area, ...]
    passed_over: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes that occur, sorted."""
        return tuple(sorted({area.label for area in self.areas if area.label}))


def rectangle(region: Region) -> Polygon:
    """The region as a polygon."""
    right, bottom = region.x + region.width, region.y + region.height
    corners = [(region.x, region.y), (right, region.y), (right, bottom), (region.x, bottom)]
    return Polygon(np.array(corners, np.float64))


def ring_area(ring: Ring) -> float:
    """Area that a closed line surrounds, in squared units of its corners (shoelace formula, without sign)."""
    return abs(signed_area(ring))


def signed_area(ring: Ring) -> float:
    """Positive where the corners go from x towards y, clockwise on a screen whose y points down."""
    if len(ring) < LEAST_CORNERS:
        return 0.0
    x, y = (ring - ring[0]).T
    return float(0.5 * (x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _clipped(ring: Ring, region: Region) -> Ring:
    """The ring cut to a rectangle (Sutherland and Hodgman, Comm. ACM 17:32, 1974).

    A ring that leaves and comes back is joined along the border, which adds nothing to its area.
    """
    sides = (
        (0, 1.0, region.x),
        (0, -1.0, region.x + region.width),
        (1, 1.0, region.y),
        (1, -1.0, region.y + region.height),
    )
    for axis, sign, at in sides:
        if not len(ring):
            break
        depth = sign * (ring[:, axis] - at)
        follows, beyond = np.roll(ring, -1, axis=0), np.roll(depth, -1)
        within = depth >= 0
        crosses = within != (beyond >= 0)
        span = np.where(crosses, depth - beyond, 1.0)
        meets = ring + (depth / span)[:, None] * (follows - ring)
        both = np.stack([ring, meets], axis=1)
        ring = both[np.stack([within, crosses], axis=1)]
    return ring
