"""How good a normalized image is: near its target, true to its source, and alike within a group.

Images are ``uint8`` RGB, "h w 3". Structural similarity: Wang et al., IEEE Trans Image Processing 2004, with the
settings that the published stain figures use (11 x 11 Gaussian window, sigma 1.5, sample covariance).
"""

import numpy as np
from jaxtyping import Float64, UInt8

from histokin.errors import UsageError
from histokin.types import RGB

WINDOW, SIGMA, K1, K2, RANGE = 11, 1.5, 0.01, 0.03, 255.0
TISSUE = 0.8
"""Lightness (mean of the channels over 255) from which a pixel counts as background for :func:`nmi`."""

Plane = Float64[np.ndarray, "h w"]
Any3 = UInt8[np.ndarray, "_ _ 3"]


def psnr(one: Any3, other: Any3) -> float:
    """Peak signal-to-noise ratio in dB: ``10 log10(255² / MSE)`` over all values; infinite for equal images.

    Raises :class:`UsageError` for images of different sizes.
    """
    _same_size(one, other)
    error = float(((one.astype(np.float64) - other) ** 2).mean())
    return float("inf") if error == 0 else float(10 * np.log10(RANGE**2 / error))


def ssim_target(normalized: Any3, target: Any3) -> float:
    """Structural similarity with an aligned target: mean over the three channels. 1 for equal images.

    Raises :class:`UsageError` for images of different sizes, or smaller than the window of 11 pixels.
    """
    _same_size(normalized, target)
    pairs = zip(np.moveaxis(normalized, 2, 0), np.moveaxis(target, 2, 0), strict=True)
    return float(np.mean([_ssim(a.astype(np.float64), b.astype(np.float64)) for a, b in pairs]))


def ssim_source(normalized: Any3, source: Any3) -> float:
    """How much structure is kept: similarity of the two in gray, each stretched from its own darkest to brightest.

    So a change ``a * x + b`` of all gray levels costs nothing. Raises as :func:`ssim_target`.
    """
    _same_size(normalized, source)
    return _ssim(_stretched(normalized), _stretched(source))


def nmi(image: Any3, *, tissue_only: bool = False) -> float:
    """Normalized median intensity: median over 95th percentile of the pixels' mean of red, green and blue.

    1 for an image of one gray level, and for a black one. ``tissue_only`` leaves out pixels brighter than 0.8
    (the whole image counts where nothing else is left).
    """
    u = image.reshape(-1, 3).mean(axis=1)
    if tissue_only and (u < TISSUE * RANGE).any():
        u = u[u < TISSUE * RANGE]
    top = float(np.percentile(u, 95)) if len(u) else 0.0
    return float(np.median(u)) / top if top > 0 else 1.0


def nmi_spread(values: Float64[np.ndarray, "n"] | list[float] | tuple[float, ...]) -> tuple[float, float]:
    """Standard deviation (divided by n) of the images' NMI, and that over their mean (coefficient of variation)."""
    v = np.asarray(values, np.float64)
    if not len(v):
        return float("nan"), float("nan")
    sd, mean = float(v.std()), float(v.mean())
    return sd, sd / mean if mean else float("nan")


def line_profile(
    image: RGB, start_xy: tuple[float | int, float | int], end_xy: tuple[float | int, float | int]
) -> Float64[np.ndarray, "n"]:
    """Gray levels (0 to 255) along a segment, one per pixel of its length, both ends included; bilinear."""
    import cv2

    gray = _gray(image)
    (x0, y0), (x1, y1) = start_xy, end_xy
    count = int(np.ceil(np.hypot(x1 - x0, y1 - y0) + 1))
    xs = np.linspace(x0, x1, count).astype(np.float32)[None]
    ys = np.linspace(y0, y1, count).astype(np.float32)[None]
    sampled = cv2.remap(gray.astype(np.float32), xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    profile: Float64[np.ndarray, "n"] = sampled[0].astype(np.float64)
    return profile


def _gray(image: Any3) -> Plane:
    """Rec. 601 luma as 8-bit levels, as OpenCV rounds it."""
    import cv2

    levels: Plane = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float64)
    return levels


def _stretched(image: Any3) -> Plane:
    gray = _gray(image)
    low, high = float(gray.min()), float(gray.max())
    stretched: Plane = (gray - low) / (high - low) * RANGE if high > low else np.zeros_like(gray)
    return stretched


def _ssim(one: Float64[np.ndarray, "h w"], other: Float64[np.ndarray, "h w"]) -> float:
    import cv2

    side = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-0.5 * (side / SIGMA) ** 2)
    weights /= weights.sum()

    def mean(plane: Plane) -> Plane:
        blurred: Plane = cv2.sepFilter2D(plane, cv2.CV_64F, weights, weights, borderType=cv2.BORDER_REFLECT)
        return blurred

    sample = WINDOW**2 / (WINDOW**2 - 1)
    ux, uy = mean(one), mean(other)
    vx, vy, vxy = (
        sample * (mean(a * b) - ma * mb)
        for a, b, ma, mb in ((one, one, ux, ux), (other, other, uy, uy), (one, other, ux, uy))
    )
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    map_ = ((2 * ux * uy + c1) * (2 * vxy + c2)) / ((ux**2 + uy**2 + c1) * (vx + vy + c2))
    edge = WINDOW // 2
    return float(map_[edge:-edge, edge:-edge].mean())


def _same_size(one: Any3, other: Any3) -> None:
    if one.shape != other.shape:
        sizes = " and ".join(f"{image.shape[1]} x {image.shape[0]}" for image in (one, other))
        raise UsageError(f"images of {sizes} pixels cannot be compared", remedy="Give aligned images of one size")
    if min(one.shape[:2]) < WINDOW:
        raise UsageError(
            f"an image of {one.shape[1]} x {one.shape[0]} pixels is smaller than the window of {WINDOW}",
            remedy="Give larger images",
        )
