"""Which pixels are tissue, for fitting. Too few of them is a status, not an exception."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from histokin.errors import UsageError
from histokin.types import Status

LUMINOSITY = 0.8
"""Lightness (0 to 1) from which a pixel is background."""

MINIMUM = 100
"""Tissue pixels below which nothing is estimated."""

RULES = ("all_above", "mean_above", "any_above")

TissueRule = Callable[[UInt8[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]], Bool[np.ndarray, "n"]]
"""Levels and densities of pixels to a mask of those that are tissue."""


def by_density(beta: float | int, rule: str = "all_above") -> TissueRule:
    """The rule of :func:`density_mask`."""
    return lambda _, density: density_mask(density, beta, rule)


def by_luminosity(threshold: float = LUMINOSITY) -> TissueRule:
    """The rule of :func:`luminosity_mask`."""
    return lambda pixels, _: luminosity_mask(pixels, threshold)


def luminosity_mask(pixels: UInt8[np.ndarray, "*shape 3"], threshold: float = LUMINOSITY) -> Bool[np.ndarray, "*shape"]:
    """True where CIELAB lightness, as an 8-bit number over 255, is below ``threshold`` (StainTools' mask)."""
    import cv2

    if not pixels.size:
        return np.zeros(pixels.shape[:-1], bool)
    lab = cv2.cvtColor(np.ascontiguousarray(pixels).reshape(-1, 1, 3), cv2.COLOR_RGB2LAB)
    mask: Bool[np.ndarray, "*shape"] = (lab[:, 0, 0] < threshold * 255).reshape(pixels.shape[:-1])
    return mask


def density_mask(
    density: Float64[np.ndarray, "*shape 3"], beta: float | int, rule: str = "all_above"
) -> Bool[np.ndarray, "*shape"]:
    """True where optical density is above ``beta``: in all channels, on the mean of them, or in any.

    ``all_above`` keeps a channel that equals ``beta``, as the common Macenko port does.
    """
    # channel by channel: a reduction over an axis of length 3 is many times slower
    r, g, b = (density[..., channel] for channel in range(3))
    if rule == "all_above":
        kept: Bool[np.ndarray, "*shape"] = (r >= beta) & (g >= beta) & (b >= beta)
        return kept
    if rule == "mean_above":
        return np.asarray((r + g + b) / 3 > beta)
    if rule == "any_above":
        return np.asarray((density > beta).any(axis=-1))
    raise UsageError(f"no tissue rule is called '{rule}'", remedy=f"Choose one of: {', '.join(RULES)}")


def enough(tissue: int, minimum: int = MINIMUM) -> Status:
    """``ok`` with at least ``minimum`` tissue pixels, else ``unchanged`` with the count."""
    if tissue >= minimum:
        return Status()
    return Status("unchanged", f"only {tissue} tissue pixels, {minimum} are needed")
