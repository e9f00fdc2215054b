"""What is measured and drawn of a trained classifier. No PyTorch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from histokin.metrics.class_scores import class_scores
from histokin.training.classifier_pictures import (
    CONFUSION,
    CURVES,
    RELIABILITY,
    ROC,
    write_confusion,
    write_epochs,
    write_reliability,
    write_roc,
)

Logits = Float64[np.ndarray, "n c"]
BRIEF = ("accuracy", "macro_f1", "cross_entropy")


def measured(
    logits: Logits,
    untrained: Logits,
    truth: Int64[np.ndarray, "n"],
    classes: Sequence[str],
    temperature: float,
) -> dict[str, Any]:
    """``test``: all figures of the trained network; ``held_out``: a few beside those of the untrained one."""
    found, before = class_scores(logits, truth, classes, temperature), class_scores(untrained, truth, classes)
    return {
        "held_out": {
            "images": len(truth),
            "trained": {name: found[name] for name in BRIEF},
            "untrained": {name: before[name] for name in BRIEF},
        },
        "better_than_untrained": bool(
            found["accuracy"] > before["accuracy"] and found["cross_entropy"] < before["cross_entropy"]
        ),
        "test": found,
    }


def written_figures(
    out: Path,
    history: Sequence[Mapping[str, float]],
    steps_per_epoch: int,
    logits: Logits,
    truth: Int64[np.ndarray, "n"],
    classes: Sequence[str],
    temperature: float,
) -> None:
    """Write the four figures. Raises :class:`UsageError` when a file cannot be written."""
    write_epochs(epochs_of(history, steps_per_epoch), out / CURVES)
    scores = class_scores(logits, truth, classes, temperature)
    write_confusion(np.array(scores["confusion"], np.int64), classes, out / CONFUSION)
    write_roc(logits, truth, classes, out / ROC)
    write_reliability(logits, truth, temperature, out / RELIABILITY)


def epochs_of(history: Sequence[Mapping[str, float]], steps_per_epoch: int) -> list[dict[str, float]]:
    """One row for each epoch: means over its steps, and what was measured at its end. The last may not be whole."""
    rows: list[dict[str, float]] = []
    sums: dict[str, float] = {}
    before = counted = 0.0
    for point in history:
        weight = point["step"] - before
        before, counted = point["step"], counted + weight
        for name, value in point.items():
            if name != "step" and not name.startswith("held_out"):
                sums[name] = sums.get(name, 0.0) + weight * value
        at_end = {name: value for name, value in point.items() if name.startswith("held_out")}
        if at_end:
            means = {name: value / counted for name, value in sums.items()}
            rows.append({"epoch": point["step"] / steps_per_epoch, **means, **at_end})
            sums, counted = {}, 0.0
    return rows
