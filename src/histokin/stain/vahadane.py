"""Vahadane: stain vectors as the dictionary of a sparse non-negative factorization of tissue densities."""

from functools import partial
from typing import Any, final

import numpy as np
from jaxtyping import Float64

from histokin.errors import UsageError
from histokin.stain.deconvolution import HED, unit_columns
from histokin.stain.lasso import CONCENTRATIONS, lasso
from histokin.stain.masks import LUMINOSITY, by_luminosity
from histokin.stain.optical_density import WHITE, OpticalDensity
from histokin.stain.options import choice, number
from histokin.stain.pixels import spread
from histokin.stain.two_stain import Densities, StainModel, Stains, TwoStainFit, one_direction
from histokin.stain.two_stain_appearance import TwoStainAppearance

SAMPLE = 20_000
"""Most tissue pixels that the factorization looks at."""

ITERATIONS = 500
"""Most rounds of codes and dictionary. A hundred real tiles settled in 26 to 330, half of them within 72."""

LEGACY_ITERATIONS = 30
"""Rounds of the transposed problem, which does not settle in hundreds."""

SETTLED = 1e-7
"""Largest change of an atom in a round below which the factorization stops."""

START: Stains = unit_columns(HED)[:, :2]
"""Textbook hematoxylin and eosin, where the search begins."""

DEFAULT_TARGET = StainModel((0.4974, 0.7835, 0.3726), (0.2576, 0.8426, 0.4730), (2.9850, 1.3876))
"""What this method finds in the reference image of BKSVD's authors (see :data:`histokin.stain.bksvd.DEFAULT_TARGET`),
to four decimals: both methods then lead to the same colors."""

USUAL = {
    "penalty": 0.1,
    "concentrations": "lasso",
    "threshold": LUMINOSITY,
    "percentile": 99.0,
    "od": "od255",
    "io": 255.0,
    "n_patches": 1,
    "legacy_transposed": False,
}


def sparse_factors(
    samples: Float64[np.ndarray, "n f"],
    atoms: Float64[np.ndarray, "f 2"],
    penalty: float | int,
    iterations: int = ITERATIONS,
) -> Float64[np.ndarray, "f 2"]:
    """Two non-negative unit atoms, columns, that make sparse codes of the samples ("n f") possible.

    Minimizes ``|S - X · atomsᵀ|² / 2 + penalty · sum(X)`` over codes ``X >= 0`` and atoms of length at most 1, by
    turns: the codes exactly (:func:`~histokin.stain.lasso.lasso`), then one atom after the other. Starts at the
    atoms given, draws nothing at random, and so gives the same answer every time. An atom that no sample uses
    stays as it is; atoms that have grown into one stop the search.
    """
    atoms = atoms.copy()
    for _ in range(iterations):
        before = atoms.copy()
        codes = lasso(samples, atoms, penalty)
        gram, found = codes.T @ codes, samples.T @ codes
        for k in (0, 1):
            if gram[k, k] > 0:
                moved = np.maximum(atoms[:, k] + (found[:, k] - atoms @ gram[:, k]) / gram[k, k], 0)
                length = float(np.sqrt(moved @ moved))
                atoms[:, k] = moved / length if length > 0 else atoms[:, k]
        if np.abs(atoms - before).max() < SETTLED or abs(float(atoms[:, 0] @ atoms[:, 1])) > 1 - 1e-9:
            break
    return atoms


def stain_vectors(tissue: Densities, penalty: float | int = 0.1, n_patches: int = 1) -> Stains:
    """The two unit stain vectors of tissue densities "n 3", as columns, hematoxylin (more red) first.

    At most :data:`SAMPLE` pixels are looked at. With ``n_patches`` above 1 the tissue is cut into that many
    consecutive pieces, in the order in which its patches were given, each with its share of the sample; the
    vectors are the medians over the pieces that hold more than one color, at unit length. (Vahadane et al.
    estimate the dictionary of a whole slide so.)
    """
    pieces = [part for part in np.array_split(tissue, n_patches) if len(part) and not one_direction(part)]
    if not pieces:
        return np.full((3, 2), np.nan)
    share = max(SAMPLE // n_patches, 1)
    found = [_ordered(sparse_factors(part[spread(len(part), share)], START, penalty)) for part in pieces]
    return found[0] if len(found) == 1 else unit_columns(np.median(found, axis=0))


def transposed_stain_vectors(tissue: Densities, penalty: float | int = 0.1) -> Stains:
    """What comes out when the three channels are taken for the samples and the pixels for their features.

    The penalty then falls on the stain vectors instead of the concentrations: another problem than the paper's,
    solved by mistake in a published port. For comparison only.
    """
    channels = tissue[spread(len(tissue), SAMPLE)].T
    atoms = lasso(channels.T, START, penalty)
    if not atoms.any(axis=0).all() or np.linalg.matrix_rank(atoms) < 2:
        return np.full((3, 2), np.nan)
    atoms = sparse_factors(channels, unit_columns(atoms), penalty, LEGACY_ITERATIONS)
    codes = lasso(channels, atoms, penalty)
    return unit_columns(_ordered(codes)) if codes.any(axis=0).all() else np.full((3, 2), np.nan)


def _ordered(stains: Stains) -> Stains:
    ordered: Stains = stains if stains[0, 0] >= stains[0, 1] else stains[:, ::-1]
    return ordered


@final
class Vahadane(TwoStainAppearance):
    """Vahadane's structure-preserving normalizer (SPCN), without SPAMS and without a random draw.

    Parameters
    ----------
    target : see :class:`TwoStainAppearance`; None for :data:`DEFAULT_TARGET`.
    penalty : weight of sparsity when the stain vectors are found.
    concentrations : ``lasso`` (penalty 0.01, never negative, as published) or ``least-squares``, which makes the
        map linear in optical density and so a product of tables.
    threshold : lightness (0 to 1) from which a pixel is background.
    percentile : of the concentrations that is matched; the paper calls it a pseudo-maximum.
    od : convention of optical density; io : intensity of unstained light (grey levels).
    n_patches : pieces of tissue whose vectors are estimated apart, for the median of them.
    strict : raise :class:`~histokin.errors.DegenerateStain` for a source without two stains.
    legacy_transposed : find the vectors by :func:`transposed_stain_vectors`.

    Source: A. Vahadane et al., Structure-preserving color normalization and sparse stain separation for
    histological images, IEEE Trans Med Imaging 2016.
    """

    name = "vahadane"
    USUAL = USUAL
    DEFAULT = DEFAULT_TARGET

    def __init__(
        self,
        target: object = None,
        *,
        penalty: float | int = 0.1,
        concentrations: str = "lasso",
        threshold: float | int = LUMINOSITY,
        percentile: float | int = 99.0,
        od: str = "od255",
        io: float | int | None = None,
        n_patches: int = 1,
        strict: bool = False,
        legacy_transposed: bool = False,
    ) -> None:
        mode = choice("od", od, tuple(WHITE))
        density = OpticalDensity(mode, None if io is None else number("io", io, 1, 512))
        options: dict[str, Any] = {
            "penalty": number("penalty", penalty, 0, 1),
            "concentrations": choice("concentrations", concentrations, tuple(CONCENTRATIONS)),
            "threshold": number("threshold", threshold, 0, 1),
            "percentile": number("percentile", percentile, 50, 100),
            "od": mode,
            "io": density.white,
            "n_patches": int(number("n_patches", n_patches, 1, 100)),
            "legacy_transposed": bool(legacy_transposed),
        }
        if legacy_transposed and options["n_patches"] > 1:
            raise UsageError("n_patches has no part in legacy_transposed", remedy="Leave one of them out")
        if legacy_transposed:
            estimate = partial(transposed_stain_vectors, penalty=options["penalty"])
        else:
            estimate = partial(stain_vectors, penalty=options["penalty"], n_patches=options["n_patches"])
        fit = TwoStainFit(
            density,
            estimate,
            by_luminosity(options["threshold"]),
            options["percentile"],
            CONCENTRATIONS[options["concentrations"]],
        )
        super().__init__(target, fit, options, strict=strict)
