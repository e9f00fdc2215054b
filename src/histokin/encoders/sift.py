"""SIFT at the octaves of a 512-pixel image.

Source: Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", IJCV 60, 2004, as OpenCV implements it;
octaves and steps as in the comparison that cross-modality retrieval of CoMIR images was published with (4 x 4 regions
of 8 directions, octaves between 32 and 512 pixels, 4 steps an octave, sigma 1.6).
"""

from typing import Any, final

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from histokin.encoders.base import LocalFeatures, Points
from histokin.encoders.gray import gray
from histokin.errors import UsageError
from histokin.types import Image

STEPS = 4
SIGMA = 1.6
LEAST, MOST = 32, 512


@final
class Sift(LocalFeatures):
    """128 numbers at every extremum of the difference of Gaussians; how many there are depends on the image.

    An image whose longer side is above ``most`` pixels is halved until it is not; keypoints of the octave that OpenCV
    adds at twice that size, and of octaves with a side below ``least`` pixels, are left out. Thresholds of contrast
    and edges are OpenCV's own. Strength is the variance of the 128 numbers.

    Parameters
    ----------
    least, most : sides in pixels of the smallest and the largest octave.
    """

    def __init__(self, *, least: int = LEAST, most: int = MOST) -> None:
        if not 1 <= least <= most:
            raise UsageError(f"no octave is between {least} and {most} pixels", remedy="Give 1 <= least <= most")
        self._least, self._most = int(least), int(most)

    @property
    def name(self) -> str:
        return "sift"

    @property
    def space(self) -> str:
        return f"sift/octaves{self._least}-{self._most}/steps{STEPS}"

    @property
    def dim(self) -> int:
        return 128

    @property
    def options(self) -> dict[str, Any]:
        return {"least": self._least, "most": self._most}

    def describe(self, image: Image) -> Points:
        """See :meth:`~histokin.encoders.base.LocalFeatures.describe`; points are sorted by row, column and angle."""
        pixels, factor = self._reduced(gray(image))
        found, descriptors = cv2.SIFT.create(
            nOctaveLayers=STEPS, sigma=SIGMA, enable_precise_upscale=True
        ).detectAndCompute(pixels, None)
        kept = [i for i, point in enumerate(found) if self._within(point, min(pixels.shape))]
        if not kept:
            return Points(np.empty((0, 2), np.float32), np.empty((0, 128), np.float32), np.empty(0, np.float32))
        kept.sort(key=lambda i: (found[i].pt[1], found[i].pt[0], found[i].angle, found[i].size))
        xy = np.array([found[i].pt for i in kept], np.float32)
        values: Float32[np.ndarray, "n 128"] = descriptors[kept].astype(np.float32)
        # Pixel centers are at whole numbers: a reduced pixel's center lies between those it stands for.
        return Points((xy + 0.5) * np.float32(factor) - np.float32(0.5), values, values.var(axis=1))

    def _reduced(self, pixels: UInt8[np.ndarray, "h w"]) -> tuple[UInt8[np.ndarray, "a b"], int]:
        factor = 1
        while max(pixels.shape) / factor > self._most:
            factor *= 2
        if factor == 1:
            return pixels, 1
        size = (max(1, pixels.shape[1] // factor), max(1, pixels.shape[0] // factor))
        return cv2.resize(pixels[: size[1] * factor, : size[0] * factor], size, interpolation=cv2.INTER_AREA), factor

    def _within(self, point: cv2.KeyPoint, side: int) -> bool:
        octave = point.octave & 255
        octave = octave - 256 if octave >= 128 else octave
        return octave >= 0 and side / 2**octave >= self._least
