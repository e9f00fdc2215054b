"""CIELAB and lαβ in 32-bit floats, with one answer per color wherever the pixel stands.

OpenCV's own float CIELAB goes through interpolated tables (up to a grey level off on a round trip) and its
``transform`` differs in the last bit between the body and the tail of a row; neither would let a tabulated
color equal a computed one. So: tables of 256 for the levels, plain sums for the matrices, and ``cv2.pow`` and
``cv2.log``, which do give one answer per value.
"""

from abc import ABC, abstractmethod
from typing import final

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from histokin.types import RGB

Plane = Float32[np.ndarray, "h w"]
Planes = tuple[Plane, Plane, Plane]
Matrix = Float64[np.ndarray, "3 3"]

RGB_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
"""sRGB primaries, D65."""

D65 = np.array([0.95047, 1.0, 1.08883])

RGB_TO_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
LMS_TO_LAB = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array([[1.0, 1, 1], [1, 1, -2], [1, -1, 0]])
"""Reinhard et al., IEEE CG&A 2001, equations 4 and 6."""


_DARK, _DARK_ROOT = np.float32(0.008856), np.float32(0.008856 ** (1 / 3))
"""Where CIELAB's cube root gives way to a straight line, and the root there."""

_ROOTS = np.arange(65536) / 65535
_GAMMA = np.rint(255 * np.where(_ROOTS**2 > 0.0031308, 1.055 * _ROOTS ** (2 / 2.4) - 0.055, 12.92 * _ROOTS**2)).astype(
    np.uint8
)
"""8-bit sRGB level by the square root of linear light, in which it is nearly straight: 0.003 levels a step."""


def times(matrix: Matrix, planes: Planes) -> Planes:
    """A 3x3 matrix on three planes, summed left to right."""
    x, y, z = planes
    m = matrix.astype(np.float32)
    a, b, c = (row[0] * x + row[1] * y + row[2] * z for row in m)
    return a, b, c


def by_levels(table: Float64[np.ndarray, "256"], image: RGB) -> Planes:
    """Three planes of a function of the grey level."""
    lut = table.astype(np.float32)
    r, g, b = (cv2.LUT(plane, lut) for plane in cv2.split(image))
    return r, g, b


class ColorSpace(ABC):
    """Three decorrelated axes; the first is lightness."""

    @abstractmethod
    def forward(self, image: RGB) -> Planes:
        """The image on the three axes."""

    @abstractmethod
    def inverse(self, planes: Planes) -> RGB:
        """Back to pixels; what no pixel can show is clipped."""


@final
class Lab(ColorSpace):
    """CIELAB of sRGB, D65: lightness 0–100, a and b about ±100."""

    _LINEAR = np.where(
        np.arange(256) / 255 > 0.04045,
        ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4,
        np.arange(256) / 255 / 12.92,
    )
    _TO_XYZ = RGB_TO_XYZ / D65[:, None]
    _FROM_XYZ = np.linalg.inv(_TO_XYZ)
    _TO_LAB = np.array([[0.0, 116, 0], [500, -500, 0], [0, 200, -200]])
    _FROM_LAB = np.linalg.inv(_TO_LAB)

    def forward(self, image: RGB) -> Planes:
        x, y, z = (_cube_root(plane) for plane in times(self._TO_XYZ, by_levels(self._LINEAR, image)))
        light, a, b = times(self._TO_LAB, (x, y, z))
        return light - np.float32(16), a, b

    def inverse(self, planes: Planes) -> RGB:
        light, a, b = planes
        x, y, z = (_cube(p) for p in times(self._FROM_LAB, (light + np.float32(16), a, b)))
        image: RGB = cv2.merge([_gamma(plane) for plane in times(self._FROM_XYZ, (x, y, z))])
        return image

    def lightness(self, image: RGB) -> Plane:
        """The first axis alone."""
        r, g, b = by_levels(self._LINEAR, image)
        m = self._TO_XYZ[1].astype(np.float32)
        light: Plane = np.float32(116) * _cube_root(m[0] * r + m[1] * g + m[2] * b) - np.float32(16)
        return light


@final
class LAlphaBeta(ColorSpace):
    """Ruderman's lαβ as Reinhard used it: decimal logarithms of cone responses. Level I counts as (I + 1)/256."""

    _FROM_LMS = np.linalg.inv(RGB_TO_LMS)
    _FROM_LAB = np.linalg.inv(LMS_TO_LAB)

    def forward(self, image: RGB) -> Planes:
        cones = times(RGB_TO_LMS, by_levels((np.arange(256) + 1) / 256, image))
        x, y, z = (cv2.log(plane) * np.float32(1 / np.log(10)) for plane in cones)
        return times(LMS_TO_LAB, (x, y, z))

    def inverse(self, planes: Planes) -> RGB:
        logs = times(self._FROM_LAB, planes)
        x, y, z = (cv2.exp(np.minimum(plane, np.float32(9)) * np.float32(np.log(10))) for plane in logs)
        planes = times(self._FROM_LMS, (x, y, z))
        levels = (np.rint(plane * np.float32(256) - np.float32(1)) for plane in planes)
        image: RGB = cv2.merge([np.clip(level, 0, 255).astype(np.uint8) for level in levels])
        return image


@final
class Lab8(ColorSpace):
    """CIELAB through OpenCV's 8-bit conversion, cut to whole levels on the way back: one to two grey levels are lost.

    As StainTools and its descendants compute.
    """

    _SCALE = np.array([100 / 255, 1, 1], np.float32)
    _SHIFT = np.array([0, 128, 128], np.float32)

    def forward(self, image: RGB) -> Planes:
        lab = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2LAB).astype(np.float32)
        light, a, b = cv2.split((lab - self._SHIFT) * self._SCALE)
        return light, a, b

    def inverse(self, planes: Planes) -> RGB:
        lab = np.clip(np.stack(planes, axis=-1) / self._SCALE + self._SHIFT, 0, 255).astype(np.uint8)
        image: RGB = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
        return image


LAB = Lab()
LAB8 = Lab8()
SPACES: dict[str, ColorSpace] = {"lab": LAB, "lalphabeta": LAlphaBeta()}


def _cube_root(plane: Plane) -> Plane:
    root: Plane = cv2.pow(np.maximum(plane, _DARK), 1 / 3)
    root += np.minimum(plane - _DARK, np.float32(0)) * np.float32(7.787)
    return root


def _cube(plane: Plane) -> Plane:
    bright = np.maximum(plane, _DARK_ROOT)
    cube: Plane = bright * bright * bright
    cube += np.minimum(plane - _DARK_ROOT, np.float32(0)) * np.float32(1 / 7.787)
    return cube


def _gamma(plane: Plane) -> UInt8[np.ndarray, "h w"]:
    root = np.sqrt(np.clip(plane, np.float32(0), np.float32(1)))
    level: UInt8[np.ndarray, "h w"] = _GAMMA[(root * np.float32(65535) + np.float32(0.5)).astype(np.int32)]
    return level
