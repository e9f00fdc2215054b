"""How far probabilities can be taken at their word, and the temperature that makes them so."""

from typing import NamedTuple, final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from histokin.errors import UsageError

Logits = Float64[np.ndarray, "n c"]
BINS = 15
COLDEST, HOTTEST = 0.05, 20.0


@final
class Reliability(NamedTuple):
    """Bins of equal width over 0 to 1: their edges, mean confidence and accuracy (NaN where empty), and ``items``."""

    edges: Float64[np.ndarray, "b1"]
    confidence: Float64[np.ndarray, "b"]
    accuracy: Float64[np.ndarray, "b"]
    items: Int64[np.ndarray, "b"]


def softmax(logits: Logits, temperature: float | int = 1.0) -> Logits:
    """``exp(z_c / T) / sum over c' of exp(z_c' / T)``, row by row."""
    scaled = logits / temperature
    shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    made: Logits = shares / shares.sum(axis=1, keepdims=True)
    return made


def cross_entropy(logits: Logits, truth: Int64[np.ndarray, "n"], temperature: float | int = 1.0) -> float:
    """Mean of ``-log p(true class)`` (the negative log-likelihood), natural logarithm; NaN for no item."""
    if not len(logits):
        return float("nan")
    scaled = logits / temperature
    top = scaled.max(axis=1)
    norm = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return float((norm - scaled[np.arange(len(truth)), truth]).mean())


def fit_temperature(logits: Logits, truth: Int64[np.ndarray, "n"]) -> float:
    """The T with the least cross-entropy of ``logits / T``, between 0.05 and 20.

    One number cannot change which class is the highest (C. Guo et al., "On calibration of modern neural networks",
    ICML 2017). The cross-entropy is convex in 1 / T, so the slope in 1 / T is brought to 0 by halving.

    Raises
    ------
    UsageError
        without an item.
    """
    if not len(logits):
        raise UsageError("no item to fit a temperature to", remedy="Give held-out images")
    right = logits[np.arange(len(truth)), truth]

    def slope(inverse: float) -> float:
        return float(((softmax(logits * inverse) * logits).sum(axis=1) - right).mean())

    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(60):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return 1 / float(np.sqrt(low * high))


def reliability(confidence: Float64[np.ndarray, "n"], right: Bool[np.ndarray, "n"], bins: int = BINS) -> Reliability:
    """Accuracy beside mean confidence in bins of equal width; a confidence on an edge belongs to the bin below."""
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins).astype(np.int64)
    some = np.where(count > 0, count, np.nan)
    sure = np.bincount(place, weights=confidence, minlength=bins) / some
    hit = np.bincount(place, weights=right.astype(np.float64), minlength=bins) / some
    return Reliability(edges, sure, hit, count)


def expected_calibration_error(
    confidence: Float64[np.ndarray, "n"], right: Bool[np.ndarray, "n"], bins: int = BINS
) -> float:
    """``sum over bins of (items / n) |accuracy - mean confidence|``: 0 when every confidence is kept; NaN for none."""
    if not len(confidence):
        return float("nan")
    found = reliability(confidence, right, bins)
    gaps = np.where(found.items > 0, np.abs(found.accuracy - found.confidence), 0.0)
    return float((gaps * found.items).sum() / len(confidence))
