"""SURF descriptors on a regular grid, at fixed scales, upright or oriented.

Source: Bay, Ess, Tuytelaars, Van Gool, "Speeded-Up Robust Features (SURF)", CVIU 110, 2008, sections 4.1 and 4.2; grid
and scales as in the bag of features that cross-modality retrieval of CoMIR images was published with.
"""

from collections.abc import Sequence
from typing import Any, final

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

from histokin.encoders.base import LocalFeatures, Points
from histokin.encoders.gray import gray
from histokin.encoders.surf_orientation import orientations
from histokin.errors import UsageError
from histokin.types import Image

SAMPLES = 20
SIGMA = 3.3
BLOCK = 4096
"""Oriented points described at once, to bound memory."""

OFFSETS = np.arange(SAMPLES) - (SAMPLES - 1) / 2
WEIGHTS = np.exp(-(OFFSETS**2) / (2 * SIGMA**2))

Haar = tuple[Int32[np.ndarray, "a b"], Int32[np.ndarray, "a b"]]


@final
class DenseSurf(LocalFeatures):
    """64 numbers at every grid point and width; 44,100 descriptors of an 834 x 834 image.

    A block of width ``w`` is described at the scale ``s = w / 20``: 20 x 20 Haar responses (right minus left, lower
    minus upper, half-width ``round(s)``) at distances ``s``, weighted by a Gaussian of 3.3 distances, summed in 4 x 4
    regions as (dx, dy, |dx|, |dy|), then scaled to unit length; zeros where nothing varies. Pixels beyond the border
    repeat those at it, so ``a * image + b`` with ``a > 0`` has the same descriptors.

    Points lie at columns and rows 0, step, 2 step, ... below the size; all points of the first width come first, row
    by row. Boxes have an even number of pixels: their center is the upper left corner of the point's pixel.

    Parameters
    ----------
    upright : False turns the samples of every point to its dominant direction (slower).
    step : distance of grid points in pixels.
    widths : sides of the described blocks in pixels, at least 8.
    """

    def __init__(self, *, upright: bool = True, step: int = 8, widths: Sequence[int] = (32, 64, 96, 128)) -> None:
        self._widths = tuple(int(width) for width in widths)
        if step < 1 or not self._widths or min(self._widths) < 8:
            raise UsageError(
                f"SURF with step {step} and widths {self._widths} describes nothing",
                remedy="Give a step of at least 1 and widths of at least 8 pixels",
            )
        self._upright, self._step = upright, int(step)

    @property
    def name(self) -> str:
        return "surf" if self._upright else "surf-oriented"

    @property
    def space(self) -> str:
        return f"{self.name}/step{self._step}/{'-'.join(map(str, self._widths))}"

    @property
    def dim(self) -> int:
        return 64

    @property
    def options(self) -> dict[str, Any]:
        return {"step": self._step, "widths": list(self._widths)}

    def describe(self, image: Image) -> Points:
        """See :meth:`~histokin.encoders.base.LocalFeatures.describe`; strength is the variance of the 64 numbers."""
        pixels = gray(image)
        rows, columns = np.arange(0, pixels.shape[0], self._step), np.arange(0, pixels.shape[1], self._step)
        margin = _margin(max(self._widths))
        total = cv2.integral(cv2.copyMakeBorder(pixels, margin, margin, margin, margin, cv2.BORDER_REPLICATE))
        describe = _upright if self._upright else _oriented
        raw = np.concatenate([describe(total, rows + margin, columns + margin, width / 20) for width in self._widths])
        descriptors = _unit(raw)
        y, x = np.meshgrid(rows, columns, indexing="ij")
        xy = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
        return Points(np.tile(xy, (len(self._widths), 1)), descriptors, descriptors.var(axis=1))


def oriented(*, step: int = 8, widths: Sequence[int] = (32, 64, 96, 128)) -> DenseSurf:
    """SURF in the dominant direction of every point."""
    return DenseSurf(upright=False, step=step, widths=widths)


def _margin(width: int) -> int:
    """Furthest pixel that a point at the border looks at: the corner of the turned square, and half a box."""
    scale = width / 20
    return int(np.ceil(np.hypot(9.5, 9.5) * scale)) + 2 * round(scale) + 2


def haar(total: Int32[np.ndarray, "a1 b1"], half: int) -> Haar:
    """Right minus left and lower minus upper box sums of every corner of the pixel grid; zero near the edge.

    ``total`` is the integral image; entry (y, x) of the result looks at rows ``y - half`` to ``y + half - 1``.
    """
    out = np.zeros(total.shape, np.int32), np.zeros(total.shape, np.int32)
    size = 2 * half
    inner = (slice(half, total.shape[0] - half), slice(half, total.shape[1] - half))
    tall = total[size:] - total[:-size]
    out[0][inner] = tall[:, size:] - 2 * tall[:, half:-half] + tall[:, :-size]
    wide = total[:, size:] - total[:, :-size]
    out[1][inner] = wide[size:] - 2 * wide[half:-half] + wide[:-size]
    return out


def _upright(
    total: Int32[np.ndarray, "a1 b1"], rows: Int64[np.ndarray, "r"], columns: Int64[np.ndarray, "c"], scale: float
) -> Float32[np.ndarray, "n 64"]:
    """All points share their sampling, so each sum is a separable sum of strided slices of the dense responses."""
    shifts = np.rint(OFFSETS * scale).astype(int)
    low, high = rows[0] + shifts[0], rows[-1] + shifts[-1] + 1
    left, right = columns[0] + shifts[0], columns[-1] + shifts[-1] + 1
    out = np.empty((len(rows), len(columns), 4, 4, 4), np.float32)
    for axis, response in enumerate(haar(total, round(scale))):
        signed = response[low:high, left:right].astype(np.float32)
        for channel, values in ((axis, signed), (axis + 2, np.abs(signed))):
            for band in range(4):
                down = _weighted(values, rows - low, shifts, band)
                for block in range(4):
                    out[:, :, band, block, channel] = _weighted(down.T, columns - left, shifts, block).T
    return out.reshape(-1, 64)


def _weighted(
    values: Float32[np.ndarray, "a b"], places: Int64[np.ndarray, "n"], shifts: Int64[np.ndarray, "20"], part: int
) -> Float32[np.ndarray, "n b"]:
    """Gaussian sum of the five rows that one region has beside every place."""
    step = int(places[1] - places[0]) if len(places) > 1 else 1
    total = np.zeros((len(places), values.shape[1]), np.float32)
    for sample in range(5 * part, 5 * part + 5):
        begin = int(places[0] + shifts[sample])
        total += np.float32(WEIGHTS[sample]) * values[begin : begin + step * (len(places) - 1) + 1 : step]
    return total


def _oriented(
    total: Int32[np.ndarray, "a1 b1"], rows: Int64[np.ndarray, "r"], columns: Int64[np.ndarray, "c"], scale: float
) -> Float32[np.ndarray, "n 64"]:
    """Every point has a sampling of its own: responses are fetched one by one and turned."""
    angles = orientations(haar(total, 2 * round(scale)), rows, columns, scale)
    responses = haar(total, round(scale))
    y, x = (part.ravel() for part in np.meshgrid(rows, columns, indexing="ij"))
    out = np.empty((len(y), 64), np.float32)
    for start in range(0, len(y), BLOCK):
        part = slice(start, start + BLOCK)
        out[part] = _turned(responses, y[part], x[part], angles[part], scale)
    return out


def _turned(
    responses: Haar,
    y: Int64[np.ndarray, "n"],
    x: Int64[np.ndarray, "n"],
    angles: Float64[np.ndarray, "n"],
    scale: float,
) -> Float32[np.ndarray, "n 64"]:
    v, u = (part.ravel() * scale for part in np.meshgrid(OFFSETS, OFFSETS, indexing="ij"))
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    at_x = np.rint(x[:, None] + u * cos - v * sin).astype(np.int64)
    at_y = np.rint(y[:, None] + u * sin + v * cos).astype(np.int64)
    flat = at_y * responses[0].shape[1] + at_x
    right, lower = (response.ravel()[flat].astype(np.float32) for response in responses)
    cos, sin = cos.astype(np.float32), sin.astype(np.float32)
    weight = np.outer(WEIGHTS, WEIGHTS).ravel().astype(np.float32)
    along, across = (right * cos + lower * sin) * weight, (lower * cos - right * sin) * weight
    parts = np.stack([along, across, np.abs(along), np.abs(across)], axis=-1)
    summed: Float32[np.ndarray, "n 64"] = parts.reshape(-1, 4, 5, 4, 5, 4).sum(axis=(2, 4)).reshape(-1, 64)
    return summed


def _unit(raw: Float32[np.ndarray, "n 64"]) -> Float32[np.ndarray, "n 64"]:
    length = np.sqrt((raw.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    unit: Float32[np.ndarray, "n 64"] = np.divide(raw, length, out=np.zeros_like(raw), where=length > 0)
    return unit
