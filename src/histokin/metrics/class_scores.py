"""Everything that is reported of a classifier on one set of images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from histokin.metrics.calibration import cross_entropy, expected_calibration_error, softmax
from histokin.metrics.classification import confusion_matrix, roc_auc
from histokin.metrics.one_vs_rest import average_precision, balanced_accuracy, cohen_kappa, one_vs_rest


def class_scores(
    logits: Float64[np.ndarray, "n c"],
    truth: Int64[np.ndarray, "n"],
    classes: Sequence[str],
    temperature: float | int = 1.0,
) -> dict[str, Any]:
    """Rates of each class and over all of them; ``truth`` holds class numbers. JSON-ready, NaN where undefined.

    ``mean_average_precision`` is the mean over classes of the average precision of their probabilities against the
    rest; ``macro_*`` are means over all classes. ``ece`` and ``cross_entropy`` are of the probabilities with the
    temperature, ``*_before`` without.
    """
    shares = softmax(logits, temperature)
    predicted = logits.argmax(axis=1)
    counts = confusion_matrix(truth, predicted, np.arange(len(classes)))
    rates = one_vs_rest(counts)
    ranked = {name: (truth == i, shares[:, i]) for i, name in enumerate(classes)}
    precision = {name: average_precision(*pair) for name, pair in ranked.items()}
    areas = {name: roc_auc(*pair) for name, pair in ranked.items()}
    per_class = {
        name: {
            "precision": float(rates.precision[i]),
            "recall": float(rates.recall[i]),
            "specificity": float(rates.specificity[i]),
            "npv": float(rates.npv[i]),
            "f1": float(rates.f1[i]),
            "auroc": areas[name],
            "average_precision": precision[name],
            "images": int(rates.support[i]),
        }
        for i, name in enumerate(classes)
    }
    right = predicted == truth
    raw = softmax(logits)
    return {
        "images": len(truth),
        "accuracy": float(right.mean()) if len(truth) else 0.0,
        "balanced_accuracy": balanced_accuracy(counts),
        "macro_f1": float(rates.f1.mean()),
        "weighted_f1": float((rates.f1 * rates.support).sum() / max(1, len(truth))),
        **{
            f"macro_{name}": float(getattr(rates, name).mean())
            for name in ("precision", "recall", "specificity", "npv")
        },
        "mean_average_precision": _mean(list(precision.values())),
        "macro_auroc": _mean(list(areas.values())),
        "kappa": cohen_kappa(counts),
        "kappa_quadratic": cohen_kappa(counts, "quadratic"),
        "cross_entropy": cross_entropy(logits, truth, temperature),
        "cross_entropy_before": cross_entropy(logits, truth),
        "ece": expected_calibration_error(shares.max(axis=1), right),
        "ece_before": expected_calibration_error(raw.max(axis=1), right),
        "classes": per_class,
        "confusion": counts.tolist(),
    }


def _mean(values: list[float]) -> float:
    """Mean of those that are defined; NaN where none is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
