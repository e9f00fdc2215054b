"""What is drawn of a classifier's training: curves, confusion matrix, ROC curves, reliability. No PyTorch."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from histokin.metrics.calibration import Reliability, reliability, softmax
from histokin.metrics.classification import roc_auc
from histokin.metrics.one_vs_rest import roc_curve
from histokin.training.files import write_whole

CURVES, CONFUSION, ROC, RELIABILITY = "curves.png", "confusion.png", "roc.png", "reliability.png"
Logits = Float64[np.ndarray, "n c"]


def write_epochs(epochs: Sequence[Mapping[str, float]], path: Path) -> Path:
    """Loss and accuracy over the epochs, on training and validation images."""
    figure, axes = _figure(1, 2, 9.0, 3.6)
    for axis, name, title in zip(axes[0], ("cross_entropy", "accuracy"), ("cross-entropy", "accuracy"), strict=True):
        for prefix, part in (("", "training"), ("held_out_", "validation")):
            points = [(row["epoch"], row[prefix + name]) for row in epochs if prefix + name in row]
            if points:
                axis.plot(*zip(*points, strict=True), label=part, marker="." if len(points) < 40 else None)
        axis.set(xlabel="epoch", title=title)
        axis.grid(alpha=0.3)
        if epochs:
            axis.legend(fontsize=8)
    return _write(figure, path)


def write_confusion(counts: Int64[np.ndarray, "c c"], classes: Sequence[str], path: Path) -> Path:
    """Counts by predicted class (across) and true class (down), shaded by the share of the true class."""
    side = 1.6 + 0.8 * len(classes)
    figure, axes = _figure(1, 1, side + 0.6, side)
    axis = axes[0][0]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        color = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize=9)
    places = range(len(classes))
    axis.set_xticks(places, classes, rotation=30, ha="right")
    axis.set_yticks(places, classes)
    axis.set(xlabel="predicted", ylabel="true")
    return _write(figure, path)


def write_roc(logits: Logits, truth: Int64[np.ndarray, "n"], classes: Sequence[str], path: Path) -> Path:
    """A ROC curve of each class against the rest; classes without images of both kinds are named as such."""
    figure, axes = _figure(1, 1, 4.6, 4.2)
    axis, shares = axes[0][0], softmax(logits)
    for i, name in enumerate(classes):
        positive = truth == i
        if positive.all() or not positive.any():
            axis.plot([], [], label=f"{name}: not defined")
            continue
        found = roc_curve(positive, shares[:, i])
        area = roc_auc(positive, shares[:, i])
        axis.plot(found.false_positive_rate, found.true_positive_rate, label=f"{name}: {area:.3f}", linewidth=1.2)
    axis.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
    axis.set(xlabel="false positive rate", ylabel="true positive rate")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, title="area")
    return _write(figure, path)


def write_reliability(logits: Logits, truth: Int64[np.ndarray, "n"], temperature: float | int, path: Path) -> Path:
    """Accuracy over confidence, before and after the temperature; on the diagonal confidence is kept."""
    figure, axes = _figure(1, 2, 8.4, 4.0)
    right = logits.argmax(axis=1) == truth
    for axis, heat, title in zip(
        axes[0], (1.0, temperature), ("as trained", f"temperature {float(temperature):.2f}"), strict=True
    ):
        _bars(axis, reliability(softmax(logits, heat).max(axis=1), right))
        axis.set(xlabel="confidence", ylabel="accuracy", title=title, xlim=(0, 1), ylim=(0, 1))
    return _write(figure, path)


def _bars(axis: Any, found: Reliability) -> None:
    some = found.items > 0
    middles = (found.edges[1:] + found.edges[:-1]) / 2
    axis.bar(middles[some], found.accuracy[some], width=found.edges[1], edgecolor="white", label="accuracy")
    axis.plot(found.confidence[some], found.accuracy[some], "o", color="black", markersize=3, label="mean confidence")
    axis.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
    axis.legend(fontsize=8)


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _write(figure: Any, path: Path) -> Path:
    data = BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return write_whole(path, lambda stream: stream.write(data.getvalue()))
