"""Figures 1 and 3 to 6 of the medical image retrieval paper, drawn by us: the system, its network, its three flows."""

import io
from typing import Any

from histokin.evaluation.page.model import Figure

INK, PAPER = "#1f2937", "#ffffff"
FILLS = {"image": "#e5e7eb", "net": "#c7d2fe", "store": "#fde68a", "answer": "#bbf7d0", "loss": "#fecaca"}

Step = tuple[str, str]
"""Text and kind of a box."""

FLOWS: dict[str, tuple[tuple[Step, ...], ...]] = {
    "Figure 1: the system": (
        (
            ("images of\nfour kinds", "image"),
            ("split\n80 / 10 / 10", "image"),
            ("train the\nautoencoder", "net"),
            ("encode the\ntraining images", "net"),
            ("48 numbers each\nin a JSON file", "store"),
        ),
        (
            ("query", "image"),
            ("encoder", "net"),
            ("Euclidean distance\nto every row", "store"),
            ("rank", "store"),
            ("five nearest\nimages", "answer"),
        ),
    ),
    "Figure 3: the autoencoder": (
        (
            ("image\ns x s x 3", "image"),
            ("conv 3x3 /2, 128\nLeakyReLU, BN\ns/2", "net"),
            ("conv 3x3 /2, 128\nLeakyReLU, BN\ns/4", "net"),
            ("conv 3x3 /2, 128\nLeakyReLU, BN\ns/8", "net"),
            ("dense\n48 numbers", "store"),
        ),
        (
            ("dense\ns/8 x s/8 x 128", "net"),
            ("transposed /2, 128\nLeakyReLU, BN\ns/4", "net"),
            ("transposed /2, 128\nLeakyReLU, BN\ns/2", "net"),
            ("transposed /2, 128\nLeakyReLU, BN\ns", "net"),
            ("conv to 3, sigmoid\nimage made again", "answer"),
        ),
    ),
    "Figure 4: training": (
        (
            ("training images\n0 to 1", "image"),
            ("autoencoder", "net"),
            ("made again", "image"),
            ("mean squared\nerror", "loss"),
            ("Adam, 0.001 /\n(1 + 0.00002 t)", "loss"),
        ),
        (
            ("validation images", "image"),
            ("autoencoder", "net"),
            ("mean squared\nerror", "loss"),
            ("lowest so far?\nkeep it", "store"),
            ("best encoder", "answer"),
        ),
    ),
    "Figure 5: extraction of features": (
        (
            ("training images", "image"),
            ("encoder", "net"),
            ("48 numbers", "store"),
            ("file name, label,\nnumbers", "store"),
            ("JSON file", "answer"),
        ),
    ),
    "Figure 6: retrieval": (
        (
            ("test image", "image"),
            ("encoder", "net"),
            ("distance to every\nrow of the file", "store"),
            ("sort, near to far", "store"),
            ("first five shown;\nfirst n measured", "answer"),
        ),
    ),
}
"""Title -> rows of boxes, from left to right."""


def diagrams() -> list[Figure]:
    """The five diagrams as PNG figures."""
    return [Figure(title, _drawn(rows), "Drawn by us after the paper's description.") for title, rows in FLOWS.items()]


def _drawn(rows: tuple[tuple[Step, ...], ...]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    most = max(map(len, rows))
    figure = Canvas(figsize=(2.15 * most, 1.15 * len(rows)), dpi=100, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 22 * most), ylim=(0, 12 * len(rows)))
    axes.axis("off")
    for line, row in enumerate(rows):
        bottom = 12 * (len(rows) - line - 1) + 1.5
        for place, (text, kind) in enumerate(row):
            _box(axes, 22 * place + 1, bottom, text, kind)
            if place:
                _arrow(axes, 22 * place - 4, 22 * place + 1, bottom + 4.5)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _box(axes: Any, x: float | int, y: float | int, text: str, kind: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(FancyBboxPatch((x, y), 17, 9, boxstyle="round,pad=0,rounding_size=1", fc=FILLS[kind], ec=INK))
    axes.text(x + 8.5, y + 4.5, text, ha="center", va="center", fontsize=9, color=INK)


def _arrow(axes: Any, x: float | int, to: float | int, y: float | int) -> None:
    axes.annotate("", (to, y), (x, y), arrowprops={"arrowstyle": "-|>", "color": INK})
