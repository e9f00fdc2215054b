"""Bootstrap intervals of many figures at once: one set of draws serves all of them (Efron's percentile interval).

Queries are drawn with replacement; with groups (the patient, slide or source image of each query) whole groups are,
since queries of one group are not independent.
"""

from collections.abc import Iterator
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64, Shaped

LEVEL, DRAWS = 0.95, 2000
CELLS = 1 << 22
"""Weights held at once, to bound memory."""


@final
class Interval(NamedTuple):
    """A figure and its interval; NaN where it cannot be told."""

    value: float
    low: float
    high: float


def clusters(count: int, groups: Shaped[np.ndarray, "q"] | None) -> tuple[Int64[np.ndarray, "q"], int]:
    """The cluster of each query, from 0, and how many clusters there are; every query its own without groups."""
    if groups is None:
        return np.arange(count), count
    known, place = np.unique(groups, return_inverse=True)
    return place.astype(np.int64), len(known)


def resamples(sets: int, seed: int, n: int = DRAWS) -> Iterator[Float64[np.ndarray, "b sets"]]:
    """How often each of ``sets`` clusters was drawn, in blocks of draws; the same for the same seed."""
    draws = np.random.default_rng(seed)
    block = max(1, CELLS // max(sets, 1))
    for start in range(0, n, block):
        drawn = [draws.integers(0, sets, sets) for _ in range(min(block, n - start))]
        yield np.stack([np.bincount(each, minlength=sets) for each in drawn]).astype(np.float64)


def mean_intervals(
    values: Float64[np.ndarray, "q m"], groups: Shaped[np.ndarray, "q"] | None = None, *, seed: int = 0, n: int = DRAWS
) -> list[Interval]:
    """Mean and 95 % interval of every column, as :func:`~histokin.metrics.ranking.bootstrap_interval` has them."""
    if not len(values):
        return [Interval(float("nan"), float("nan"), float("nan"))] * values.shape[1]
    place, sets = clusters(len(values), groups)
    sums = np.zeros((sets, values.shape[1]))
    np.add.at(sums, place, values)
    sizes = np.bincount(place, minlength=sets).astype(np.float64)
    means = np.concatenate([(drawn @ sums) / (drawn @ sizes)[:, None] for drawn in resamples(sets, seed, n)])
    return [Interval(float(v), *_bounds(m)) for v, m in zip(values.mean(axis=0), means.T, strict=True)]


class Macro(NamedTuple):
    """Means over labels, each label with the same weight."""

    precision: Interval
    recall: Interval
    f1: Interval


def macro_intervals(
    truth: Int[np.ndarray, "q"],
    predicted: Int[np.ndarray, "q"],
    groups: Shaped[np.ndarray, "q"] | None = None,
    *,
    seed: int = 0,
    n: int = DRAWS,
) -> Macro:
    """Macro precision, recall and F1 as :mod:`histokin.metrics.classification` has them, with 95 % intervals.

    ``truth`` and ``predicted`` are label numbers from 0; -1 is a query without a prediction, which counts against
    the recall of its label and against no label's precision. A draw's means are over the labels that it holds.
    """
    if not len(truth):
        nothing = Interval(float("nan"), float("nan"), float("nan"))
        return Macro(nothing, nothing, nothing)
    place, sets = clusters(len(truth), groups)
    labels = int(max(truth.max(), predicted.max())) + 1
    right, claimed, support = (np.zeros((sets, labels)) for _ in range(3))
    np.add.at(support, (place, truth), 1)
    given = predicted >= 0
    np.add.at(claimed, (place[given], predicted[given]), 1)
    hit = truth == predicted
    np.add.at(right, (place[hit], truth[hit]), 1)
    whole = _macro(right.sum(axis=0)[None], claimed.sum(axis=0)[None], support.sum(axis=0)[None])[0]
    drawn = np.concatenate([_macro(w @ right, w @ claimed, w @ support) for w in resamples(sets, seed, n)])
    return Macro(*(Interval(float(v), *_bounds(d)) for v, d in zip(whole, drawn.T, strict=True)))


def auc_interval(
    positive: Bool[np.ndarray, "q c"],
    scores: Float64[np.ndarray, "q c"],
    groups: Shaped[np.ndarray, "q"] | None = None,
    *,
    seed: int = 0,
    n: int = DRAWS,
) -> Interval:
    """Mean over the columns of the area under the ROC curve (ties count half), with its 95 % interval.

    One column is one curve; a column per class, each against the rest, makes the macro average. Draws in which a
    column holds one kind only are left out.
    """
    place, sets = clusters(len(positive), groups)
    if not sets or not positive.shape[1]:
        return Interval(*(3 * [float("nan")]))
    levels = [np.unique(column, return_inverse=True)[1] for column in scores.T]
    whole = _auc(np.ones((1, len(positive))), positive, levels)
    drawn = np.concatenate([_auc(w[:, place], positive, levels) for w in resamples(sets, seed, n)])
    return Interval(float(whole[0]), *_bounds(drawn))


def _auc(
    weights: Float64[np.ndarray, "b q"], positive: Bool[np.ndarray, "q c"], levels: list[Int[np.ndarray, "q"]]
) -> Float64[np.ndarray, "b"]:
    areas = np.empty((len(weights), len(levels)))
    for column, level in enumerate(levels):
        ours = positive[:, column]
        steps = int(level.max()) + 1
        for i, weight in enumerate(weights):
            ones = np.bincount(level[ours], weight[ours], steps)
            zeros = np.bincount(level[~ours], weight[~ours], steps)
            pairs = ones.sum() * zeros.sum()
            below = np.cumsum(zeros) - zeros / 2
            areas[i, column] = (ones * below).sum() / pairs if pairs else np.nan
    mean: Float64[np.ndarray, "b"] = areas.mean(axis=1)
    return mean


def _macro(
    right: Float64[np.ndarray, "b c"], claimed: Float64[np.ndarray, "b c"], support: Float64[np.ndarray, "b c"]
) -> Float64[np.ndarray, "b 3"]:
    occurs, there = claimed + support > 0, support > 0
    found = [
        (right / np.maximum(claimed, 1), occurs),
        (right / np.maximum(support, 1), there),
        (2 * right / np.maximum(claimed + support, 1), occurs),
    ]
    return np.stack([(rate * kept).sum(axis=1) / np.maximum(kept.sum(axis=1), 1) for rate, kept in found], axis=1)


def _bounds(values: Float64[np.ndarray, "n"]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
