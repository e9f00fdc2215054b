"""Synthetic tissue that the pixel classifier learns from: mixtures of two stains, each pixel's class known.

No published classifier can be had, and no image ships with this package. So slides of many imagined laboratories
are made: other stain colors, other strengths, other lamps, other shares of nuclei and glass.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from histokin.stain.deconvolution import unit_columns
from histokin.stain.optical_density import OpticalDensity

BACKGROUND, EOSIN, HEMATOXYLIN = 0, 1, 2

LABORATORIES = 96
PIXELS = 1024
"""Pixels per laboratory."""

SEED = 20140601

HEMATOXYLIN_MEAN = np.array([0.62, 0.68, 0.36])
EOSIN_MEAN = np.array([0.16, 0.87, 0.42])
SPREAD = 0.07
"""Standard deviation of each component of a stain vector from laboratory to laboratory."""

LEAST_SEPARATION = 0.94
"""Largest cosine between a laboratory's two stains (20 degrees apart)."""


@final
@dataclass(frozen=True, eq=False)
class Tissue:
    """Pixels of one laboratory and the class of each."""

    pixels: UInt8[np.ndarray, "n 3"]
    classes: Int64[np.ndarray, "n"]


def laboratories(count: int = LABORATORIES, pixels: int = PIXELS, seed: int = SEED) -> list[Tissue]:
    """Tissue of ``count`` laboratories; the same at every call."""
    rng = np.random.default_rng(seed)
    return [_tissue(rng, pixels) for _ in range(count)]


def _stains(rng: np.random.Generator) -> Float64[np.ndarray, "3 2"]:
    while True:
        drawn = np.array([HEMATOXYLIN_MEAN, EOSIN_MEAN]).T + rng.normal(0, SPREAD, (3, 2))
        stains = unit_columns(np.maximum(drawn, 0.01))
        if stains[:, 0] @ stains[:, 1] <= LEAST_SEPARATION and stains[0, 0] > stains[0, 1]:
            return stains


def _tissue(rng: np.random.Generator, count: int) -> Tissue:
    """Nuclei, stroma, cells where both stains meet, and glass. A stained pixel's class is its stronger stain."""
    glass, mixed, nuclei = rng.uniform(0.05, 0.4), rng.uniform(0, 0.25), rng.uniform(0.2, 0.6)
    kind = np.where(rng.random(count) < nuclei, 2, 1)
    kind = np.where(rng.random(count) < mixed, 3, kind)
    kind = np.where(rng.random(count) < glass, 0, kind)
    strong_h, strong_e = rng.uniform(0.15, 0.45), rng.uniform(0.1, 0.35)
    faint_h, faint_e = rng.uniform(0.02, 0.15), rng.uniform(0.03, 0.2)
    h = np.choose(kind, _gammas(rng, count, ((1, 0.01), (1, faint_h), (4, strong_h), (2, strong_h))))
    e = np.choose(kind, _gammas(rng, count, ((1, 0.01), (3, strong_e), (1, faint_e), (2, strong_e))))
    lamp = rng.uniform(0.0, 0.1) + rng.uniform(0, 0.02, 3)
    noise = rng.normal(0, rng.uniform(0.005, 0.04), (count, 3))
    density = np.stack([h, e], axis=1) @ _stains(rng).T + lamp + noise
    stained = np.where(h > e, HEMATOXYLIN, EOSIN)
    return Tissue(OpticalDensity("od256").inverse(density), np.where(h + e < FAINTEST, BACKGROUND, stained))


FAINTEST = 0.12
"""Optical density below which a pixel counts as background."""


def _gammas(
    rng: np.random.Generator, count: int, parameters: tuple[tuple[float | int, float], ...]
) -> list[Float64[np.ndarray, "n"]]:
    return [rng.gamma(shape, scale, count) for shape, scale in parameters]
