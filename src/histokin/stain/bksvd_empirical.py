"""Empirical-Bayes BKSVD: which stains a pixel holds, and how much, by greedy marginal likelihood.

The same sparse prior as :mod:`~histokin.stain.bksvd_variational`, with the concentrations integrated out. In each
pixel, stains are switched on, changed and switched off one at a time, whichever raises the likelihood most.
"""

import numpy as np
from jaxtyping import Float64

from histokin.stain.bksvd_batches import Belief, Search, search
from histokin.stain.bksvd_pixels import (
    FEWEST_TURNS,
    MOST_TURNS,
    Atoms,
    Batch,
    Concentrations,
    posterior,
    settled,
    step,
)
from histokin.stain.deconvolution import LANDINI, unit_columns

GAIN = 1e-8
"""Of the marginal likelihood, relative: a pixel whose best change brings less is left as it is."""

MOST_CHANGES = 24
"""In one pixel, in one go. The rate of the prior hangs on what is on, so some pixels would switch for ever."""

TINY = float(np.finfo(np.float64).eps)


def search_empirical(tissue: Float64[np.ndarray, "n 3"], *, start: Atoms = LANDINI[:, :2], seed: int = 0) -> Search:
    """The stains of tissue densities "n 3" (256 grey levels as white), hematoxylin first.

    Parameters
    ----------
    tissue : at least one pixel; densities of pixels whose mean density is above 0.1.
    start : where the search starts, "3 2".
    seed : of the draw of batches.

    Source: the greedy variant of F. Pérez-Bueno et al., Bayesian K-SVD for H&E blind color deconvolution,
    Comput. Med. Imaging Graph. 2022, after S. D. Babacan et al., Bayesian compressive sensing using Laplace
    priors, IEEE Trans. Image Process. 2010. The noise of a pixel has a hundredth of the variance of its densities.
    """
    unit = unit_columns(start)
    return search(tissue, Belief(unit, 1.0), learn_batch, seed)


def learn_batch(batch: Batch, belief: Belief) -> Belief:
    """Alternate between concentrations and stains on one batch until the concentrations settle."""
    atoms = belief.atoms
    noise = np.maximum(batch.var(axis=0) / 100, TINY)
    means = np.maximum(np.linalg.pinv(atoms) @ batch, TINY)
    for turn in range(1, MOST_TURNS + 1):
        before = means
        belief_now = posterior(atoms, batch, greedy_variances(atoms, batch, noise), noise)
        means = belief_now.means
        atoms = step(atoms, batch, belief_now, atoms)
        if turn >= FEWEST_TURNS and settled(means, before):
            break
    return Belief(atoms, belief.precision, turn)


def greedy_variances(
    atoms: Float64[np.ndarray, "3 2"], batch: Batch, noise: Float64[np.ndarray, "q"]
) -> Concentrations:
    """Prior variances of both stains in every pixel, 0 where a stain is off."""
    seen = atoms.T @ batch
    shared = float(atoms[:, 0] @ atoms[:, 1])
    prior: Concentrations = np.zeros_like(seen)
    main = (seen[1] ** 2 > seen[0] ** 2).astype(np.intp)
    everyone = np.arange(len(noise))
    prior[main, everyone] = np.maximum(seen[main, everyone] ** 2 - noise, TINY)
    open_, likelihood = everyone, np.zeros(len(noise))
    for _ in range(MOST_CHANGES):
        fresh, gain = _best_changes(seen[:, open_], prior[:, open_], noise[open_], shared)
        column = np.arange(len(open_))
        better = (gain[1] > gain[0]).astype(np.intp)
        best = gain[better, column]
        likelihood[open_] += np.abs(best)
        worth = best > GAIN * likelihood[open_]
        open_, better, column = open_[worth], better[worth], column[worth]
        if not len(open_):
            break
        prior[better, open_] = fresh[better, column]
    return prior


def _best_changes(
    seen: Concentrations, prior: Concentrations, noise: Float64[np.ndarray, "q"], shared: float
) -> tuple[Concentrations, Concentrations]:
    """For either stain: the variance that maximizes the marginal likelihood, and the logarithm it would gain."""
    other = prior[::-1]
    taken = other / (noise + other) * shared
    # what a stain explains beyond the other: its leave-one-out sparsity and quality
    sparsity = (1 - taken * shared) / noise
    quality = ((seen - taken * seen[::-1]) / noise) ** 2
    both = (prior > 0).all(axis=0)
    rate = np.where(both, 2 / np.maximum(prior.sum(axis=0), TINY), 0.0)
    # 1 + variance · sparsity at the maximum, the positive root of rate u² + sparsity u - quality = 0
    root = 2 * quality / (sparsity + np.sqrt(sparsity**2 + 4 * rate * quality))
    fresh = np.where(quality > sparsity + rate, (root - 1) / sparsity, 0.0)
    last = (prior > 0) & ~both
    fresh = np.where(last & (fresh == 0), prior, fresh)
    gain = _likelihood(fresh, sparsity, quality, rate) - _likelihood(prior, sparsity, quality, rate)
    return fresh, gain


def _likelihood(
    variance: Concentrations, sparsity: Concentrations, quality: Concentrations, rate: Float64[np.ndarray, "q"]
) -> Concentrations:
    """The part of a pixel's log marginal likelihood (twice it) that one stain's variance changes."""
    scale = 1 + variance * sparsity
    value: Concentrations = quality * variance / scale - np.log(scale) - rate * variance
    return value
