"""The machinery shared by every two-stain method: estimate, scale, recompose.

A method brings an estimator (tissue densities to two stain vectors); everything else is here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from jaxtyping import Float64

from histokin.errors import UsageError
from histokin.stain.color_map import ColorMap, Product
from histokin.stain.density_map import DensityMatrix
from histokin.stain.masks import TissueRule, enough
from histokin.stain.optical_density import OpticalDensity
from histokin.stain.options import DECIMALS, numbers
from histokin.stain.pixels import Pixels, pool
from histokin.stain.unchanged import Unchanged
from histokin.types import RGB, ImageMap, Images, Status

LEAST_ANGLE = 5.0
"""Degrees between the two stain vectors below which they are one stain."""

LEAST_CONCENTRATION = 0.05
"""Floor of the source's 99th percentiles: a stain that is hardly there is not blown up to full strength."""

Densities = Float64[np.ndarray, "n 3"]
Stains = Float64[np.ndarray, "3 2"]


@final
@dataclass(frozen=True)
class StainModel:
    """Two unit vectors in RGB optical density (hematoxylin first) and a high percentile of each concentration."""

    hematoxylin: tuple[float, float, float]
    eosin: tuple[float, float, float]
    p99: tuple[float, float]

    @property
    def stains(self) -> Stains:
        """The 3x2 stain matrix: a column per stain."""
        return np.array([self.hematoxylin, self.eosin], np.float64).T

    @property
    def angle(self) -> float:
        """Degrees between the two vectors."""
        return angle_between(self.stains)

    def to_dict(self) -> dict[str, Any]:
        return {"hematoxylin": list(self.hematoxylin), "eosin": list(self.eosin), "p99": list(self.p99)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "StainModel":
        """Raises :class:`UsageError` when a part is missing, or does not describe two stains."""
        for key in ("hematoxylin", "eosin", "p99"):
            if key not in stored:
                raise UsageError(
                    f"the stain model has no '{key}'",
                    remedy='Give {"hematoxylin": [r, g, b], "eosin": [r, g, b], "p99": [h, e]}',
                )
        h, e = numbers("hematoxylin", stored["hematoxylin"], 3), numbers("eosin", stored["eosin"], 3)
        p = numbers("p99", stored["p99"], 2)
        model = cls((h[0], h[1], h[2]), (e[0], e[1], e[2]), (p[0], p[1]))
        if not any(h) or not any(e) or min(p) <= 0 or model.angle < LEAST_ANGLE:
            raise UsageError(
                f"{model.to_dict()} does not describe two stains",
                remedy=f"Give two vectors at least {LEAST_ANGLE:g} degrees apart and two positive percentiles",
            )
        return model


def angle_between(stains: Stains) -> float:
    """Degrees between the two columns."""
    h, e = stains.T
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(h, e)), h @ e)))


def unmixing(stains: Stains) -> Float64[np.ndarray, "2 3"]:
    """The least-squares inverse of a 3x2 stain matrix, in closed form: the same bits on every machine."""
    (a, b), (c, d), (e, f) = stains.tolist()
    hh, he, ee = a * a + c * c + e * e, a * b + c * d + e * f, b * b + d * d + f * f
    det = hh * ee - he * he
    rows = [
        [(ee * h - he * w) / det for h, w in ((a, b), (c, d), (e, f))],
        [(hh * w - he * h) / det for h, w in ((a, b), (c, d), (e, f))],
    ]
    return np.array(rows, np.float64)


@final
@dataclass(frozen=True, eq=False)
class TwoStainMap(ColorMap):
    """From one pair of stains to another: concentrations by least squares, scaled, recomposed.

    Linear in optical density: ``D' = target.stains · diag(target.p99 / source.p99) · unmixing(source) · D``.
    """

    name: str
    density: OpticalDensity
    source: StainModel
    target: StainModel

    @property
    def space(self) -> str:
        return self.name

    @cached_property
    def matrix(self) -> DensityMatrix:
        """The 3x3 matrix between densities, with its tables."""
        scale = np.array(self.target.p99) / np.maximum(self.source.p99, LEAST_CONCENTRATION)
        inverse = unmixing(self.source.stains) * scale[:, None]
        outer = self.target.stains[:, :, None] * inverse[None, :, :]
        return DensityMatrix(self.density, outer[:, 0] + outer[:, 1])

    @property
    def product(self) -> Product | None:
        return self.matrix.product

    def colors(self, image: RGB) -> RGB:
        return self.matrix.fast(image)

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": "two-stain",
            "space": self.name,
            "od": self.density.mode,
            "io": self.density.white,
            "source": self.source.to_dict(),
            "target": self.target.to_dict(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "TwoStainMap":
        """The map that :meth:`to_dict` described; same bytes out."""
        density = OpticalDensity(stored["od"], stored["io"])
        source, target = (StainModel.from_dict(stored[key]) for key in ("source", "target"))
        return cls(stored["space"], density, source, target)


@final
@dataclass(frozen=True)
class TwoStainFit:
    """How a two-stain method looks at a source.

    Parameters
    ----------
    density : convention of optical density.
    estimate : tissue densities "n 3" to a 3x2 matrix of unit columns, hematoxylin first.
    tissue : which pixels are tissue, told from their levels "n 3" and densities "n 3"
        (:func:`~histokin.stain.masks.by_density`, :func:`~histokin.stain.masks.by_luminosity`).
    percentile : of the concentrations of all pixels, background included, as the published codes take it.
    """

    density: OpticalDensity
    estimate: Callable[[Densities], Stains]
    tissue: TissueRule
    percentile: float = 99.0

    def model(self, pixels: Pixels) -> StainModel | Status:
        """The stains of some pixels, or the status that says why there are none to estimate."""
        densities = self.density.forward(pixels)
        tissue = densities[self.tissue(pixels, densities)]
        status = enough(len(tissue))
        if not status.ok:
            return status
        stains = self.estimate(tissue)
        if not np.isfinite(stains).all() or angle_between(stains) < LEAST_ANGLE:
            return Status("unchanged", "all tissue has one color, so two stains cannot be told apart")
        concentrations = (densities[:, i] for i in range(3))
        r, g, b = concentrations
        p99 = [float(np.percentile(r * u[0] + g * u[1] + b * u[2], self.percentile)) for u in unmixing(stains)]
        h, e = stains.T.round(DECIMALS).tolist()
        p = [round(max(value, LEAST_CONCENTRATION), DECIMALS) for value in p99]
        return StainModel((h[0], h[1], h[2]), (e[0], e[1], e[2]), (p[0], p[1]))

    def fit(self, images: Images, space: str, target: StainModel) -> ImageMap:
        """The map from these images' stains to the target's, or one that changes nothing and says why."""
        source = self.model(pool(images))
        if isinstance(source, Status):
            return Unchanged(space, source)
        fitted = TwoStainMap(space, self.density, source, target)
        if not fitted.matrix.safe:
            reason = "one stain is too faint, or too like the other, to be told apart"
            return Unchanged(space, Status("unchanged", reason))
        return fitted
