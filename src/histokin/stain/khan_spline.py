"""The smoothing spline that carries one stain's statistics to another's, as numbers that numpy alone can evaluate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float64

from histokin.errors import UsageError
from histokin.stain.options import number

ANCHORS = (-100.0, 1000.0)
"""Intensities that are mapped to themselves, far outside what a camera records."""

SAME = 0.01
"""Statistics closer than this many grey levels are one abscissa: their ordinates are averaged, their weights added."""

FEWEST = 5
"""Distinct abscissae, anchors included, below which no smoothing spline is defined."""

STIFFER = 10.0
"""Factor on the smoothing while the spline still falls somewhere."""

TRIES = 12

Curve = Float64[np.ndarray, "n"]
Knots = Float64[np.ndarray, "_"]


@final
@dataclass(frozen=True)
class KhanSpline:
    """A natural cubic spline: knots, its values there, its second derivatives there; straight beyond its ends.

    ``smoothing`` is the penalty on the second derivative that it was fitted with.
    """

    knots: tuple[float, ...]
    values: tuple[float, ...]
    curvatures: tuple[float, ...]
    smoothing: float

    def __call__(self, levels: Float64[np.ndarray, "n"]) -> Curve:
        """The spline at ``levels`` between its first and last knot (beyond them, the end values)."""
        x, y, bend = (np.array(v) for v in (self.knots, self.values, self.curvatures))
        at = np.clip(levels, x[0], x[-1])
        left = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
        width = x[left + 1] - x[left]
        a, b = (x[left + 1] - at) / width, (at - x[left]) / width
        bent = ((a**3 - a) * bend[left] + (b**3 - b) * bend[left + 1]) * width**2 / 6
        return np.asarray(a * y[left] + b * y[left + 1] + bent)

    @property
    def rises(self) -> bool:
        """True when the spline falls nowhere between 0 and the upper anchor (looked at in steps of 1/4)."""
        return bool((np.diff(self(np.arange(0, ANCHORS[1] + 0.25, 0.25))) >= -1e-9).all())

    def to_dict(self) -> dict[str, Any]:
        return {
            "knots": list(self.knots),
            "values": list(self.values),
            "curvatures": list(self.curvatures),
            "smoothing": self.smoothing,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "KhanSpline":
        """Raises :class:`UsageError` when a part is missing or the numbers make no spline."""
        remedy = 'Give {"knots": rising numbers, "values", "curvatures": as many, "smoothing": a number}'
        lists = [stored.get(key) for key in ("knots", "values", "curvatures")]
        if not all(isinstance(part, (list, tuple)) for part in lists) or "smoothing" not in stored:
            raise UsageError("the stored spline is not complete", remedy=remedy)
        knots, values, curvatures = (tuple(number("spline", v, -1e9, 1e9) for v in part or ()) for part in lists)
        if len(knots) < 2 or len({len(knots), len(values), len(curvatures)}) > 1 or min(np.diff(knots)) <= 0:
            raise UsageError("the stored numbers make no spline", remedy=remedy)
        return cls(knots, values, curvatures, number("smoothing", stored["smoothing"], 0, 1e30))


def smoothing_of(p: float) -> float:
    """The penalty that equals MATLAB's smoothing parameter ``p``: ``(1 - p) / p``."""
    return (1.0 - p) / p


def fit_spline(source: Curve, target: Curve, p: float = 9e-6) -> KhanSpline | None:
    """The smoothing spline from source statistics to the target's, anchored far outside; None where undefined.

    ``source`` and ``target`` are intensities of the same statistics, none of them NaN. MATLAB's ``csaps`` with
    parameter ``p``. So heavy a smoothing does not make the spline rise everywhere; where it falls, the penalty is
    multiplied by ten until it does not (in the limit it is the straight line of least squares). None with fewer
    than five distinct abscissae, or where even that line falls.

    Source: A. Khan et al., IEEE Trans Biomed Eng 2014, section II-D.
    """
    x, y, weight = _distinct(source, target)
    if len(x) < FEWEST or not np.isfinite(y).all():
        return None
    smoothing = smoothing_of(p)
    for _ in range(TRIES):
        fitted = _natural(x, y, weight, smoothing)
        if fitted.rises:
            return fitted
        smoothing *= STIFFER
    return None


def _natural(x: Curve, y: Curve, weight: Curve, smoothing: float) -> KhanSpline:
    from scipy.interpolate import make_smoothing_spline

    spline = make_smoothing_spline(x, y, w=weight, lam=smoothing)
    bend = np.asarray(spline.derivative(2)(x), np.float64)
    bend[[0, -1]] = 0.0
    return KhanSpline(tuple(x.tolist()), tuple(spline(x).tolist()), tuple(bend.tolist()), smoothing)


def _distinct(source: Curve, target: Curve) -> tuple[Knots, Knots, Knots]:
    """Sorted abscissae with the anchors, their mean ordinates, and how many statistics each stands for."""
    order = np.argsort(source, kind="stable")
    x = np.concatenate([ANCHORS[:1], source[order], ANCHORS[1:]])
    y = np.concatenate([ANCHORS[:1], target[order], ANCHORS[1:]])
    group = np.cumsum(np.concatenate([[0.0], np.diff(x) > SAME])).astype(np.int64)
    count = np.bincount(group).astype(np.float64)
    return np.bincount(group, x) / count, np.bincount(group, y) / count, count
