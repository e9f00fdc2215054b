"""The archive's vectors in a plane, by principal components (Pearson 1901, On lines and planes of closest fit).

Only two of the singular vectors are wanted, so they are found by subspace iteration from a fixed start (Halko,
Martinsson and Tropp, SIAM Review 53:217, 2011), in a fraction of the time of the whole decomposition. Where the
spectrum is so flat that they have not settled after the last round, many planes show as much as this one.
"""

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from jaxtyping import Float64, Int64

from histokin.types import Vectors

SAMPLE = 5000
"""Vectors that the plane is fitted to, at most."""

BLOCK = 16
"""Directions followed at once; where vectors have no more numbers, the answer is exact after one round."""

ROUNDS = 100
SETTLED = 1e-12
"""Relative change of the two variances at which the directions have settled."""


@final
@dataclass(frozen=True, eq=False)
class Plane:
    """The two directions in which vectors differ most; ``shares`` of their variance lie along each (0 to 1)."""

    metric: Literal["euclidean", "cosine"]
    center: Float64[np.ndarray, "d"]
    axes: Float64[np.ndarray, "2 d"]
    shares: tuple[float, float]

    @classmethod
    def fit(cls, vectors: Vectors, metric: Literal["euclidean", "cosine"]) -> "Plane":
        """The best plane through ``vectors`` (at least one row).

        Under the cosine metric vectors are first brought to unit length, since their lengths do not count. The sign
        of an axis is such that its largest entry is positive, so equal vectors always give the same plane.
        """
        data = _comparable(vectors, metric)
        center = data.mean(axis=0)
        data = data - center
        spread, axes = _leading(data)
        total = float((data**2).sum())
        # Rounding in single precision is no variance.
        flat = total <= 1e-12 * max(1.0, float((center**2).sum())) * len(data)
        picked = np.zeros((2, data.shape[1]))
        shares = [0.0, 0.0]
        for i in range(0 if flat else min(2, len(axes))):
            picked[i] = axes[i] * (1 if axes[i][np.argmax(np.abs(axes[i]))] > 0 else -1)
            shares[i] = float(spread[i] ** 2) / total
        return cls(metric, center, picked, (shares[0], shares[1]))

    def place(self, vectors: Vectors) -> Float64[np.ndarray, "n 2"]:
        """Where vectors lie in the plane."""
        placed: Float64[np.ndarray, "n 2"] = (_comparable(vectors, self.metric) - self.center) @ self.axes.T
        return placed

    def shown(self, first: Vectors, second: Vectors) -> float:
        """Share of the squared distances between paired rows that the plane shows, 0 to 1; 1 where all are equal."""
        gaps = _comparable(first, self.metric) - _comparable(second, self.metric)
        total = float((gaps**2).sum())
        return min(1.0, float(((gaps @ self.axes.T) ** 2).sum()) / total) if total > 0 else 1.0


def _leading(data: Float64[np.ndarray, "n d"]) -> tuple[Float64[np.ndarray, "k"], Float64[np.ndarray, "k d"]]:
    """The leading singular values, from large to small, and their right singular vectors."""
    width = min(BLOCK, *data.shape)
    basis, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((data.shape[1], width)))
    tall = data.shape[0] > data.shape[1]
    products = data.T @ data if tall else data
    before = np.full(width, np.inf)
    for _ in range(ROUNDS):
        moved = products @ basis if tall else data.T @ (products @ basis)
        squared, turn = np.linalg.eigh(basis.T @ moved)
        squared, vectors = squared[::-1], basis @ turn[:, ::-1]
        if np.all(np.abs(squared - before)[:2] <= SETTLED * max(float(squared[0]), 1e-300)):
            break
        before = squared
        basis, _ = np.linalg.qr(moved)
    return np.sqrt(np.maximum(squared, 0.0)), vectors.T


def sample_rows(count: int, most: int = SAMPLE) -> Int64[np.ndarray, "m"]:
    """At most ``most`` of ``count`` rows, evenly spaced, so that every slide has its share; always the same ones."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    return np.linspace(0, count - 1, most).round().astype(np.int64)


def _comparable(vectors: Vectors, metric: Literal["euclidean", "cosine"]) -> Float64[np.ndarray, "n d"]:
    data = np.asarray(vectors, np.float64)
    if metric == "euclidean":
        return data
    lengths = np.linalg.norm(data, axis=1, keepdims=True)
    unit: Float64[np.ndarray, "n d"] = np.divide(data, lengths, out=np.zeros_like(data), where=lengths > 0)
    return unit
