"""Synthetic tissue with shapes in it: where hematoxylin and eosin lie, and which pixels are nuclei or glass.

Two texture classes: ``sparse`` (round glands with one ring of small nuclei, thin scattered nuclei between them)
and ``crowded`` (large, uneven, overlapping nuclei around slit-like lumina).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from histokin.errors import UsageError

CLASSES = ("sparse", "crowded")
"""Labels, in the order of growing disorder."""

LEAST_PX = 32

Plane = Float32[np.ndarray, "h w"]
Coverage = UInt8[np.ndarray, "px px"]


@final
@dataclass(frozen=True, eq=False)
class Tissue:
    """One field of synthetic tissue.

    ``concentrations`` "h w 2" are of hematoxylin and eosin, 0 and more; ``nuclei`` and ``glass`` are the pixels
    of nuclei and of background.
    """

    label: str
    concentrations: Float32[np.ndarray, "h w 2"]
    nuclei: Bool[np.ndarray, "h w"]
    glass: Bool[np.ndarray, "h w"]


@final
@dataclass(frozen=True)
class _Style:
    """What tells one class from the other; lengths in pixels."""

    glands: float  # per 100 x 100 pixels
    gland_radius: tuple[float, float]
    lumen: float  # share of the gland's radius
    slit: float  # short over long axis of a lumen
    layers: int  # rings of nuclei around a lumen
    radius: tuple[float, float]  # of a nucleus
    uneven: float  # standard deviation of log nuclear size
    gap: float  # distance between neighbors on a ring, in nuclear diameters
    scattered: float  # further nuclei per 100 x 100 pixels
    chromatin: float  # mean hematoxylin of a nucleus


STYLES = {
    "sparse": _Style(0.9, (24.0, 34.0), 0.5, 0.8, 1, (3.0, 4.0), 0.1, 1.5, 4.0, 0.95),
    "crowded": _Style(0.75, (26.0, 40.0), 0.22, 0.35, 3, (5.5, 8.0), 0.25, 0.85, 9.0, 1.2),
}


def tissue(label: str, *, px: int = 224, seed: int = 0) -> Tissue:
    """A square field of one class; the same label, size and seed give the same field.

    Raises
    ------
    UsageError
        for a class that is not one of :data:`CLASSES`, or fewer than 32 pixels.
    """
    if label not in STYLES:
        raise UsageError(f"no synthetic tissue is called '{label}'", remedy=f"Choose one of: {', '.join(CLASSES)}")
    if px < LEAST_PX:
        raise UsageError(f"{px} pixels are too few for tissue", remedy=f"Ask for {LEAST_PX} or more")
    rng = np.random.default_rng([seed, CLASSES.index(label)])
    style = STYLES[label]
    canvas = _Canvas(px, rng)
    centers = _places(rng, px, style.glands)
    for x, y in centers:
        canvas.gland(float(x), float(y), style)
    for x, y in _places(rng, px, style.scattered):
        canvas.nucleus(float(x), float(y), rng.uniform(0, np.pi), style, thin=label == "sparse")
    canvas.red_cells(int(rng.integers(0, 4)))
    return canvas.finish(label, style.chromatin)


def smooth_noise(rng: np.random.Generator, px: int, grain: float | int, stretch: float | int = 1) -> Plane:
    """Noise of mean 0 and deviation about 1 whose features are ``grain`` pixels wide (and ``stretch`` times longer)."""
    across, along = max(int(px / grain), 2), max(int(px / (grain * stretch)), 2)
    coarse = rng.standard_normal((across, along)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (px, px), interpolation=cv2.INTER_CUBIC))


def ellipse(
    plane: UInt8[np.ndarray, "h w"],
    x: float,
    y: float,
    long: float | int,
    short: float | int,
    turn: float | int,
    value: int,
) -> None:
    """Draw a filled ellipse into ``plane``; half axes in pixels, ``turn`` in radians."""
    # eighths of a pixel, so that small nuclei keep their size
    at, axes = (round(8 * x), round(8 * y)), (max(round(8 * long), 1), max(round(8 * short), 1))
    cv2.ellipse(plane, at, axes, float(np.degrees(turn)), 0, 360, value, -1, cv2.LINE_8, 3)


def stained(label: str, planes: Sequence[Coverage], chromatin: float, rng: np.random.Generator) -> Tissue:
    """Coverage (0 to 255) with epithelium, lumen, nuclei and red cells, in this order, as a field of stained tissue.

    Stroma with fibers, tears and the grain of chromatin are added; ``chromatin`` is the hematoxylin of a nucleus.
    """
    px = len(planes[0])
    epithelium, lumen, nuclei, red = (cv2.GaussianBlur(plane.astype(np.float32) / 255, (0, 0), 0.7) for plane in planes)
    fibers = smooth_noise(rng, px, 3, 6) if rng.random() < 0.5 else smooth_noise(rng, px, 3, 6).T
    stroma = 0.48 + 0.12 * fibers + 0.10 * smooth_noise(rng, px, 40)
    eosin = stroma + epithelium * (0.42 - stroma) + 0.8 * red
    blue = 0.04 + 0.10 * epithelium
    grains = 1 + 0.22 * smooth_noise(rng, px, 2.0)
    blue = blue * (1 - nuclei) + chromatin * nuclei * grains
    eosin = eosin * (1 - 0.75 * nuclei)
    torn = cv2.GaussianBlur((smooth_noise(rng, px, 70) > 1.7).astype(np.float32), (0, 0), 1.2)
    kept = (1 - lumen * (1 - np.clip(nuclei * 1.25, 0, 1))) * (1 - torn)
    both = np.stack([blue, eosin], axis=2) * kept[..., None]
    both *= 1 + 0.06 * rng.standard_normal(both.shape, dtype=np.float32)
    concentrations = np.maximum(both, 0).astype(np.float32) + np.float32(0.004)
    return Tissue(label, concentrations, nuclei * kept > 0.4, kept < 0.3)


def _places(rng: np.random.Generator, px: int, density: float) -> Float64[np.ndarray, "n 2"]:
    """Random places, about ``density`` per 100 x 100 pixels, reaching a little over the edge."""
    margin = 12
    count = max(int(rng.poisson(density * ((px + 2 * margin) / 100) ** 2)), 1)
    return rng.uniform(-margin, px + margin, (count, 2))


@final
class _Canvas:
    """Four planes that shapes are drawn on, as coverage from 0 to 255."""

    def __init__(self, px: int, rng: np.random.Generator) -> None:
        self._px, self._rng = px, rng
        self._epithelium, self._lumen, self._nuclei, self._red = (np.zeros((px, px), np.uint8) for _ in range(4))

    def gland(self, x: float, y: float, style: _Style) -> None:
        """A lumen, the epithelium around it, and rings of nuclei; what lay there before is covered."""
        radius = self._rng.uniform(*style.gland_radius)
        turn = self._rng.uniform(0, np.pi)
        hole = radius * style.lumen
        ellipse(self._nuclei, x, y, radius, radius * 0.85, turn, 0)
        ellipse(self._lumen, x, y, radius, radius * 0.85, turn, 0)
        ellipse(self._epithelium, x, y, radius, radius * 0.85, turn, 255)
        ellipse(self._lumen, x, y, hole, hole * style.slit, turn, 255)
        size = float(np.mean(style.radius))
        for layer in range(style.layers):
            ring = radius - size * 1.3 - layer * size * 1.7
            if ring <= hole:
                break
            count = int(2 * np.pi * ring / (2 * size * style.gap))
            for angle in np.arange(count) * (2 * np.pi / max(count, 1)) + self._rng.uniform(0, 1):
                along, across = ring * np.cos(angle), 0.85 * ring * np.sin(angle)
                dx = along * np.cos(turn) - across * np.sin(turn) + self._rng.normal(0, 0.15 * size)
                dy = along * np.sin(turn) + across * np.cos(turn) + self._rng.normal(0, 0.15 * size)
                self.nucleus(x + dx, y + dy, float(turn + angle), style)

    def nucleus(self, x: float, y: float, turn: float, style: _Style, *, thin: bool = False) -> None:
        """One nucleus, ``thin`` as those of fibroblasts."""
        radius = self._rng.uniform(*style.radius) * np.exp(self._rng.normal(0, style.uneven))
        short = radius * (0.4 if thin else self._rng.uniform(0.65, 0.95))
        shade = int(np.clip(self._rng.normal(200, 25), 120, 255))
        ellipse(self._nuclei, x, y, radius, float(short), turn, shade)

    def red_cells(self, count: int) -> None:
        """Small bright eosin disks, as red blood cells are."""
        for x, y in self._rng.uniform(0, self._px, (count, 2)):
            ellipse(self._red, float(x), float(y), 3.5, 3.5, 0.0, 255)

    def finish(self, label: str, chromatin: float) -> Tissue:
        """Coverage to concentrations: stroma with fibers, cytoplasm, chromatin, glass."""
        planes = (self._epithelium, self._lumen, self._nuclei, self._red)
        return stained(label, planes, chromatin, self._rng)
