"""What the paper's Table I may mean: three families of metrics on one ranking, each with its 95 % interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped

from histokin.archive.exact import Metric, search
from histokin.archive.records import Neighbours
from histokin.metrics.classification import accuracy, macro_precision, macro_recall
from histokin.metrics.ranking import (
    average_precision_at_k,
    majority_vote,
    pool_limited_recall_at_k,
    precision_at_k,
    recall_at_k,
)
from histokin.metrics.resampling import Interval, macro_intervals, mean_intervals
from histokin.types import Vectors

COUNTS = (20, 40, 60, 80, 100)
"""How many images are retrieved in the paper's Table I."""

TRUE, VOTE, POOL = ("P@n", "R@n", "mAP@n"), ("accuracy", "precision", "recall"), ("pool-limited recall",)
RANDOM_RANKINGS = 20

UNKNOWN = float("nan")

Labels = Shaped[np.ndarray, "q"]
Ranked = Shaped[np.ndarray, "q n"]


@final
@dataclass(frozen=True, eq=False)
class Scores:
    """Metrics by n and name (0 to 1, with intervals), their averages over n, and what single queries have.

    ``right`` is each query's share of the counts n at which the vote is right; ``precise`` its mean P@n.
    """

    at: Mapping[int, Mapping[str, Interval]]
    mean: Mapping[str, Interval]
    right: Float64[np.ndarray, "q"]
    precise: Float64[np.ndarray, "q"]


def counts_within(size: int) -> tuple[int, ...]:
    """The paper's numbers of retrieved images that an archive of ``size`` holds; its size where it holds none."""
    return tuple(n for n in COUNTS if n <= size) or (size,)


def ranking(archived: Vectors, asked: Float32[np.ndarray, "q d"], metric: Metric, most: int) -> Neighbours:
    """Rows and distances of the ``most`` nearest of each query, nearest first."""
    norms = (archived.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)
    return search(archived, norms, asked, most, metric=metric)


def score(
    ranked: Ranked, truth: Labels, relevant: Int64[np.ndarray, "q"], groups: Int64[np.ndarray, "q"] | None = None
) -> Scores:
    """All metrics of ranked labels.

    Parameters
    ----------
    ranked : labels of the hits, nearest first, as many as the greatest n wanted.
    truth : label of each query. relevant : M, how many images of the archive have it.
    groups : queries of one group are copies of each other and drawn together.
    """
    counts = counts_within(ranked.shape[1])
    votes = {n: majority_vote(ranked, n) for n in counts}
    columns: dict[str, list[Float64[np.ndarray, "q"]]] = {
        "P@n": [precision_at_k(ranked, truth, n) for n in counts],
        "R@n": [recall_at_k(ranked, truth, relevant, n) for n in counts],
        "mAP@n": [average_precision_at_k(ranked, truth, relevant, n) for n in counts],
        "pool-limited recall": [pool_limited_recall_at_k(ranked, truth, relevant, n) for n in counts],
        "accuracy": [(votes[n] == truth).astype(np.float64) for n in counts],
    }
    at: dict[int, dict[str, Interval]] = {n: {} for n in counts}
    mean: dict[str, Interval] = {}
    whole = np.stack([column for values in columns.values() for column in (*values, np.mean(values, axis=0))], axis=1)
    intervals = iter(mean_intervals(whole, groups))
    for name in columns:
        for n in counts:
            at[n][name] = next(intervals)
        mean[name] = next(intervals)
    for n in counts:
        macro = macro_intervals(*_numbered(truth, votes[n]), groups)
        at[n] |= {"precision": macro.precision, "recall": macro.recall}
    for name in ("precision", "recall"):
        mean[name] = Interval(float(np.mean([at[n][name].value for n in counts])), UNKNOWN, UNKNOWN)
    return Scores(at, mean, np.mean(columns["accuracy"], axis=0), np.mean(columns["P@n"], axis=0))


def chance(labels: Shaped[np.ndarray, "n"], truth: Labels, seed: int = 0) -> Scores:
    """The same metrics of hits in random order: the mean of 20 rankings, without intervals."""
    rng = np.random.default_rng([seed, 20])
    relevant = relevant_to(labels, truth)
    counts = counts_within(min(len(labels), max(COUNTS)))
    found: dict[int, dict[str, list[float]]] = {n: {} for n in counts}
    for _ in range(RANDOM_RANKINGS):
        ranked = np.stack([labels[rng.permutation(len(labels))[: max(counts)]] for _ in truth])
        for n in counts:
            vote = majority_vote(ranked, n)
            values = {
                "P@n": float(precision_at_k(ranked, truth, n).mean()),
                "R@n": float(recall_at_k(ranked, truth, relevant, n).mean()),
                "mAP@n": float(average_precision_at_k(ranked, truth, relevant, n).mean()),
                "pool-limited recall": float(pool_limited_recall_at_k(ranked, truth, relevant, n).mean()),
                "accuracy": accuracy(truth, vote),
                "precision": macro_precision(truth, vote),
                "recall": macro_recall(truth, vote),
            }
            for name, value in values.items():
                found[n].setdefault(name, []).append(value)
    at = {n: {name: Interval(float(np.mean(v)), UNKNOWN, UNKNOWN) for name, v in found[n].items()} for n in counts}
    mean = {name: _average(at, name) for name in (*TRUE, *VOTE, *POOL)}
    nothing = np.full(len(truth), UNKNOWN)
    return Scores(at, mean, nothing, nothing)


def relevant_to(labels: Shaped[np.ndarray, "n"], truth: Labels) -> Int64[np.ndarray, "q"]:
    """M of each query: how many images of the archive have its label."""
    known, counts = np.unique(labels, return_counts=True)
    size = dict(zip(known.tolist(), counts.tolist(), strict=True))
    return np.array([size.get(label, 0) for label in truth.tolist()], np.int64)


def table_averages(rows: Mapping[int, Sequence[float]]) -> tuple[float, ...]:
    """Mean of each column of a table of figures by n, as the paper's Table I averages them."""
    return tuple(float(np.mean(column)) for column in zip(*rows.values(), strict=True))


def _average(at: Mapping[int, Mapping[str, Interval]], name: str) -> Interval:
    return Interval(float(np.mean([row[name].value for row in at.values()])), UNKNOWN, UNKNOWN)


def _numbered(truth: Labels, predicted: Labels) -> tuple[Int64[np.ndarray, "q"], Int64[np.ndarray, "q"]]:
    known = np.unique(np.concatenate([truth, predicted]))
    return np.searchsorted(known, truth), np.searchsorted(known, predicted)
