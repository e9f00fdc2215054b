"""Where the tissue is, at a fixed physical resolution; ink and folds told apart from it."""

import math
from dataclasses import dataclass, field
from typing import final

import cv2
import numpy as np

from histokin.types import RGB, Mask

MASK_MPP = 8.0
"""Microns per pixel of masks."""

LEAST_SATURATION = 14
"""Below this (0 to 255) nothing is tissue: glass, white balance and JPEG noise stay under it."""

MOST_SATURATION = 40
"""Above this everything is tissue, or Otsu would split a section without glass into dark and pale."""

LEAST_SEPARATION = 12.0
"""Mean saturations of the two classes must lie this far apart, or there is only one class."""

LONE_SATURATION = 26
"""Where both classes look alike, or neither looks like glass, tissue is what is more saturated than this."""

SMALL_UM2 = 10_000.0
"""Specks of tissue and holes in it smaller than this are cleaned away."""

PEN_UM2 = 40_000.0
"""A pen stroke is larger than this."""

LUMINOSITY = 0.8


@final
@dataclass(frozen=True)
class TissueMask:
    """Masks of equal shape at ``mpp`` microns per pixel: tissue (without ink), ink, folded tissue.

    ``threshold`` is the saturation (0 to 255) that told tissue from glass; ``counts`` are mask pixels.
    """

    mask: Mask
    mpp: float
    pen: Mask
    fold: Mask
    threshold: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        """Share of the slide that is tissue, 0 to 1."""
        return float(self.mask.mean())


def tissue_mask(overview: RGB, mpp: float, *, pens: bool = True) -> TissueMask:
    """Find tissue in an overview of a slide (8-bit RGB at ``mpp`` microns per pixel, best ``MASK_MPP``).

    Otsu's threshold (IEEE Trans. SMC 9:62, 1979) on HSV saturation, held between two bounds because plain
    Otsu splits whatever it gets: a blank slide into two kinds of noise, a section without glass into dark and
    pale. Ink that no stain for hematoxylin and eosin resembles (green, strongly blue, black) is taken out
    first; switch that off with ``pens=False`` for stains with a green or blue counterstain.
    """
    smooth = np.asarray(cv2.GaussianBlur(overview, (3, 3), 0), np.uint8)
    hsv = np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2HSV), np.uint8)
    nothing = np.zeros(overview.shape[:2], bool)
    pen = _pen(smooth, hsv, mpp) if pens else nothing
    saturation = hsv[..., 1]
    threshold = _threshold(saturation[~pen])
    tissue = _clean((saturation > threshold) & ~pen, mpp) & ~pen
    fold = _folds(smooth, hsv, tissue, mpp) if tissue.any() else nothing
    counts = {
        "pixels": int(tissue.size),
        "tissue": int(tissue.sum()),
        "pen": int(pen.sum()),
        "fold": int(fold.sum()),
    }
    return TissueMask(tissue, mpp, pen, fold, threshold, counts)


def luminosity_fraction(image: RGB) -> float:
    """Share of pixels (0 to 1) darker than 0.8 in CIELAB lightness: the tissue rule for loose patches."""
    lightness = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB))[..., 0]
    return float((lightness < LUMINOSITY * 255).mean())


def is_blank(image: RGB) -> bool:
    """True for a picture of one color: white, black or other, give or take compression noise.

    All but 1 % of the pixels lie within 12 grey levels in every channel.
    """
    low, high = np.percentile(image.reshape(-1, 3), (0.5, 99.5), axis=0)
    return bool((high - low <= 12).all())


def _threshold(saturation: np.ndarray) -> int:
    """Saturation above which a pixel is tissue."""
    if saturation.size == 0:
        return 255
    histogram = np.bincount(saturation.ravel(), minlength=256).astype(float)
    levels = np.arange(256)
    below, mass = np.cumsum(histogram), np.cumsum(histogram * levels)
    above = below[-1] - below
    low = mass / np.maximum(below, 1)
    high = (mass[-1] - mass) / np.maximum(above, 1)
    best = int(np.argmax(below * above * (high - low) ** 2))
    if high[best] - low[best] < LEAST_SEPARATION or low[best] > LONE_SATURATION:
        return LONE_SATURATION
    return min(max(best, LEAST_SATURATION), MOST_SATURATION)


def _pen(smooth: RGB, hsv: RGB, mpp: float) -> Mask:
    """Green, strongly blue and black ink in strokes; hue is in OpenCV's half degrees.

    Hematoxylin lies at hues of 235 to 300 degrees or is far less saturated at this resolution; eosin is red.
    """
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    green = (hue >= 35) & (hue < 90) & (saturation >= 70) & (value >= 30)
    blue = (hue >= 90) & (hue <= 118) & (saturation >= 160)
    chroma = smooth.max(axis=2).astype(np.int16) - smooth.min(axis=2)
    black = (value <= 80) & (chroma <= 30)
    ink = _without_small(green | blue | black, PEN_UM2 / mpp**2)
    if not ink.any():
        return ink
    reach = _odd(32 / mpp)  # the stroke's pale rim
    rim = cv2.dilate(ink.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    return np.asarray(rim, bool)


def _folds(smooth: RGB, hsv: RGB, tissue: Mask, mpp: float) -> Mask:
    """Tissue lying double: its optical density is about twice the usual, and its saturation high."""
    density = -np.log((smooth.astype(np.float32) + 1) / 256).mean(axis=2)
    saturation = hsv[..., 1].astype(np.float32)
    usual = float(np.median(density[tissue]))
    spread = 1.4826 * float(np.median(np.abs(density[tissue] - usual)))
    dark = density > max(1.8 * usual, usual + 3 * spread)
    vivid = saturation > float(np.median(saturation[tissue])) + 30
    return _without_small(dark & vivid & tissue, SMALL_UM2 / 2 / mpp**2)


def _clean(mask: Mask, mpp: float) -> Mask:
    """Bridge gaps of 40 µm, drop small specks, fill small holes."""
    reach = _odd(40 / mpp)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    pad = reach
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, kernel)[pad:-pad, pad:-pad] > 0
    kept = _without_small(np.asarray(closed, bool), SMALL_UM2 / mpp**2)
    return ~_without_small(~kept, SMALL_UM2 / mpp**2)


def _without_small(mask: Mask, least_px: float) -> Mask:
    """Drop connected parts of fewer pixels; never asks for more than a quarter of the whole picture."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= min(least_px, mask.size / 4)
    keep[0] = False
    return np.asarray(keep[labels], bool)


def _odd(size: float) -> int:
    return max(1, math.ceil((size - 1) / 2) * 2 + 1)
