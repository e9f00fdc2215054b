"""Drawings of the colorectal page: courses of trainings, and ROC curves of every class."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from histokin.evaluation.figures import COLORS, DPI
from histokin.evaluation.reproduce.colorectal_answers import Answers
from histokin.metrics.calibration import softmax
from histokin.metrics.classification import roc_auc
from histokin.metrics.one_vs_rest import roc_curve

Epochs = Sequence[Mapping[str, float]]


def courses(trainings: Mapping[str, Epochs]) -> bytes:
    """Loss above, accuracy below, a column per network; training and validation tiles. PNG."""
    figure, axes = _figure(2, max(1, len(trainings)), 3.1, 2.4)
    for column, (title, epochs) in enumerate(trainings.items()):
        for row, name in enumerate(("cross_entropy", "accuracy")):
            axis = axes[row][column]
            for prefix, part, color in (("", "training", COLORS[0]), ("held_out_", "validation", COLORS[1])):
                points = [(one["epoch"], one[prefix + name]) for one in epochs if prefix + name in one]
                if points:
                    axis.plot(*zip(*points, strict=True), color=color, label=part, marker=".")
            axis.grid(alpha=0.3)
            axis.set_xlabel("epoch", fontsize=8)
            axis.tick_params(labelsize=7)
            if not row:
                axis.set_title(title, fontsize=9)
            if not column:
                axis.set_ylabel("cross-entropy" if not row else "accuracy", fontsize=8)
            if epochs and not row and not column:
                axis.legend(fontsize=7, frameon=False)
    return _png(figure)


def rocs(asked: Mapping[str, Answers], classes: Sequence[str]) -> bytes:
    """A ROC curve of each class against the rest, a plot per network, the areas in its legend. PNG."""
    figure, axes = _figure(1, max(1, len(asked)), 3.4, 3.4)
    for axis, (title, answers) in zip(axes[0], asked.items(), strict=False):
        shares, truth = softmax(answers.logits, answers.temperature), answers.truth
        for i, name in enumerate(classes):
            positive = truth == i
            if positive.all() or not positive.any():
                axis.plot([], [], color=COLORS[i % len(COLORS)], label=f"{name}: not defined")
                continue
            found = roc_curve(positive, shares[:, i])
            label = f"{name}: {roc_auc(positive, shares[:, i]):.3f}"
            axis.plot(
                found.false_positive_rate, found.true_positive_rate, color=COLORS[i % len(COLORS)], label=label, lw=1.2
            )
        axis.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("false positive rate", fontsize=8)
        axis.set_ylabel("true positive rate", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7, title="area", title_fontsize=7, loc="lower right")
    return _png(figure)


def reliabilities(asked: Mapping[str, Answers]) -> bytes:
    """Accuracy over confidence before and after the temperature, a plot per network. PNG."""
    from histokin.metrics.calibration import reliability

    figure, axes = _figure(1, max(1, len(asked)), 2.9, 2.9)
    for axis, (title, answers) in zip(axes[0], asked.items(), strict=False):
        for name, heat, color in (
            ("as trained", 1.0, COLORS[1]),
            (f"temperature {answers.temperature:.2f}", answers.temperature, COLORS[2]),
        ):
            found = reliability(softmax(answers.logits, heat).max(axis=1), answers.right)
            some = found.items > 0
            axis.plot(found.confidence[some], found.accuracy[some], "o-", color=color, markersize=3, label=name)
        axis.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("confidence", fontsize=8)
        axis.set_ylabel("accuracy", fontsize=8)
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7, frameon=False)
    return _png(figure)


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    return figure, np.atleast_2d(figure.subplots(rows, columns, squeeze=False))


def _png(figure: Any) -> bytes:
    data = BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()
