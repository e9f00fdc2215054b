"""Non-negative lasso with two atoms, solved exactly, and the density map that rests on it."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from jaxtyping import Float32, Float64

from histokin.stain.color_map import by_blocks
from histokin.stain.density_map import MAX_EXPONENT
from histokin.stain.optical_density import OpticalDensity
from histokin.types import RGB

CONCENTRATION_PENALTY = 0.01
"""Weight of the penalty when concentrations are found for known stains (StainTools)."""

CONCENTRATIONS = {"lasso": CONCENTRATION_PENALTY, "least-squares": None}
"""The two ways of finding concentrations, and the penalty of each."""

BRIGHTEST = np.float32(-8.0)
"""Density below which even the faintest lamp (one grey level) gives full white; the exponential stops there."""


@final
@dataclass(frozen=True)
class _Pair:
    """What the solution needs of the two atoms: squared lengths ``a`` and ``b``, inner product ``g``."""

    a: float
    b: float
    g: float

    @classmethod
    def of(cls, atoms: Float64[np.ndarray, "f 2"]) -> "_Pair":
        one, two = atoms.T
        return cls(float((one * one).sum()), float((two * two).sum()), float((one * two).sum()))

    @property
    def gain(self) -> float:
        return self.a * self.b / (self.a * self.b - self.g * self.g)


def lasso(
    samples: Float64[np.ndarray, "n f"], atoms: Float64[np.ndarray, "f 2"], penalty: float | int
) -> Float64[np.ndarray, "n 2"]:
    """The codes ``c >= 0`` that minimize ``|s - atoms · c|² / 2 + penalty · (c1 + c2)`` for every sample ``s``.

    In closed form. With ``p1``, ``p2`` the best code of either atom on its own (before clipping at 0) and ``u``
    the joint minimum without the sign, the second code is ``max(0, min(p2, u2))`` when the atoms make an acute
    angle and ``max(0, p2, u2)`` otherwise; the first is then the best one given the second. The atoms must not
    be parallel, nor zero.
    """
    pair = _Pair.of(atoms)
    alone = (samples @ atoms - penalty) / np.array([pair.a, pair.b])
    p1, p2 = alone.T
    joint = (p2 - pair.g / pair.b * p1) * pair.gain
    c2 = np.maximum(np.minimum(p2, joint) if pair.g >= 0 else np.maximum(p2, joint), 0)
    c1 = np.maximum(p1 - pair.g / pair.a * c2, 0)
    codes: Float64[np.ndarray, "n 2"] = np.stack([c1, c2], axis=1)
    return codes


@final
@dataclass(frozen=True, eq=False)
class DensityLasso:
    """``I' = inverse(outer · lasso(stains, forward(I)))``: not linear, but a function of one pixel's color.

    ``stains`` (3x2) are the source's columns, ``outer`` (3x2) the target's, scaled.
    """

    density: OpticalDensity
    stains: Float64[np.ndarray, "3 2"]
    outer: Float64[np.ndarray, "3 2"]
    penalty: float

    @property
    def safe(self) -> bool:
        """False when a stain is made so much stronger that its faintest trace would come out as tissue."""
        return bool(np.abs(self.outer).max() * np.abs(self.density.table).max() <= MAX_EXPONENT)

    def exact(self, image: RGB) -> RGB:
        """Computed in 64-bit floats: slow, the definition."""
        codes = lasso(self.density.forward(image).reshape(-1, 3), self.stains, self.penalty)
        return self.density.inverse((codes @ self.outer.T).reshape(image.shape))

    @cached_property
    def _alone(self) -> list[list[Float32[np.ndarray, "256"]]]:
        """For either stain three tables; their sum is its code when it is alone, before clipping."""
        pair = _Pair.of(self.stains)
        weights = self.stains.T / np.array([[pair.a], [pair.b]])
        tables = weights[:, :, None] * self.density.table
        tables[:, 0] -= np.array([[self.penalty / pair.a], [self.penalty / pair.b]])
        return [[np.ascontiguousarray(table.astype(np.float32)) for table in stain] for stain in tables]

    def fast(self, image: RGB) -> RGB:
        """Computed in 32-bit floats, every number by itself: one color gets the same bytes in any company."""
        import cv2

        pair = _Pair.of(self.stains)
        to_first, to_second = np.float32(pair.g / pair.a), np.float32(pair.g / pair.b)
        gain, acute = np.float32(pair.gain), pair.g >= 0
        outer, bounded = self.outer.astype(np.float32), bool((self.outer >= 0).all())
        white, offset = np.float32(self.density.white), np.float32(self.density.offset)
        zero, top = np.float32(0), np.float32(255)

        def strip(pixels: RGB) -> RGB:
            planes = cv2.split(pixels)
            p1, p2 = (sum_of([cv2.LUT(*pair) for pair in zip(planes, luts, strict=True)]) for luts in self._alone)
            joint = (p2 - to_second * p1) * gain
            c2 = np.maximum(np.minimum(p2, joint) if acute else np.maximum(p2, joint), zero)
            c1 = np.maximum(p1 - to_first * c2, zero)
            levels = []
            for one, two in outer:
                density = c1 * one + c2 * two
                if not bounded:
                    np.maximum(density, BRIGHTEST, out=density)
                light = np.exp(np.negative(density, out=density), out=density)
                light *= white
                if offset:
                    light += offset
                np.rint(np.clip(light, zero, top, out=light), out=light)
                levels.append(light.astype(np.uint8))
            merged: RGB = cv2.merge(levels)
            return merged

        return by_blocks(image, strip)


def sum_of(planes: list[Float32[np.ndarray, "*shape"]]) -> Float32[np.ndarray, "*shape"]:
    """Three planes added up, in their order."""
    r, g, b = planes
    total: Float32[np.ndarray, "*shape"] = r + g
    total += b
    return total
