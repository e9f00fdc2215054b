"""Color maps that are linear in optical density: a 3x3 matrix between two logarithms."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from histokin.stain.color_map import Product, by_blocks
from histokin.stain.optical_density import OpticalDensity
from histokin.types import RGB

Plane = UInt8[np.ndarray, "h w"]

MAX_EXPONENT = 40.0
"""Largest exponent in a table. Products of three then neither overflow 32-bit floats nor lose a level."""


@final
@dataclass(frozen=True, eq=False)
class DensityMatrix:
    """``I' = inverse(matrix · forward(I))``: exactly, and as a product of tables.

    ``matrix`` is 3x3, output channel by input channel.
    """

    density: OpticalDensity
    matrix: Float64[np.ndarray, "3 3"]

    @property
    def safe(self) -> bool:
        """False when the matrix amplifies so much that tables of 32-bit floats would not hold it."""
        return bool(np.abs(self.matrix).max() * np.abs(self.density.table).max() <= MAX_EXPONENT)

    @cached_property
    def product(self) -> Product:
        """Nine tables; within one grey level of :meth:`exact` for every color (about 1 value in 50,000 differs)."""
        exponents = -self.matrix.T[:, None, :] * self.density.table[None, :, None]
        tables = np.exp(exponents)
        tables[0] *= self.density.white
        return Product(tables.astype(np.float32), self.density.offset)

    @cached_property
    def _luts(self) -> list[list[Float32[np.ndarray, "256"]]]:
        tables = self.product.tables
        return [[np.ascontiguousarray(tables[k, :, c]) for k in range(3)] for c in range(3)]

    @cached_property
    def _overflows(self) -> bool:
        """True when some color may be brighter than a 32-bit integer holds, where OpenCV would wrap to black."""
        brightest = self.product.tables.max(axis=1).astype(np.float64).prod(axis=0)
        return bool(brightest.max() >= 2**30)

    def exact(self, image: RGB) -> RGB:
        """Computed in 64-bit floats, pixel by pixel: slow, the definition."""
        return self.density.inverse(self.density.forward(image) @ self.matrix.T)

    def fast(self, image: RGB) -> RGB:
        """Computed by the product of tables: the same bytes as the compiled loop gives."""
        import cv2

        offset, clamp = self.product.offset, self._overflows

        def channel(planes: Sequence[Plane], luts: list[Float32[np.ndarray, "256"]]) -> Plane:
            r, g, b = (cv2.LUT(plane, lut) for plane, lut in zip(planes, luts, strict=True))
            level: Plane
            if not offset and not clamp:
                level = cv2.multiply(cv2.multiply(r, g), b, dtype=cv2.CV_8U)
            else:
                light = cv2.multiply(cv2.multiply(r, g), b)
                np.minimum(light, np.float32(256), out=light)
                # An array: OpenCV rounds before it adds a number, and takes a number for a column of four.
                level = cv2.add(light, np.full_like(light, offset), dtype=cv2.CV_8U)
            return level

        def strip(pixels: RGB) -> RGB:
            planes = cv2.split(pixels)
            merged: RGB = cv2.merge([channel(planes, luts) for luts in self._luts])
            return merged

        return by_blocks(image, strip)
