"""Every class against all others, from a confusion matrix or from scores; and agreement beyond chance."""

from typing import Literal, NamedTuple, final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from histokin.errors import UsageError

Counts = Int64[np.ndarray, "c c"]


@final
class OneVsRest(NamedTuple):
    """Rates of every class; a rate that would divide by nothing is 0."""

    precision: Float64[np.ndarray, "c"]
    recall: Float64[np.ndarray, "c"]
    specificity: Float64[np.ndarray, "c"]
    npv: Float64[np.ndarray, "c"]
    f1: Float64[np.ndarray, "c"]
    support: Int64[np.ndarray, "c"]


@final
class Curve(NamedTuple):
    """A ROC curve from (0, 0) to (1, 1): one point for every score that occurs."""

    false_positive_rate: Float64[np.ndarray, "p"]
    true_positive_rate: Float64[np.ndarray, "p"]


def one_vs_rest(counts: Counts) -> OneVsRest:
    """Rates from a confusion matrix (rows: truth, columns: predicted).

    ``precision = TP / (TP + FP)``, ``recall = TP / (TP + FN)``, ``specificity = TN / (TN + FP)``, ``NPV = TN /
    (TN + FN)`` (negative predictive value), ``F1 = 2 TP / (2 TP + FP + FN)``.
    """
    right, claimed, support = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    wrongly, missed = claimed - right, support - right
    others = counts.sum() - right - wrongly - missed
    return OneVsRest(
        _rate(right, claimed),
        _rate(right, support),
        _rate(others, others + wrongly),
        _rate(others, others + missed),
        _rate(2 * right, claimed + support),
        support.astype(np.int64),
    )


def balanced_accuracy(counts: Counts) -> float:
    """Mean recall of the classes that truly occur; 0 for none."""
    found = one_vs_rest(counts)
    present = found.recall[found.support > 0]
    return float(present.mean()) if len(present) else 0.0


def cohen_kappa(counts: Counts, weights: Literal["none", "quadratic"] = "none") -> float:
    """``1 - sum(w O) / sum(w E)``, with E the counts expected by chance from the margins; NaN where that is 0.

    w is 1 off the diagonal, or the squared distance of the classes' places ("quadratic", for classes in an order).
    J. Cohen, "A coefficient of agreement for nominal scales", 1960.
    """
    total = counts.sum()
    if total == 0:
        return float("nan")
    place = np.arange(len(counts))
    apart = np.abs(place[:, None] - place[None, :])
    cost = (apart > 0).astype(np.float64) if weights == "none" else apart.astype(np.float64) ** 2
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / total
    chance = float((cost * expected).sum())
    return 1.0 - float((cost * counts).sum()) / chance if chance > 0 else float("nan")


def average_precision(positive: Bool[np.ndarray, "n"], scores: Float64[np.ndarray, "n"]) -> float:
    """``sum over thresholds of (R_t - R_(t-1)) P_t``, thresholds at every score from the highest.

    NaN without positives. Items with equal scores count as one threshold; nothing is interpolated (as scikit-learn's
    ``average_precision_score``).
    """
    ones = int(positive.sum())
    if not ones:
        return float("nan")
    hits, taken = _sweep(positive, scores)
    recall, precision = hits / ones, hits / taken
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def roc_curve(positive: Bool[np.ndarray, "n"], scores: Float64[np.ndarray, "n"]) -> Curve:
    """True against false positive rate at every threshold. Raises :class:`UsageError` without items of both kinds."""
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not ones or not zeros:
        raise UsageError("a ROC curve needs items of both kinds", remedy="Give items with and without the class")
    hits, taken = _sweep(positive, scores)
    return Curve(np.append(0.0, (taken - hits) / zeros), np.append(0.0, hits / ones))


def _sweep(
    positive: Bool[np.ndarray, "n"], scores: Float64[np.ndarray, "n"]
) -> tuple[Float64[np.ndarray, "t"], Float64[np.ndarray, "t"]]:
    """Positives and items at or above every score that occurs, from the highest score on."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    return np.cumsum(positive[order])[last].astype(np.float64), (last + 1).astype(np.float64)


def _rate(part: Int64[np.ndarray, "c"], whole: Int64[np.ndarray, "c"]) -> Float64[np.ndarray, "c"]:
    rates: Float64[np.ndarray, "c"] = np.where(whole > 0, part / np.maximum(whole, 1), 0.0)
    return rates
