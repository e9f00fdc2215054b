"""What Khan's method knows of a source or a target: two stains, and how strong each is in pixels of every class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float64

from histokin.errors import UsageError
from histokin.stain.deconvolution import Stains3, unit_columns
from histokin.stain.khan_classifier import Labels, trained
from histokin.stain.khan_training import BACKGROUND, EOSIN, HEMATOXYLIN
from histokin.stain.masks import MINIMUM, enough, luminosity_mask
from histokin.stain.optical_density import OpticalDensity
from histokin.stain.options import DECIMALS, number, numbers
from histokin.stain.pixels import Pixels
from histokin.stain.two_stain import LEAST_ANGLE, angle_between, one_direction
from histokin.types import Status

DENSITY = OpticalDensity("od256")
PERCENTILES = (5.0, 50.0, 95.0)
MOST_LIGHT = 1000.0
"""Cap of the light behind one stain, in levels: more than 255 is left of a lamp only by noise."""

CONFIDENCE = 0.75
LEAST_SHARE = 0.01
"""Share of the tissue below which a class of confident pixels is too small: the likeliest class then counts."""

FEWEST = MINIMUM
"""Pixels of a class below which it has no statistics, and of a stain below which there is no model."""

Levels = tuple[float, ...]


@final
@dataclass(frozen=True)
class KhanModel:
    """Stain vectors (unit length) and, for either stain, nine levels of the light behind it.

    The levels are the 5th, 50th and 95th percentile over pixels of this stain, of the other, and of the background,
    255 where the stain is absent; NaN for a class without pixels.
    """

    hematoxylin: tuple[float, float, float]
    eosin: tuple[float, float, float]
    hematoxylin_levels: Levels
    eosin_levels: Levels

    @property
    def stains(self) -> Stains3:
        """Both vectors and their cross product, as unit columns."""
        return with_residual(self.hematoxylin, self.eosin)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; what is not known becomes null."""
        return {
            "hematoxylin": list(self.hematoxylin),
            "eosin": list(self.eosin),
            "hematoxylin_levels": [None if np.isnan(v) else v for v in self.hematoxylin_levels],
            "eosin_levels": [None if np.isnan(v) else v for v in self.eosin_levels],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "KhanModel":
        """Raises :class:`UsageError` when a part is missing, or does not describe two stains."""
        missing = [k for k in ("hematoxylin", "eosin", "hematoxylin_levels", "eosin_levels") if k not in stored]
        if missing:
            raise UsageError(f"the stains have no '{missing[0]}'", remedy="Give what to_dict()['target'] returned")
        h, e = (numbers(name, stored[name], 3) for name in ("hematoxylin", "eosin"))
        model = cls(
            (h[0], h[1], h[2]),
            (e[0], e[1], e[2]),
            _levels("hematoxylin_levels", stored["hematoxylin_levels"]),
            _levels("eosin_levels", stored["eosin_levels"]),
        )
        if not any(h) or not any(e) or angle_between(np.array([h, e]).T) < LEAST_ANGLE:
            raise UsageError("the two vectors are one stain", remedy=f"Give two at least {LEAST_ANGLE:g} degrees apart")
        return model


def _levels(name: str, stored: object) -> Levels:
    if not isinstance(stored, Sequence) or isinstance(stored, str) or len(stored) != 9:
        raise UsageError(f"{name} is {stored!r:.60}", remedy="Give nine numbers or nulls")
    return tuple(float("nan") if v is None else number(name, v, 0, MOST_LIGHT) for v in stored)


def with_residual(hematoxylin: Sequence[float], eosin: Sequence[float]) -> Stains3:
    """Three unit columns: the two stains, and what neither explains."""
    h, e = np.array(hematoxylin), np.array(eosin)
    return unit_columns(np.stack([h, e, np.cross(h, e)], axis=1))


def model_of(pixels: Pixels) -> KhanModel | Status:
    """Classify the pixels, then measure; or the status that says why there are no two stains."""
    tissue = luminosity_mask(pixels)
    status = enough(int(tissue.sum()))
    if not status.ok:
        return status
    if one_direction(DENSITY.forward(pixels[tissue])):
        return Status("unchanged", "all tissue has one color, so two stains cannot be told apart")
    labels = _labels(pixels, int(tissue.sum()))
    kinds = [(labels == kind) for kind in (HEMATOXYLIN, EOSIN, BACKGROUND)]
    for name, kind in zip(("hematoxylin", "eosin"), kinds, strict=False):
        if kind.sum() < FEWEST:
            return Status("unchanged", f"hardly a pixel shows {name}")
    h, e = (-np.log(pixels[kind].mean(axis=0) / 255 + 1 / 256) for kind in kinds[:2])
    stains = unit_columns(np.stack([np.maximum(h, 1e-6), np.maximum(e, 1e-6)], axis=1))
    if angle_between(stains) < LEAST_ANGLE or stains[0, 0] <= stains[0, 1]:
        return Status("unchanged", "the two stains cannot be told apart")
    full = with_residual(stains[:, 0].tolist(), stains[:, 1].tolist())
    light = np.minimum(255 * np.exp(-DENSITY.forward(pixels) @ np.linalg.inv(full).T[:, :2]), MOST_LIGHT)
    h3, e3 = (tuple(np.round(stain, DECIMALS).tolist()) for stain in stains.T)
    return KhanModel(
        (h3[0], h3[1], h3[2]),
        (e3[0], e3[1], e3[2]),
        _statistics(light[:, 0], (kinds[0], kinds[1], kinds[2])),
        _statistics(light[:, 1], (kinds[1], kinds[0], kinds[2])),
    )


def _labels(pixels: Pixels, tissue: int) -> Labels:
    """Confident labels; the likeliest ones where those leave next to nothing of a stain."""
    classifier = trained()
    labels = classifier.labels(pixels, CONFIDENCE)
    if min(int((labels == kind).sum()) for kind in (HEMATOXYLIN, EOSIN)) >= max(FEWEST, LEAST_SHARE * tissue):
        return labels
    return np.asarray(classifier.probabilities(pixels).argmax(axis=1), np.int64)


def _statistics(light: Float64[np.ndarray, "n"], kinds: tuple[np.ndarray, ...]) -> Levels:
    found: list[float] = []
    for kind in kinds:
        known = int(kind.sum()) >= FEWEST
        found += np.percentile(light[kind], PERCENTILES).round(DECIMALS).tolist() if known else [float("nan")] * 3
    return tuple(found)
