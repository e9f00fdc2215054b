"""Variational BKSVD: a Laplace prior on every concentration, written as three tiers, and mean-field updates.

Densities of a pixel are ``y ~ N(D x, I / precision)``. A concentration is ``x ~ N(0, prior)``, its prior
exponential with rate ``rate / 2``, one rate per pixel with a flat gamma prior; stains D are uniform on the unit
sphere. Mean-field over x; point estimates for the rest.
"""

from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from histokin.stain.bksvd_batches import Belief, Search, search
from histokin.stain.bksvd_pixels import (
    FEWEST_TURNS,
    MOST_TURNS,
    Atoms,
    Batch,
    Concentrations,
    Posterior,
    posterior,
    settled,
    step,
    variance,
)
from histokin.stain.deconvolution import LANDINI, unit_columns

Residual = Literal["expected", "frobenius", "spectral"]

RESIDUALS: tuple[Residual, ...] = ("expected", "frobenius", "spectral")

FEWEST = 100
"""Pixels that two stains are learned from, at the least."""

SHAPE, RATE = 1.0, 0.5
"""Of the gamma prior on the precision of the noise."""

TINY = float(np.finfo(np.float64).eps)


def search_variational(
    tissue: Float64[np.ndarray, "n 3"],
    *,
    start: Atoms = LANDINI[:, :2],
    residual: Residual = "expected",
    seed: int = 0,
    legacy_variance_as_precision: bool = False,
    legacy_without_noise: bool = False,
) -> Search:
    """The stains of tissue densities "n 3" (256 grey levels as white), hematoxylin first.

    Parameters
    ----------
    tissue : at least one pixel; densities of pixels whose mean density is above 0.2.
    start : where the search starts, "3 2" or "3 3". A third stain that comes too near another is set back.
    residual : what the precision of the noise is estimated from. ``expected``: the squared residual and the
        spread of the concentrations, which is what the model asks for; ``frobenius``: the squared residual;
        ``spectral``: its largest singular value squared, as in the authors' program, where ``norm`` of a matrix
        is not the root of its summed squares.
    seed : of the draw of batches.
    legacy_variance_as_precision : start from a precision of ``variance / 100``, as the authors' program does,
        in place of one over that.
    legacy_without_noise : leave the precision out (it stays 1), as one Python port does.

    Source: F. Pérez-Bueno et al., Bayesian K-SVD for H&E blind color deconvolution, Comput. Med. Imaging
    Graph. 2022.
    """
    unit = unit_columns(start)
    hundredth = max(variance(tissue) / 100, TINY)
    precision = hundredth if legacy_variance_as_precision else 1 / hundredth

    def learn(batch: Batch, belief: Belief) -> Belief:
        return learn_batch(batch, belief, unit, residual, fixed=legacy_without_noise)

    return search(tissue, Belief(unit, 1.0 if legacy_without_noise else precision), learn, seed)


def learn_batch(batch: Batch, belief: Belief, start: Atoms, residual: Residual, *, fixed: bool = False) -> Belief:
    """Alternate between concentrations and stains on one batch until the concentrations settle.

    ``fixed`` leaves the precision as it is; ``start`` is where a third stain goes back to.
    """
    atoms, precision = belief.atoms, belief.precision
    means = np.maximum(np.linalg.pinv(atoms) @ batch, TINY)
    spread, prior = np.zeros_like(means), np.ones_like(means)
    for turn in range(1, MOST_TURNS + 1):
        before = means
        prior = laplace_variances(means**2 + spread, prior)
        belief_now = posterior(atoms, batch, prior, 1 / precision)
        means, spread = belief_now.means, belief_now.variances
        atoms = step(atoms, batch, belief_now, start)
        if not fixed:
            left = squared_residual(atoms, batch, belief_now, residual)
            precision = (batch.size + 2 * SHAPE) / (left + 2 * RATE)
        if turn >= FEWEST_TURNS and settled(means, before):
            break
    return Belief(atoms, precision, turn)


def laplace_variances(power: Concentrations, prior: Concentrations) -> Concentrations:
    """Prior variances given the expected squares of the concentrations and the variances before.

    The positive root of ``rate v² + v - power = 0``, with ``rate = (2 k - 2) / sum(v before)`` in each pixel.
    """
    half = prior.sum(axis=0) * (0.5 / (2 * len(prior) - 2))
    # (sqrt(half² + 2 half power) - half) without the difference of near equals
    fresh: Concentrations = 2 * half * power / (half + np.sqrt(half * (half + 2 * power)))
    return np.where(fresh > 0, fresh, TINY)


def squared_residual(atoms: Atoms, batch: Batch, belief: Posterior, residual: Residual) -> float:
    """What the stains leave of a batch; see :func:`search_variational` for the three ways to measure it."""
    left = batch - atoms @ belief.means
    if residual == "spectral":
        return float(np.linalg.eigvalsh(left @ left.T)[-1])
    total = float((left * left).sum())
    return total + float(((atoms.T @ atoms) * belief.covariance).sum()) if residual == "expected" else total


def search_robust(tissue: Float64[np.ndarray, "n 3"], most: float | int, *, seed: int = 0, **how: Any) -> Search:
    """The two stains of tissue that holds blood: found once more without the pixels where a third stain shows.

    Parameters
    ----------
    tissue : see :func:`search_variational`, which also says what else it takes.
    most : density of the third stain above which a pixel is left out.

    All pixels are kept where fewer than :data:`FEWEST` would be left.
    """
    three = search_variational(tissue, start=LANDINI, seed=seed, **how).stains
    third = np.linalg.solve(three, tissue.T)[2]
    clean = tissue[third <= most]
    return search_variational(clean if len(clean) >= FEWEST else tissue, seed=seed, **how)
