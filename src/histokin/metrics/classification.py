"""How good predicted labels and scores are. One name, one formula.

``truth`` and ``predicted`` hold one label per item, "n", of any type that can be compared. Rates that divide by
nothing (a label nobody predicted) are 0, as macro averages need a number for every label.
"""

from typing import NamedTuple, final

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from histokin.errors import UsageError

Labels = Shaped[np.ndarray, "n"]
Counts = Int64[np.ndarray, "c c"]


@final
class PerLabel(NamedTuple):
    """Precision, recall and F1 of every label, and how many items truly have it (its support)."""

    labels: Shaped[np.ndarray, "c"]
    precision: Float64[np.ndarray, "c"]
    recall: Float64[np.ndarray, "c"]
    f1: Float64[np.ndarray, "c"]
    support: Int64[np.ndarray, "c"]


def labels_of(truth: Labels, predicted: Labels) -> Shaped[np.ndarray, "c"]:
    """Every label that occurs on either side, sorted."""
    return np.unique(np.concatenate([truth, predicted]))


def confusion_matrix(truth: Labels, predicted: Labels, labels: Shaped[np.ndarray, "c"] | None = None) -> Counts:
    """Items by true label (rows) and predicted label (columns), in the order of ``labels`` (all, sorted).

    Raises :class:`UsageError` when a label is missing from ``labels``.
    """
    known = labels_of(truth, predicted) if labels is None else labels
    order = np.argsort(known)
    sides = []
    for side in (truth, predicted):
        place = order[np.minimum(np.searchsorted(known, side, sorter=order), len(known) - 1)] if len(known) else side
        if len(side) and (not len(known) or not (known[place] == side).all()):
            raise UsageError("an item has a label that is not in the list", remedy="List every label that occurs")
        sides.append(place.astype(np.int64))
    counts = np.zeros((len(known), len(known)), np.int64)
    np.add.at(counts, (sides[0], sides[1]), 1)
    return counts


def accuracy(truth: Labels, predicted: Labels) -> float:
    """Share of items whose prediction is right; 0 for none."""
    return float((truth == predicted).mean()) if len(truth) else 0.0


def per_label(truth: Labels, predicted: Labels) -> PerLabel:
    """``precision = TP / (TP + FP)``, ``recall = TP / (TP + FN)``, ``F1 = 2 TP / (2 TP + FP + FN)`` per label."""
    labels = labels_of(truth, predicted)
    counts = confusion_matrix(truth, predicted, labels)
    right, claimed, support = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    return PerLabel(
        labels,
        _rate(right, claimed),
        _rate(right, support),
        _rate(2 * right, claimed + support),
        support.astype(np.int64),
    )


def macro_precision(truth: Labels, predicted: Labels) -> float:
    """Mean of the labels' precision, each label with the same weight."""
    return _mean(per_label(truth, predicted).precision)


def macro_recall(truth: Labels, predicted: Labels) -> float:
    """Mean of the labels' recall, over labels that truly occur."""
    found = per_label(truth, predicted)
    return _mean(found.recall[found.support > 0])


def macro_f1(truth: Labels, predicted: Labels) -> float:
    """Mean of the labels' F1, over labels that occur on either side."""
    return _mean(per_label(truth, predicted).f1)


def roc_auc(positive: Bool[np.ndarray, "n"], scores: Float64[np.ndarray, "n"]) -> float:
    """Area under the ROC curve: the chance that a positive item scores above a negative one, ties counting half.

    (Mann-Whitney U over the number of pairs.) NaN without a positive or without a negative item.
    """
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not ones or not zeros:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[place]
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _rate(part: Int64[np.ndarray, "c"], whole: Int64[np.ndarray, "c"]) -> Float64[np.ndarray, "c"]:
    rates: Float64[np.ndarray, "c"] = np.where(whole > 0, part / np.maximum(whole, 1), 0.0)
    return rates


def _mean(values: Float64[np.ndarray, "_"]) -> float:
    return float(values.mean()) if len(values) else 0.0
