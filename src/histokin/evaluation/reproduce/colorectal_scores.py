"""Figures of classifiers with intervals that draw whole groups, and differences of two on the same tiles."""

from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from histokin.evaluation.reproduce.colorectal_answers import Answers
from histokin.metrics.calibration import softmax
from histokin.metrics.class_scores import class_scores
from histokin.metrics.resampling import Interval, auc_interval, clusters, macro_intervals, mean_intervals, resamples

DRAWS = 1000
LOW, HIGH = 0.025, 0.975


@final
class Scored(NamedTuple):
    """All figures of one classifier on one set (see :func:`~histokin.metrics.class_scores.class_scores`)."""

    figures: dict[str, object]
    accuracy: Interval
    macro_f1: Interval
    auroc: Interval

    def number(self, name: str) -> float:
        """A figure over all classes."""
        value = self.figures[name]
        assert isinstance(value, float)
        return value


@final
class Binary(NamedTuple):
    """Figures of two classes, one of which is looked for."""

    recall: Interval
    precision: Interval
    accuracy: Interval
    f1: Interval


def scored(answers: Answers) -> Scored:
    """Figures and their 95 % intervals."""
    tiles, units = answers.tiles, answers.tiles.unit_names
    truth = answers.truth
    shares = softmax(answers.logits, answers.temperature)
    positive = truth[:, None] == np.arange(len(tiles.classes))
    return Scored(
        class_scores(answers.logits, truth, tiles.classes, answers.temperature),
        mean_intervals(answers.right.astype(np.float64)[:, None], units, n=DRAWS)[0],
        macro_intervals(truth, answers.predicted, units, n=DRAWS).f1,
        auc_interval(positive, shares, units, n=DRAWS),
    )


def chance_figures(truth: Int64[np.ndarray, "n"], classes: int) -> dict[str, float]:
    """What a guess scores on average whose classes are equally likely, whatever the image.

    A class with share s has precision s, recall 1 / c, specificity 1 - 1 / c and negative predictive value 1 - s; its
    average precision is s and its area 0.5. F1 is that of these two rates.
    """
    share = np.bincount(truth, minlength=classes) / max(1, len(truth))
    hit = 1 / classes
    return {
        "accuracy": hit,
        "macro_f1": float((2 * share * hit / (share + hit)).mean()),
        "mean_average_precision": float(share.mean()),
        "macro_precision": float(share.mean()),
        "macro_recall": hit,
        "macro_specificity": 1 - hit,
        "macro_npv": float((1 - share).mean()),
        "macro_auroc": 0.5,
    }


def f1_difference(one: Answers, other: Answers) -> Interval:
    """Macro-F1 of ``one`` less that of ``other`` on the same tiles, with its 95 % interval.

    Both are scored on the same draws of groups; a draw's mean is over the classes that occur on either side.
    """
    tables = [_by_unit(answers) for answers in (one, other)]
    everything = np.ones((1, len(tables[0])))
    value = float((_macro_f1(everything, tables[0]) - _macro_f1(everything, tables[1]))[0])
    drawn = [
        _macro_f1(weights, tables[0]) - _macro_f1(weights, tables[1]) for weights in resamples(len(tables[0]), 0, DRAWS)
    ]
    return _interval(value, np.concatenate(drawn))


def binary_figures(answers: Answers, label: str) -> Binary:
    """Recall, precision, accuracy and F1 of one class against the rest, with 95 % intervals by group.

    Draws without the class have no recall and no F1, and are left out of their intervals.
    """
    wanted = answers.tiles.classes.index(label)
    truth, found = answers.truth == wanted, answers.predicted == wanted
    cells = np.stack([truth & found, ~truth & found, truth & ~found, ~truth & ~found], axis=1).astype(np.float64)
    place, sets = clusters(len(truth), answers.tiles.unit_names)
    sums = np.zeros((sets, 4))
    np.add.at(sums, place, cells)
    whole = _rates(sums.sum(axis=0)[None])[0]
    drawn = np.concatenate([_rates(weights @ sums) for weights in resamples(sets, 0, DRAWS)])
    return Binary(*(_interval(float(v), column) for v, column in zip(whole, drawn.T, strict=True)))


def share_interval(hits: Shaped[np.ndarray, "n"], units: Shaped[np.ndarray, "n"]) -> Interval:
    """The share that is true, with its 95 % interval by group."""
    return mean_intervals(hits.astype(np.float64)[:, None], units, n=DRAWS)[0]


def text(interval: Interval) -> str:
    """``0.912 (0.880 to 0.940)``."""
    if np.isnan(interval.value):
        return "-"
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _by_unit(answers: Answers) -> Float64[np.ndarray, "u c c"]:
    """A confusion matrix for each group."""
    count = len(answers.tiles.classes)
    place, sets = clusters(len(answers.truth), answers.tiles.unit_names)
    table = np.zeros((sets, count, count))
    np.add.at(table, (place, answers.truth, answers.predicted), 1)
    return table


def _macro_f1(weights: Float64[np.ndarray, "b u"], table: Float64[np.ndarray, "u c c"]) -> Float64[np.ndarray, "b"]:
    counts = np.einsum("bu,uij->bij", weights, table)
    right = np.einsum("bii->bi", counts)
    both = counts.sum(axis=1) + counts.sum(axis=2)
    f1 = 2 * right / np.maximum(both, 1)
    mean: Float64[np.ndarray, "b"] = f1.sum(axis=1) / np.maximum((both > 0).sum(axis=1), 1)
    return mean


def _rates(cells: Float64[np.ndarray, "b 4"]) -> Float64[np.ndarray, "b 4"]:
    tp, fp, fn, tn = cells.T
    there = np.where(tp + fn > 0, 1.0, np.nan)
    return np.stack(
        [
            there * tp / np.maximum(tp + fn, 1),
            tp / np.maximum(tp + fp, 1),
            (tp + tn) / np.maximum(cells.sum(axis=1), 1),
            there * 2 * tp / np.maximum(2 * tp + fp + fn, 1),
        ],
        axis=1,
    )


def _interval(value: float, drawn: Float64[np.ndarray, "b"]) -> Interval:
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(known, [LOW, HIGH])
    return Interval(value, float(low), float(high))
