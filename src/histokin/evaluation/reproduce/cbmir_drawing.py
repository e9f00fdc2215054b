"""Two drawings of the retrieval page: bars by method, and queries with what was found, misses framed in red."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, final

import numpy as np

from histokin.evaluation.figures import COLORS
from histokin.types import RGB

RIGHT, WRONG, ASKED = "#2a9d8f", "#d62828", "#222222"


@final
@dataclass(frozen=True, eq=False)
class Asked:
    """A query and its hits, nearest first: pictures, labels and distances."""

    image: RGB
    label: str
    hits: tuple[RGB, ...]
    labels: tuple[str, ...]
    distances: tuple[float, ...]


def bars(groups: Mapping[str, Mapping[str, float]], ylabel: str) -> bytes:
    """A group of bars per name, one bar per series in it, with the value above; what is NaN has no bar. PNG."""
    series = list(dict.fromkeys(name for values in groups.values() for name in values))
    figure = _figure(max(7.0, 1.5 * len(groups)), 4.2)
    axes = figure.subplots()
    width = 0.8 / max(1, len(series))
    for s, name in enumerate(series):
        for g, values in enumerate(groups.values()):
            value = values.get(name, float("nan"))
            if np.isfinite(value):
                x = g + (s - (len(series) - 1) / 2) * width
                axes.bar(x, value, 0.92 * width, color=COLORS[s % len(COLORS)], hatch="//" if "publ" in name else None)
                axes.text(x, value + 0.8, f"{value:.0f}", ha="center", fontsize=6)
        axes.bar(0, 0, color=COLORS[s % len(COLORS)], label=name, hatch="//" if "publ" in name else None)
    axes.set_xticks(range(len(groups)))
    axes.set_xticklabels([name.replace(", ", ",\n").replace(" (", "\n(") for name in groups], fontsize=8)
    axes.set_ylabel(ylabel)
    axes.set_ylim(0, 112)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    if series:
        axes.legend(
            fontsize=8, ncols=min(6, len(series)), loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False
        )
    return _png(figure)


def answers(asked: Sequence[Asked]) -> bytes:
    """A row per query: itself, then its hits with label and distance, framed green where right, red where not. PNG."""
    columns = 1 + max((len(one.hits) for one in asked), default=0)
    figure = _figure(1.55 * columns, 1.75 * max(1, len(asked)))
    cells = figure.subplots(max(1, len(asked)), columns, squeeze=False)
    for line, one in zip(cells, asked, strict=False):
        _cell(line[0], one.image, f"query: {one.label}", ASKED)
        for cell, image, label, distance in zip(line[1:], one.hits, one.labels, one.distances, strict=False):
            right = label == one.label
            _cell(cell, image, f"{label}\n{distance:.3g}{'' if right else '  MISS'}", RIGHT if right else WRONG)
        for cell in line[1 + len(one.hits) :]:
            cell.axis("off")
    return _png(figure)


def _cell(cell: Any, image: RGB, title: str, color: str) -> None:
    cell.imshow(image)
    cell.set_xticks([])
    cell.set_yticks([])
    cell.set_title(title, fontsize=7, color=color)
    for spine in cell.spines.values():
        spine.set_color(color)
        spine.set_linewidth(3)


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Any) -> bytes:
    data = BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()
