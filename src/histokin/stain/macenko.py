"""Macenko: stain vectors at the extreme angles of the plane that tissue densities lie in."""

from typing import Any, final

import numpy as np

from histokin.stain.lasso import CONCENTRATIONS
from histokin.stain.masks import RULES, by_density
from histokin.stain.optical_density import WHITE, OpticalDensity
from histokin.stain.options import choice, number
from histokin.stain.two_stain import Densities, StainModel, Stains, TwoStainFit
from histokin.stain.two_stain_appearance import TwoStainAppearance

DEFAULT_TARGET = StainModel((0.5626, 0.7201, 0.4062), (0.2159, 0.8012, 0.5581), (1.9705, 1.0308))
"""The reference that Macenko ports have shared since the first public one."""

USUAL = {
    "io": 240.0,
    "beta": 0.15,
    "alpha": 1.0,
    "percentile": 99.0,
    "od": "od240",
    "rule": "all_above",
    "concentrations": "least-squares",
}


def stain_vectors(tissue: Densities, alpha: float | int = 1.0) -> Stains:
    """The two unit stain vectors of tissue densities "n 3", as columns, hematoxylin (more red) first.

    The plane is that of the two largest eigenvectors of the covariance; densities are projected on it without
    centering; the vectors are the ``alpha`` and ``100 - alpha`` percentiles of the angle in it. (Macenko et
    al., ISBI 2009, word the first step as a singular value decomposition; the common ports do this.)
    """
    _, vectors = np.linalg.eigh(np.cov(tissue.T))
    plane = vectors[:, 1:]
    # An eigenvector's sign is arbitrary; without this the angles may straddle 180 degrees.
    plane = plane * np.where(plane[0] < 0, -1.0, 1.0)
    across, along = (tissue @ plane).T
    low, high = np.percentile(np.arctan2(along, across), [alpha, 100 - alpha])
    ends = plane @ np.array([[np.cos(low), np.cos(high)], [np.sin(low), np.sin(high)]])
    ordered: Stains = ends if ends[0, 0] > ends[0, 1] else ends[:, ::-1]
    return ordered


@final
class Macenko(TwoStainAppearance):
    """Macenko's normalizer, with the parameters of the common port; agrees with torchstain within one grey level.

    Parameters
    ----------
    target : see :class:`TwoStainAppearance`; None for :data:`DEFAULT_TARGET`.
    io : intensity of unstained light (grey levels); beta : optical density below which a pixel is background;
    alpha : percent of angles left out at either end; percentile : of the concentrations that is matched;
    od : convention of optical density; rule : of the tissue mask;
    concentrations : ``least-squares``, or ``lasso`` as StainTools finds them (with ``od="od255"``).
    strict : raise :class:`~histokin.errors.DegenerateStain` for a source without two stains.

    Source: M. Macenko et al., A method for normalizing histology slides for quantitative analysis, ISBI 2009.
    """

    name = "macenko"
    USUAL = USUAL
    DEFAULT = DEFAULT_TARGET

    def __init__(
        self,
        target: object = None,
        *,
        io: float | int | None = None,
        beta: float | int = 0.15,
        alpha: float | int = 1.0,
        percentile: float | int = 99.0,
        od: str = "od240",
        rule: str = "all_above",
        concentrations: str = "least-squares",
        strict: bool = False,
    ) -> None:
        mode = choice("od", od, tuple(WHITE))
        density = OpticalDensity(mode, None if io is None else number("io", io, 1, 512))
        options: dict[str, Any] = {
            "io": density.white,
            "beta": number("beta", beta, 0, 5),
            "alpha": number("alpha", alpha, 0, 49),
            "percentile": number("percentile", percentile, 50, 100),
            "od": mode,
            "rule": choice("rule", rule, RULES),
            "concentrations": choice("concentrations", concentrations, tuple(CONCENTRATIONS)),
        }
        fit = TwoStainFit(
            density,
            lambda tissue: stain_vectors(tissue, options["alpha"]),
            by_density(options["beta"], options["rule"]),
            options["percentile"],
            CONCENTRATIONS[options["concentrations"]],
        )
        super().__init__(target, fit, options, strict=strict)
