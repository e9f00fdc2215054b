"""BKSVD: stains by Bayesian blind color deconvolution, learned from small batches of tissue."""

from collections.abc import Callable
from typing import Any, final

import numpy as np

from histokin.errors import UsageError
from histokin.stain.bksvd_empirical import search_empirical
from histokin.stain.bksvd_pixels import on_a_line
from histokin.stain.bksvd_variational import RESIDUALS, search_robust, search_variational
from histokin.stain.masks import by_density
from histokin.stain.optical_density import OpticalDensity
from histokin.stain.options import choice, number
from histokin.stain.two_stain import Densities, StainModel, Stains, TwoStainFit
from histokin.stain.two_stain_appearance import TwoStainAppearance

DEFAULT_TARGET = StainModel((0.4908, 0.7833, 0.3815), (0.2656, 0.8388, 0.4752), (3.2092, 1.4786))
"""What this normalizer, as it is by default, finds in the sample reference that comes with the authors' program
(https://github.com/vipgugr/BKSVD, Reference.jpg, 512x512, Apache-2.0), to four decimals."""

METHODS = ("variational", "empirical-bayes")

FOREGROUND = {"variational": 0.2, "empirical-bayes": 0.1}
"""Mean density over the channels above which a pixel is tissue, as the authors' two programs have it."""

PROFILES: dict[str, dict[str, Any]] = {
    "practical": {"residual": "expected", "legacy_variance_as_precision": False},
    "paper": {"residual": "spectral", "legacy_variance_as_precision": True},
}
"""``paper`` is the authors' program, oddities included. The two differ by a few tenths of a degree."""

USUAL = {
    "method": "variational",
    **PROFILES["practical"],
    "beta": FOREGROUND["variational"],
    "percentile": 99.0,
    "seed": 0,
    "blood": None,
    "legacy_without_noise": False,
}


@final
class BKSVD(TwoStainAppearance):
    """Bayesian K-SVD normalizer: concentrations by least squares, 99th percentiles matched, white at 256.

    Several images are learned from as one, so one fit on a sample of a slide serves all its patches.

    Parameters
    ----------
    target : see :class:`TwoStainAppearance`; None for :data:`DEFAULT_TARGET`.
    profile : ``practical`` or ``paper``; sets ``residual`` and ``legacy_variance_as_precision`` where they are
        None. Only what it stands for is stored and enters the space.
    method : ``variational``, or ``empirical-bayes``, which takes tens of times as long.
    residual : how noise is measured, ``expected``, ``frobenius`` or ``spectral``; see
        :func:`~histokin.stain.bksvd_variational.search_variational`. ``spectral`` is what the authors' program
        computes where the squared residual was meant.
    beta : mean density of a pixel above which it is tissue; None for the method's (:data:`FOREGROUND`).
    percentile : of the concentrations of all pixels, that is matched.
    seed : of the draw of batches, a whole number.
    blood : look for a third stain first, and leave out pixels with more of it than this (density) before the
        two are learned; None to take all. ``variational`` only.
    strict : raise :class:`~histokin.errors.DegenerateStain` for a source without two stains.
    legacy_variance_as_precision : start from the wrong precision of the noise, as the authors' program does.
    legacy_without_noise : leave the precision of the noise out, as one Python port does: several degrees off.
        (That port also adds 1e-6 inside the logarithm of the density, which this does not.)

    Raises
    ------
    UsageError
        for a value that an option cannot take, or an option that ``empirical-bayes`` does not have.

    Source: F. Pérez-Bueno et al., Bayesian K-SVD for H&E blind color deconvolution, Comput. Med. Imaging
    Graph. 2022.
    """

    name = "bksvd"
    USUAL = USUAL
    DEFAULT = DEFAULT_TARGET

    def __init__(
        self,
        target: object = None,
        *,
        profile: str = "practical",
        method: str = "variational",
        residual: str | None = None,
        beta: float | int | None = None,
        percentile: float | int = 99.0,
        seed: float | int = 0,
        blood: float | int | None = None,
        strict: bool = False,
        legacy_variance_as_precision: bool | None = None,
        legacy_without_noise: bool = False,
    ) -> None:
        settings = PROFILES[choice("profile", profile, tuple(PROFILES))]
        variational = choice("method", method, METHODS) == "variational"
        if not variational:
            settings = PROFILES["practical"]
        early = legacy_variance_as_precision
        options: dict[str, Any] = {
            "method": method,
            "residual": settings["residual"] if residual is None else choice("residual", residual, RESIDUALS),
            "beta": FOREGROUND[method] if beta is None else number("beta", beta, 0, 5),
            "percentile": number("percentile", percentile, 50, 100),
            "seed": _whole("seed", seed),
            "blood": None if blood is None else number("blood", blood, 0, 5),
            "legacy_variance_as_precision": settings["legacy_variance_as_precision"] if early is None else early,
            "legacy_without_noise": legacy_without_noise,
        }
        for key in ("residual", "blood", "legacy_variance_as_precision", "legacy_without_noise"):
            if not variational and options[key] != USUAL[key]:
                raise UsageError(f"{key} has no part in empirical-bayes", remedy="Leave it out, or choose variational")
        fit = TwoStainFit(
            density=OpticalDensity("od256"),
            estimate=_estimator(options),
            tissue=by_density(options["beta"], "mean_above"),
            percentile=options["percentile"],
        )
        super().__init__(target, fit, options, strict=strict)


def _whole(name: str, value: object) -> int:
    """``value`` as a seed. Raises :class:`UsageError`."""
    found = number(name, value, 0, 2**32 - 1)
    if found.is_integer():
        return int(found)
    raise UsageError(f"{name} is {value!r}", remedy="Give a whole number")


def _estimator(options: dict[str, Any]) -> Callable[[Densities], Stains]:
    """Tissue densities to two stains; two equal ones where there is one color only."""
    seed, blood = options["seed"], options["blood"]
    how = {key: options[key] for key in ("residual", "legacy_variance_as_precision", "legacy_without_noise")}

    def estimate(tissue: Densities) -> Stains:
        if on_a_line(tissue):
            return np.full((3, 2), 3**-0.5)
        if options["method"] == "empirical-bayes":
            return search_empirical(tissue, seed=seed).stains
        if blood is None:
            return search_variational(tissue, seed=seed, **how).stains
        return search_robust(tissue, blood, seed=seed, **how).stains

    return estimate
