"""Two-dimensional Krawtchouk descriptors: six invariants of the weighted neighborhood of a point.

Source: Sit and Kihara, "Comparison of Image Patches Using Local Moment Invariants", IEEE TIP 23, 2014, and DeVille,
Kihara, Sit, "2DKD: a toolkit for content-based local image search", 2020; written from the published formulas.
"""

from functools import cache
from math import comb, factorial
from typing import Any, final

import cv2
import numpy as np
from jaxtyping import Float64, Int64

from histokin.encoders.base import LocalFeatures, Points
from histokin.encoders.gray import gray
from histokin.errors import UsageError
from histokin.types import Image

ORDER = 3
BLOCK = 2048
"""Points described at once, to bound memory."""

INVARIANTS = ((2, 0), (0, 2), (1, 2), (2, 1), (3, 0), (0, 3))

Gray = Float64[np.ndarray, "h w"]
Moments = Float64[np.ndarray, "n 4 4"]


@final
class KrawtchoukPoints(LocalFeatures):
    """Six numbers (Q20, Q02, Q12, Q21, Q30, Q03) at the points of a grid where the image varies.

    The numbers do not change when the neighborhood is shifted with its point or turned; the last four change their
    sign when it is turned by 180 degrees, because an axis has no direction. Points lie at columns and rows ``m``,
    ``m + step``, ... up to the size minus ``m``, with ``m`` the larger of ``step`` and 20. Strength is the sample
    variance of brightness (0 to 1) in the frame.

    Parameters
    ----------
    step : distance of grid points in pixels.
    side : even side in pixels of the square that is described; images smaller than it have no points.
    frame : even side of the square whose variance must reach that of the whole image, for a point to be kept.
    varied : False keeps all points.
    """

    def __init__(self, *, step: int = 5, side: int = 40, frame: int = 40, varied: bool = True) -> None:
        if step < 1 or side < 6 or side % 2 or frame < 2 or frame % 2:
            raise UsageError(
                f"no Krawtchouk descriptors with step {step}, side {side} and frame {frame}",
                remedy="Give a step of at least 1, an even side of at least 6, and an even frame",
            )
        self._step, self._side, self._frame, self._varied = int(step), int(side), int(frame), varied

    @property
    def name(self) -> str:
        return "krawtchouk"

    @property
    def space(self) -> str:
        kept = f"frame{self._frame}" if self._varied else "all"
        return f"krawtchouk/step{self._step}/side{self._side}/{kept}"

    @property
    def dim(self) -> int:
        return len(INVARIANTS)

    @property
    def options(self) -> dict[str, Any]:
        return {"step": self._step, "side": self._side, "frame": self._frame, "varied": self._varied}

    def describe(self, image: Image) -> Points:
        """See :meth:`~histokin.encoders.base.LocalFeatures.describe`; points row by row."""
        pixels = gray(image) / 255.0
        height, width = pixels.shape
        margin = max(self._step, 20)
        rows, columns = (np.arange(margin, size - margin + 1, self._step) for size in (height, width))
        y, x = (part.ravel() for part in np.meshgrid(rows, columns, indexing="ij"))
        if min(height, width) < self._side or not len(y):
            return Points(np.empty((0, 2), np.float32), np.empty((0, self.dim), np.float32), np.empty(0, np.float32))
        spread = _variances(pixels, x, y, self._frame)
        kept = spread >= pixels.var(ddof=1) if self._varied else np.ones(len(x), bool)
        x, y, spread = x[kept], y[kept], spread[kept]
        values = invariants(pixels, x, y, self._side)
        seen = np.isfinite(values).all(axis=1)
        xy = np.stack([x, y], axis=1).astype(np.float32)
        return Points(xy[seen], values[seen].astype(np.float32), spread[seen].astype(np.float32))

    def describe_at(self, image: Image, x: int, y: int) -> Float64[np.ndarray, "6"]:
        """The six numbers at one column and row; not a number where the neighborhood is black.

        Raises
        ------
        UsageError
            when the image is smaller than the square, or the point is outside.
        """
        pixels = gray(image) / 255.0
        if min(pixels.shape) < self._side or not (0 <= x < pixels.shape[1] and 0 <= y < pixels.shape[0]):
            raise UsageError(
                f"no square of {self._side} pixels around ({x}, {y}) in an image of {pixels.shape[::-1]} pixels",
                remedy="Give a larger image or a smaller side",
            )
        found: Float64[np.ndarray, "6"] = invariants(pixels, np.array([x]), np.array([y]), self._side)[0]
        return found


def invariants(
    pixels: Gray, x: Int64[np.ndarray, "n"], y: Int64[np.ndarray, "n"], side: int
) -> Float64[np.ndarray, "n 6"]:
    """The six invariants at columns ``x`` and rows ``y``; not a number where the neighborhood is black.

    ``pixels`` in 0 to 1. The square is centered at the point where it fits, else moved to the border.
    """
    out = np.empty((len(x), len(INVARIANTS)))
    for start in range(0, len(x), BLOCK):
        part = slice(start, start + BLOCK)
        q = normalized(_moments(pixels, x[part], y[part], side), side)
        out[part] = np.stack([q[:, n, m] for n, m in INVARIANTS], axis=1)
    return out


def normalized(moments: Moments, side: int) -> Moments:
    """Krawtchouk moments ``Q[n, m]``, n + m <= 3, of the standardized neighborhood, from its plain moments.

    ``moments[:, i, j]`` is the sum of ``x^i y^j`` times the weighted brightness, x and y from the square's center.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        mass = moments[:, 0, 0]
        central = _shifted(moments, -moments[:, 1, 0] / mass, -moments[:, 0, 1] / mass)
        spread = central[:, 2, 0] - central[:, 0, 2]
        theta = 0.5 * np.arctan2(2 * central[:, 1, 1], spread)
        theta = np.where((central[:, 1, 1] == 0) & (spread < 0), -np.pi / 2, theta)
        turned = _turned(central, np.cos(theta), np.sin(theta))
        i, j = np.indices((ORDER + 1, ORDER + 1))
        scaled = turned / mass[:, None, None] ** (1 + (i + j) / 2)
        half = np.full(len(mass), (side - 1) / 2)
        standard = _shifted(scaled, half, half)
    basis = _polynomials(side - 1)
    return _upto(basis.T @ standard @ basis)


@cache
def _polynomials(top: int) -> Float64[np.ndarray, "4 4"]:
    """Column n: coefficients of the Krawtchouk polynomial of degree n on 0..top (p = 1/2), of unit norm."""
    out = np.zeros((ORDER + 1, ORDER + 1))
    for n in range(ORDER + 1):
        rising, term = np.array([1.0]), 1.0
        for k in range(n + 1):
            out[: k + 1, n] += term * rising
            # (-n)_k / ((-N)_k k!) 2^k, times (-x)_k as a polynomial in x.
            rising = np.convolve(rising, [float(k), -1.0])
            term *= 2.0 * (k - n) / ((k - top) * (k + 1))
        falling = float(np.prod([top - k for k in range(n)]))
        out[:, n] /= np.sqrt(factorial(n) / falling)
    return out


@cache
def _window(side: int) -> Float64[np.ndarray, "s"]:
    """Square root of the binomial weights of 0..side-1."""
    top = side - 1
    weights: Float64[np.ndarray, "s"] = np.sqrt(np.array([comb(top, k) / 2**top for k in range(side)]))
    return weights


def _moments(pixels: Gray, x: Int64[np.ndarray, "n"], y: Int64[np.ndarray, "n"], side: int) -> Moments:
    """Plain moments of the weighted squares, up to the third order in each direction."""
    left, across = _placed(x, pixels.shape[1], side)
    top, down = _placed(y, pixels.shape[0], side)
    squares = np.lib.stride_tricks.sliding_window_view(pixels, (side, side))[top, left]
    columns = np.einsum("nyx,nxi->nyi", squares, across, optimize=True)
    summed: Moments = np.einsum("nyi,nyj->nij", columns, down, optimize=True)
    return summed


def _placed(at: Int64[np.ndarray, "n"], size: int, side: int) -> tuple[Int64[np.ndarray, "n"], np.ndarray]:
    """First pixel of each square, and the window's weights times powers of the place, "n s 4"."""
    start = np.clip(at - side // 2, 0, size - side)
    gap = at - start - (side - 1) / 2
    shift = (np.sign(gap) * np.floor(np.abs(gap) + 0.5)).astype(np.int64)
    source = np.arange(side) - shift[:, None]
    inside = (source >= 0) & (source < side)
    weight = np.where(inside, _window(side)[np.clip(source, 0, side - 1)], 0.0)
    place = np.arange(side) - (side - 1) / 2
    return start, weight[..., None] * place[:, None] ** np.arange(ORDER + 1)


def _shifted(moments: Moments, by_x: Float64[np.ndarray, "n"], by_y: Float64[np.ndarray, "n"]) -> Moments:
    """Moments of the same mass with ``by_x`` and ``by_y`` added to every place; n + m <= 3."""
    matrices = []
    for by in (by_x, by_y):
        matrix = np.zeros((len(by), ORDER + 1, ORDER + 1))
        for i in range(ORDER + 1):
            for a in range(i + 1):
                matrix[:, i, a] = comb(i, a) * by ** (i - a)
        matrices.append(matrix)
    shifted: Moments = matrices[0] @ _upto(moments) @ matrices[1].transpose(0, 2, 1)
    return _upto(shifted)


def _turned(moments: Moments, cos: Float64[np.ndarray, "n"], sin: Float64[np.ndarray, "n"]) -> Moments:
    """Moments along ``x cos + y sin`` and ``y cos - x sin``."""
    out = np.zeros_like(moments)
    for i in range(ORDER + 1):
        for j in range(ORDER + 1 - i):
            for a in range(i + 1):
                for b in range(j + 1):
                    factor = comb(i, a) * cos ** (i - a) * sin**a * comb(j, b) * (-sin) ** (j - b) * cos**b
                    out[:, i, j] += factor * moments[:, i - a + j - b, a + b]
    return out


def _upto(moments: Moments) -> Moments:
    i, j = np.indices((ORDER + 1, ORDER + 1))
    kept: Moments = np.where(i + j <= ORDER, moments, 0.0)
    return kept


def _variances(
    pixels: Gray, x: Int64[np.ndarray, "n"], y: Int64[np.ndarray, "n"], frame: int
) -> Float64[np.ndarray, "n"]:
    """Sample variance of the ``frame`` x ``frame`` pixels around each point, cut off at the border."""
    centered = pixels - pixels.mean()
    once, twice = cv2.integral2(centered)
    left, right = np.maximum(x - frame // 2, 0), np.minimum(x + frame // 2, pixels.shape[1])
    top, bottom = np.maximum(y - frame // 2, 0), np.minimum(y + frame // 2, pixels.shape[0])

    def total(table: np.ndarray) -> np.ndarray:
        return np.asarray(table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left])

    count = (right - left) * (bottom - top)
    spread: Float64[np.ndarray, "n"] = (total(twice) - total(once) ** 2 / count) / np.maximum(count - 1, 1)
    floored: Float64[np.ndarray, "n"] = np.maximum(spread, 0.0)
    return floored
