"""Two sections of the same tissue laid over each other by one affine transform, before they are taken for a pair.

Source: G. D. Evangelidis, E. Z. Psarakis, Parametric image alignment using enhanced correlation coefficient
maximization, IEEE TPAMI 2008, as OpenCV has it; begun from the peak of the phase correlation.
"""

from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float32, UInt8

from histokin.errors import HistokinError

Pixels = UInt8[np.ndarray, "_ _ 3"]
Affine = Float32[np.ndarray, "2 3"]

LEVELS = ((16, 1.0), (8, 1.5), (4, 2.0), (2, 2.0))
"""How many times smaller, and the blur in pixels there, coarse to fine."""

RIGID_FROM = 8
"""Levels at least so many times smaller are moved and turned only."""

TURNS, ENOUGH = 200, 1e-6
"""Iterations of a level at most, and the change of the correlation that ends it before."""


@final
class Aligned(NamedTuple):
    """Both sections cut to what both show; ``correlation`` of their darkness at half the size, blurred."""

    fixed: Pixels
    moved: Pixels
    correlation: float


def align(fixed: Pixels, moving: Pixels) -> Aligned:
    """``moving`` laid over ``fixed``.

    Parameters
    ----------
    fixed, moving : brightfield images, at least 256 pixels on each side, of any two sizes.

    Raises
    ------
    HistokinError
        when no transform can be found.
    """
    import cv2

    height, width = (min(fixed.shape[axis], moving.shape[axis]) for axis in (0, 1))
    fixed, moving = fixed[:height, :width], moving[:height, :width]
    affine, correlation = _found(fixed, moving)
    size, how = (width, height), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = np.asarray(cv2.warpAffine(moving, affine, size, flags=how))
    shown = np.asarray(cv2.warpAffine(np.full((height, width), 255, np.uint8), affine, size, flags=how)) == 255
    box = covered(shown)
    return Aligned(np.ascontiguousarray(fixed[box]), np.ascontiguousarray(moved[box]), correlation)


def covered(shown: np.ndarray) -> tuple[slice, slice]:
    """A rectangle in which everything is shown: sides move inward, the one with most missing first."""
    top, left, (bottom, right) = 0, 0, shown.shape
    while top < bottom and left < right:
        box = shown[top:bottom, left:right]
        missing = [int((~edge).sum()) for edge in (box[0], box[-1], box[:, 0], box[:, -1])]
        worst = int(np.argmax(missing))
        if not missing[worst] and box.all():
            return slice(top, bottom), slice(left, right)
        top, bottom = top + (worst == 0), bottom - (worst == 1)
        left, right = left + (worst == 2), right - (worst == 3)
    raise HistokinError("the two sections do not overlap", remedy="Check that they are of the same tissue")


def _found(fixed: Pixels, moving: Pixels) -> tuple[Affine, float]:
    import cv2

    affine: Affine | None = None
    correlation = 0.0
    for shrink, blur in LEVELS:
        one, other = (_darkness(image, shrink, blur) for image in (fixed, moving))
        if affine is None:
            window = cv2.createHanningWindow(one.shape[::-1], cv2.CV_32F)
            (right, down), _ = cv2.phaseCorrelate(one, other, window)
            affine = np.array([[1, 0, right * shrink], [0, 1, down * shrink]], np.float32)
        scaled = affine.copy()
        scaled[:, 2] /= shrink
        motion = cv2.MOTION_EUCLIDEAN if shrink >= RIGID_FROM else cv2.MOTION_AFFINE
        ending = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, TURNS, ENOUGH)
        try:
            correlation, found = cv2.findTransformECC(one, other, scaled, motion, ending, None, 5)
        except cv2.error as error:
            raise HistokinError(
                f"two sections cannot be aligned ({error.err})", remedy="Check that they are of the same tissue"
            ) from None
        affine = np.asarray(found, np.float32)
        affine[:, 2] *= shrink
    assert affine is not None
    return affine, float(correlation)


def _darkness(image: Pixels, shrink: int, blur: float) -> Float32[np.ndarray, "_ _"]:
    import cv2

    dark = 255 - cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(dark, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), blur))
