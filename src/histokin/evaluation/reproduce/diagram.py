"""The structure of StainNet and the three steps of its training, drawn."""

import io
from typing import Any

INK, PAPER = "#1f2937", "#ffffff"
FILLS = {"image": "#e5e7eb", "conv": "#c7d2fe", "gan": "#fde68a", "loss": "#fecaca"}


def stainnet_diagram() -> bytes:
    """PNG: above, the network (three 1x1 convolutions, 1283 parameters); below, how it is trained."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.9), dpi=110, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 110), ylim=(5, 64))
    axes.axis("off")
    _network(axes)
    _training(axes)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _network(axes: Any) -> None:
    axes.text(3, 60, "StainNet: every pixel by itself", fontsize=12, weight="bold", color=INK)
    boxes = [
        (3, 13, "source\nh x w x 3\n[-1, 1]", "image"),
        (24, 17, "Conv 1x1\n3 to 32\n128 weights", "conv"),
        (48, 17, "Conv 1x1\n32 to 32\n1056 weights", "conv"),
        (72, 17, "Conv 1x1\n32 to 3\n99 weights", "conv"),
        (95, 13, "normalized\nh x w x 3\n[-1, 1]", "image"),
    ]
    for x, width, text, kind in boxes:
        _box(axes, x, 44, width, 11, text, kind)
    for (x, width, _, _), (following, _, _, _), note in zip(boxes, boxes[1:], ("", "ReLU", "ReLU", ""), strict=False):
        _arrow(axes, x + width, 49.5, following, 49.5, note)
    axes.text(3, 39.5, "128 + 1056 + 99 = 1283 parameters; no neighbor is looked at", fontsize=9, color=INK)


def _training(axes: Any) -> None:
    axes.text(3, 34, "Training in three steps, without pairs", fontsize=12, weight="bold", color=INK)
    axes.text(3, 29.6, "1  StainGAN learns from unpaired images", fontsize=9.5, color=INK)
    axes.text(46, 8.6, "2  its generator normalizes the sources", fontsize=9.5, color=INK)
    axes.text(46, 32, "3  StainNet learns to do the same: L1 loss, SGD", fontsize=9.5, color=INK)
    _box(axes, 3, 21, 15, 6.5, "sources (O)", "image")
    _box(axes, 3, 11.5, 15, 6.5, "targets (T)", "image")
    _box(axes, 24, 11.5, 13, 16, "StainGAN\ntwo generators\ntwo critics", "gan")
    _box(axes, 46, 11.5, 17, 6.5, "generator O to T", "gan")
    _box(axes, 73, 11.5, 17, 6.5, "pseudo target", "image")
    _box(axes, 46, 24, 17, 6.5, "StainNet", "conv")
    _box(axes, 73, 24, 17, 6.5, "output", "image")
    _box(axes, 96, 17.5, 11, 7, "L1 loss", "loss")
    _arrow(axes, 18, 24.2, 24, 24.2)
    _arrow(axes, 18, 14.7, 24, 14.7)
    _arrow(axes, 37, 14.7, 46, 14.7)
    _arrow(axes, 63, 14.7, 73, 14.7)
    _arrow(axes, 39, 27.2, 46, 27.2, "sources")
    _arrow(axes, 63, 27.2, 73, 27.2)
    _arrow(axes, 90, 27.2, 98, 24.6)
    _arrow(axes, 90, 14.7, 98, 17.4)


def _box(
    axes: Any, x: float | int, y: float | int, width: float | int, height: float | int, text: str, kind: str
) -> None:
    from matplotlib.patches import FancyBboxPatch

    shape = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=1.2", fc=FILLS[kind], ec=INK)
    axes.add_patch(shape)
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9, color=INK)


def _arrow(axes: Any, x: float | int, y: float | int, to_x: float | int, to_y: float | int, note: str = "") -> None:
    axes.annotate("", (to_x, to_y), (x, y), arrowprops={"arrowstyle": "-|>", "color": INK})
    axes.text((x + to_x) / 2, (y + to_y) / 2 + 0.8, note, ha="center", fontsize=8, color=INK)
