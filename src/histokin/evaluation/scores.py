"""Every figure of a ranking by name, with intervals; queries without hits count as misses everywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from histokin.evaluation.answers import Ranked
from histokin.metrics import ranking
from histokin.metrics.resampling import Interval, Macro, auc_interval, macro_intervals, mean_intervals

NO_HITS = "(no hits)"
"""Column of the confusion matrix for queries without an answer."""

PER_QUERY = (
    "any_hit_accuracy",
    "precision",
    "recall",
    "pool_limited_recall",
    "mean_average_precision",
    "vote_accuracy",
)
"""Figures that are means over queries; ``@k`` is appended."""

FORMULAS: Mapping[str, str] = {
    "any_hit_accuracy@k": "share of queries with at least one hit of their class among the first k",
    "precision@k": "hits of the query's class among the first k, divided by k; mean over queries (P@k)",
    "recall@k": "hits of the query's class among the first k, divided by R, all that may answer and have it (R@k)",
    "pool_limited_recall@k": "the same divided by min(k, R), what k hits can hold at best",
    "mean_average_precision@k": "sum of P@i over the places i <= k with a right hit, divided by min(k, R) (mAP@k)",
    "vote_accuracy@k": "share of queries whose class most of the first k hits have; a tie goes to the nearer class",
    "vote_macro_precision@k": "mean over classes of the share of votes for it that are right",
    "vote_macro_recall@k": "mean over classes of the share of its queries that the vote gets right",
    "vote_macro_f1@k": "mean over classes of 2 TP / (2 TP + FP + FN) of the vote",
    "auc_share@k": "area under the ROC curve, scored by the share of a class among the first k hits",
    "auc_weighted_share@k": "the same with every hit weighted by 1 / (distance + 1e-6)",
}


@final
@dataclass(frozen=True)
class ClassScores:
    """One class: queries, archive items, precision@k of its queries, and the vote's precision, recall and F1."""

    label: str
    queries: int
    archived: int
    precision_at_k: float
    vote_precision: float
    vote_recall: float
    vote_f1: float


@final
@dataclass(frozen=True, eq=False)
class Scores:
    """All figures of one ranking.

    ``figures`` by name, such as ``precision@5``; ``values`` the single queries' values of those that are means over
    queries. ``confusion`` counts queries by class (rows, ``labels``) and vote (columns, ``labels`` and then no hits).
    ``at`` is the k of votes per class, confusion and areas.
    """

    figures: dict[str, Interval]
    values: dict[str, Float64[np.ndarray, "q"]]
    labels: tuple[str, ...]
    per_class: tuple[ClassScores, ...]
    confusion: Int64[np.ndarray, "c d"]
    votes: Shaped[np.ndarray, "q"]
    at: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "figures": {name: interval._asdict() for name, interval in self.figures.items()},
            "per_class": [vars(each) for each in self.per_class],
            "confusion": {
                "k": self.at,
                "rows": list(self.labels),
                "columns": [*self.labels, NO_HITS],
                "counts": self.confusion.tolist(),
            },
        }


def score(
    ranked: Ranked,
    truth: Shaped[np.ndarray, "q"],
    answers: Int64[np.ndarray, "q c"],
    classes: Sequence[str],
    ks: Sequence[int],
    *,
    archived: Mapping[str, int],
    clusters: Shaped[np.ndarray, "q"] | None = None,
    at: int = 5,
) -> Scores:
    """Score a ranking of hits against the queries' labels.

    ``answers`` counts, for each query, the rows of each of the sorted ``classes`` that may answer it; ``archived``
    the archive's rows of each class, for the table of classes.
    """
    relevant = answers[np.arange(len(truth)), np.searchsorted(np.array(classes), truth)]
    votes = {k: votes_of(ranked, k) for k in sorted({*ks, at})}
    values = per_query(ranked, truth, relevant, ks, votes)
    figures = dict(zip(values, mean_intervals(np.stack(list(values.values()), axis=1), clusters), strict=True))
    truths = np.searchsorted(np.array(classes), truth)
    for k in ks:
        figures |= _vote_figures(macro_intervals(truths, _numbers(votes[k], classes), clusters), k)
    figures |= _areas(ranked, truth, clusters, at)
    confusion = _confusion(truths, _numbers(votes[at], classes), len(classes))
    per_class = _per_class(ranked, truth, confusion, classes, archived, at)
    return Scores(figures, values, tuple(classes), per_class, confusion, votes[at], at)


def votes_of(ranked: Ranked, k: int) -> Shaped[np.ndarray, "q"]:
    """The majority of each query's first k hits; the empty text for a query without hits."""
    found = ranked.found
    there = found[:, :k].any(axis=1)
    votes = np.full(len(found), "", ranked.labels.dtype)
    if there.any():
        votes[there] = ranking.majority_vote(ranked.labels[there], k, found[there])
    return votes


def per_query(
    ranked: Ranked,
    truth: Shaped[np.ndarray, "q"],
    relevant: Int64[np.ndarray, "q"],
    ks: Sequence[int],
    votes: Mapping[int, Shaped[np.ndarray, "_"]],
) -> dict[str, Float64[np.ndarray, "q"]]:
    """One value per query for each figure of ``PER_QUERY`` at each k."""
    hits, found = ranked.labels, ranked.found
    values: dict[str, Float64[np.ndarray, "q"]] = {}
    for k in ks:
        of_k = (
            ranking.hits_at_k(hits, truth, k, found),
            ranking.precision_at_k(hits, truth, k, found),
            ranking.recall_at_k(hits, truth, relevant, k, found),
            ranking.pool_limited_recall_at_k(hits, truth, relevant, k, found),
            ranking.average_precision_at_k(hits, truth, relevant, k, found),
            (votes[k] == truth).astype(np.float64),
        )
        values |= {f"{name}@{k}": each for name, each in zip(PER_QUERY, of_k, strict=True)}
    return values


def _vote_figures(macro: Macro, k: int) -> dict[str, Interval]:
    return {f"vote_macro_{name}@{k}": interval for name, interval in macro._asdict().items()}


def _areas(
    ranked: Ranked, truth: Shaped[np.ndarray, "q"], clusters: Shaped[np.ndarray, "q"] | None, at: int
) -> dict[str, Interval]:
    """Two classes: the later one in the alphabet is positive. More: the mean of each class against the rest."""
    asked = np.unique(truth).tolist()
    positives = asked[1:] if len(asked) == 2 else asked
    ours = np.stack([truth == label for label in positives], axis=1)
    shares = [ranking.positive_share(ranked.labels, label, at, ranked.found) for label in positives]
    weighted = [ranking.weighted_share(ranked.labels, ranked.distances, label, at, ranked.found) for label in positives]
    return {
        f"auc_share@{at}": auc_interval(ours, np.stack(shares, axis=1), clusters),
        f"auc_weighted_share@{at}": auc_interval(ours, np.stack(weighted, axis=1), clusters),
    }


def _numbers(labels: Shaped[np.ndarray, "q"], classes: Sequence[str]) -> Int64[np.ndarray, "q"]:
    places = np.searchsorted(np.array(classes), labels).astype(np.int64)
    places[labels == ""] = -1
    return places


def _confusion(truths: Int64[np.ndarray, "q"], votes: Int64[np.ndarray, "q"], classes: int) -> Int64[np.ndarray, "c d"]:
    counts = np.zeros((classes, classes + 1), np.int64)
    np.add.at(counts, (truths, np.where(votes < 0, classes, votes)), 1)
    return counts


def _per_class(
    ranked: Ranked,
    truth: Shaped[np.ndarray, "q"],
    confusion: Int64[np.ndarray, "c d"],
    classes: Sequence[str],
    archived: Mapping[str, int],
    at: int,
) -> tuple[ClassScores, ...]:
    precision = ranking.precision_at_k(ranked.labels, truth, at, ranked.found)
    rows = []
    for place, label in enumerate(classes):
        mine: Bool[np.ndarray, "q"] = truth == label
        right, claimed, support = confusion[place, place], confusion[:, place].sum(), confusion[place].sum()
        rows.append(
            ClassScores(
                label,
                int(support),
                archived.get(label, 0),
                float(precision[mine].mean()) if mine.any() else float("nan"),
                _rate(right, claimed),
                _rate(right, support),
                _rate(2 * right, claimed + support),
            )
        )
    return tuple(rows)


def _rate(part: np.integer[Any], whole: np.integer[Any]) -> float:
    return float(part / whole) if whole else float("nan")
