"""The machinery shared by every two-stain method: estimate, scale, recompose.

A method brings an estimator (tissue densities to two stain vectors); everything else is here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from jaxtyping import Float64

from histokin.errors import UsageError
from histokin.stain.color_map import ColorMap, Product
from histokin.stain.density_map import DensityMatrix
from histokin.stain.lasso import DensityLasso, lasso
from histokin.stain.masks import TissueRule, enough
from histokin.stain.optical_density import OpticalDensity
from histokin.stain.options import DECIMALS, number, numbers
from histokin.stain.pixels import Pixels, pool
from histokin.stain.unchanged import Unchanged
from histokin.types import RGB, ImageMap, Images, Status

LEAST_ANGLE = 2.5
"""Degrees between the two stain vectors below which they are one stain. Sparse methods find hematoxylin and eosin of
real tissue as close as 3 degrees; how much a map may amplify is limited besides (:attr:`TwoStainMap.safe`)."""

LEAST_CONCENTRATION = 0.05
"""Floor of the source's 99th percentiles: a stain that is hardly there is not blown up to full strength."""

LEAST_SPREAD = 0.01
"""Spread of densities across their main direction, over that along it, below which they have one direction only."""

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


def one_direction(densities: Densities) -> bool:
    """True when all densities are multiples of one: a single color, one ideal stain, or grey."""
    spread = np.linalg.eigvalsh(densities.T @ densities)
    return bool(spread[1] <= LEAST_SPREAD**2 * spread[2])


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
    """From one pair of stains to another: concentrations ``C``, scaled and recomposed.

    ``D' = target.stains · diag(target.p99 / source.p99) · C(D)``. By least squares, ``C(D) = unmixing(source) · D``
    and the map is linear in optical density. With a ``penalty`` they are those of
    :func:`~histokin.stain.lasso.lasso`: never negative, and the map is no product of tables.
    """

    name: str
    density: OpticalDensity
    source: StainModel
    target: StainModel
    penalty: float | None = None

    @property
    def space(self) -> str:
        return self.name

    @cached_property
    def matrix(self) -> DensityMatrix:
        """The 3x3 matrix between densities by least squares, with its tables."""
        outer = self._outer[:, :, None] * unmixing(self.source.stains)[None, :, :]
        return DensityMatrix(self.density, outer[:, 0] + outer[:, 1])

    @cached_property
    def lasso(self) -> DensityLasso | None:
        """The map where there is a penalty."""
        if self.penalty is None:
            return None
        return DensityLasso(self.density, self.source.stains, self._outer, self.penalty)

    @property
    def _outer(self) -> Stains:
        """The target's stains, each as strong as it must be for a concentration of 1 in the source."""
        scale = np.array(self.target.p99) / np.maximum(self.source.p99, LEAST_CONCENTRATION)
        return np.asarray(self.target.stains * scale)

    @property
    def safe(self) -> bool:
        """False when the map amplifies more than its form holds: the fit then changes nothing."""
        return self.matrix.safe if self.lasso is None else self.lasso.safe

    @property
    def product(self) -> Product | None:
        return self.matrix.product if self.penalty is None else None

    def colors(self, image: RGB) -> RGB:
        return self.matrix.fast(image) if self.lasso is None else self.lasso.fast(image)

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": "two-stain",
            "space": self.name,
            "od": self.density.mode,
            "io": self.density.white,
            "source": self.source.to_dict(),
            "target": self.target.to_dict(),
            **({} if self.penalty is None else {"penalty": self.penalty}),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "TwoStainMap":
        """The map that :meth:`to_dict` described; same bytes out."""
        density = OpticalDensity(stored["od"], stored["io"])
        source, target = (StainModel.from_dict(stored[key]) for key in ("source", "target"))
        penalty = stored.get("penalty")
        return cls(
            stored["space"], density, source, target, None if penalty is None else number("penalty", penalty, 0, 10)
        )


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
    penalty : None for concentrations by least squares; else the weight of the lasso that finds them.
    """

    density: OpticalDensity
    estimate: Callable[[Densities], Stains]
    tissue: TissueRule
    percentile: float = 99.0
    penalty: float | None = None

    def model(self, pixels: Pixels) -> StainModel | Status:
        """The stains of some pixels, or the status that says why there are none to estimate."""
        densities = self.density.forward(pixels)
        tissue = np.compress(self.tissue(pixels, densities), densities, axis=0)
        status = enough(len(tissue))
        if not status.ok:
            return status
        one_color = Status("unchanged", "all tissue has one color, so two stains cannot be told apart")
        if one_direction(tissue):
            return one_color
        stains = self.estimate(tissue)
        if not np.isfinite(stains).all() or angle_between(stains) < LEAST_ANGLE:
            return one_color
        p99 = [float(np.percentile(c, self.percentile)) for c in self._concentrations(densities, stains)]
        h, e = stains.T.round(DECIMALS).tolist()
        p = [round(max(value, LEAST_CONCENTRATION), DECIMALS) for value in p99]
        return StainModel((h[0], h[1], h[2]), (e[0], e[1], e[2]), (p[0], p[1]))

    def _concentrations(self, densities: Densities, stains: Stains) -> Iterator[Float64[np.ndarray, "_"]]:
        """Of hematoxylin, then of eosin, in every pixel."""
        if self.penalty is not None:
            yield from lasso(densities, stains, self.penalty).T
            return
        r, g, b = np.ascontiguousarray(densities.T)
        for u in unmixing(stains):
            yield r * u[0] + g * u[1] + b * u[2]

    def fit(self, images: Images, space: str, target: StainModel) -> ImageMap:
        """The map from these images' stains to the target's, or one that changes nothing and says why."""
        source = self.model(pool(images))
        if isinstance(source, Status):
            return Unchanged(space, source)
        fitted = TwoStainMap(space, self.density, source, target, self.penalty)
        if not fitted.safe:
            reason = "one stain is too faint, or too like the other, to be told apart"
            return Unchanged(space, Status("unchanged", reason))
        return fitted
