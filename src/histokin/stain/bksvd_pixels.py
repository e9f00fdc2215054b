"""What both forms of BKSVD share: the start, the draw of pixels, the posterior of a pixel, the step of the stains."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float64, Int64

FEWEST_TURNS, MOST_TURNS = 3, 100
"""Alternations between concentrations and stains within one batch."""

SETTLED = 1e-4
"""Relative change of each stain's squared concentrations below which a batch is done."""

CLOSE = 0.1
"""Distance between two unit vectors within which a third stain has taken another's place."""

LEAST_SPREAD = 0.01
"""Second over first singular value of the densities below which they lie on a line: what rounding alone gives."""

Batch = Float64[np.ndarray, "3 q"]
Atoms = Float64[np.ndarray, "3 k"]
Concentrations = Float64[np.ndarray, "k q"]


@final
@dataclass(frozen=True, eq=False)
class Posterior:
    """Gaussian belief about the concentrations of a batch: means "k q", and covariances summed over pixels "k k".

    ``variances`` are the diagonals pixel by pixel.
    """

    means: Concentrations
    variances: Concentrations
    covariance: Float64[np.ndarray, "k k"]


class Draw:
    """Places drawn without replacement; the same for a seed on every machine and with every release of numpy."""

    def __init__(self, seed: int) -> None:
        # Of a bit generator numpy promises the stream; of the methods of Generator it does not.
        self._bits = np.random.PCG64(seed)

    def places(self, total: int, count: int) -> Int64[np.ndarray, "count"]:
        """``count`` different numbers below ``total``, or all of them where there are no more."""
        if total <= count:
            return np.arange(total)
        drawn: dict[int, None] = {}
        while len(drawn) < count:
            drawn.update(dict.fromkeys((self._bits.random_raw(count) % np.uint64(total)).tolist()))
        return np.fromiter(drawn, np.int64)[:count]


def on_a_line(densities: Float64[np.ndarray, "n 3"]) -> bool:
    """True where all pixels are one color, darker or lighter."""
    values = np.linalg.eigvalsh(densities.T @ densities)
    return bool(values[1] <= LEAST_SPREAD**2 * values[2])


def variance(densities: Float64[np.ndarray, "n 3"]) -> float:
    """Of all values together (a one-pass form: one tenth of the time of ``np.var``)."""
    flat = densities.reshape(-1)
    return float(flat @ flat / flat.size - (flat.sum() / flat.size) ** 2)


def posterior(
    atoms: Atoms, batch: Batch, prior: Concentrations, noise: float | int | Float64[np.ndarray, "q"]
) -> Posterior:
    """Concentrations given stains, their prior variances (0 switches a stain off) and the variance of the noise.

    ``covariance = (atomsᵀ atoms / noise + diag(1 / prior))⁻¹``, ``mean = covariance · atomsᵀ batch / noise``.
    """
    gram, seen = atoms.T @ atoms, atoms.T @ batch
    if len(prior) == 2:
        return _posterior_of_two(gram, seen, prior, noise)
    count = len(prior)
    spread = np.broadcast_to(noise, prior.shape[1:])
    # (I + P G / n)^-1 P is the covariance, and needs no division by a prior of 0
    inner = np.eye(count) + prior.T[:, :, None] * gram / spread[:, None, None]
    covariance = np.linalg.inv(inner) * prior.T[:, None, :]
    means = np.nan_to_num(np.einsum("qij,jq->iq", covariance, seen) / spread)
    return Posterior(means, np.einsum("qii->iq", covariance).copy(), covariance.sum(axis=0))


def _posterior_of_two(
    gram: Float64[np.ndarray, "2 2"],
    seen: Concentrations,
    prior: Concentrations,
    noise: float | int | Float64[np.ndarray, "q"],
) -> Posterior:
    (one, both), (_, other) = gram.tolist()
    first, second = prior * one, prior[1] * other
    wide = np.stack([second + noise, first[0] + noise])
    cross = prior[0] * prior[1] * both
    scale = 1.0 / (wide[0] * wide[1] - cross * both)
    weight = prior * wide * scale
    cross *= scale
    means = np.nan_to_num(weight * seen - cross * seen[::-1])
    variances = weight * noise
    shared = -float((cross * noise).sum())
    own = variances.sum(axis=1).tolist()
    return Posterior(means, variances, np.array([[own[0], shared], [shared, own[1]]]))


def step(atoms: Atoms, batch: Batch, belief: Posterior, start: Atoms) -> Atoms:
    """New stains, each from the old others: what the others leave of the batch, weighted by concentration.

    A stain that is nowhere stays. A third one that came within :data:`CLOSE` of another goes back to the start.
    """
    power = belief.means @ belief.means.T
    mixed = batch @ belief.means.T
    both = power + belief.covariance
    others = both - np.diag(np.diag(both))
    moved = mixed - atoms @ others
    length = np.sqrt((moved**2).sum(axis=0))
    stays = (np.diag(power) == 0) | (length == 0)
    fresh: Atoms = np.where(stays, atoms, moved / np.where(stays, 1.0, length))
    if fresh.shape[1] == 3 and np.linalg.norm(fresh[:, :2] - fresh[:, 2:], axis=0).min() < CLOSE:
        fresh[:, 2] = start[:, 2]
    return fresh


def settled(means: Concentrations, before: Concentrations) -> bool:
    """True where no stain's concentrations moved by more than :data:`SETTLED` (squared, relative)."""
    change, size = ((means - before) ** 2).sum(axis=1), (before**2).sum(axis=1)
    return bool((change <= SETTLED * size).all())


def ordered(atoms: Atoms) -> Atoms:
    """Stains that point to absorption, hematoxylin (of the first two the redder one) first."""
    turned: Atoms = atoms * np.where(atoms.sum(axis=0) < 0, -1.0, 1.0)
    if turned[0, 0] < turned[0, 1]:
        turned[:, :2] = turned[:, 1::-1]
    return turned
