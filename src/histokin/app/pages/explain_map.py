"""The picture of a latent map: the archive's patches by label, the query and its hits among them."""

from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import Float64

from histokin.retrieval.explaining.latent import LatentMap

COLORS = ("#4a3f8f", "#c8553d", "#2a9d8f", "#e0a526", "#6d8ba6", "#a83279", "#5a7d2b", "#7a5c44", "#d37fb0")
REST = "#c9ccd3"
NO_LABEL = "no label"
DPI = 110
LONGEST = 26


def label_groups(labels: Sequence[str | None]) -> dict[str, str]:
    """A color for each of the most frequent labels, in the order of their frequency; the rest share one gray."""
    counts = Counter(label for label in labels if label is not None)
    order = sorted(counts, key=lambda label: (-counts[label], label))
    return dict(zip(order, COLORS, strict=False))


def draw_latent(latent: LatentMap) -> bytes:
    """PNG: dots for patches, a star for the query's, numbered circles for the hits."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.8), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _dots(axes, latent)
    _mark(axes, latent)
    for name, share, axis in zip("xy", latent.shares, ("first", "second"), strict=True):
        getattr(axes, f"set_{name}label")(f"{axis} component: {share:.1%} of the variance", fontsize=9, color="#5d6678")
    axes.set_aspect("equal", adjustable="datalim")
    axes.tick_params(labelsize=7, colors="#9aa1ae")
    for edge in axes.spines.values():
        edge.set_color("#d9dde5")
    legend: Any = figure.legend(loc="outside right upper", fontsize=8.5, frameon=False)
    for handle in legend.legend_handles[:-1]:  # large enough to tell colors apart; the query's star is
        handle.set_sizes([44])
    data = BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def _dots(axes: Any, latent: LatentMap) -> None:
    colors = label_groups(latent.labels)
    size = float(np.clip(9000 / max(len(latent.points), 1), 7, 26))
    groups = [("other labels", REST, [x is not None and x not in colors for x in latent.labels])]
    groups.append((NO_LABEL, "#8b919c", [x is None for x in latent.labels]))
    groups += [(name, color, [x == name for x in latent.labels]) for name, color in colors.items()]
    for name, color, flags in groups:
        mine: Float64[np.ndarray, "m 2"] = latent.points[np.array(flags, bool)]
        if len(mine):
            axes.scatter(mine[:, 0], mine[:, 1], s=size, color=color, alpha=0.6, linewidths=0, label=_entry(name, mine))


def _entry(name: str, points: Float64[np.ndarray, "m 2"]) -> str:
    """A label and its count as matplotlib must have it: no formula between dollars, no leading underscore."""
    short = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    return f"{' ' if short.startswith('_') else ''}{short} ({len(points)})".replace("$", r"\$")


def _mark(axes: Any, latent: LatentMap) -> None:
    from matplotlib.patheffects import withStroke

    halo = {"path_effects": [withStroke(linewidth=2.5, foreground="white")], "zorder": 5}
    ink = {"fontsize": 8.5, "fontweight": "bold", "color": "#1d2433"}
    for rank, (x, y) in zip(latent.ranks, latent.hits.tolist(), strict=True):
        axes.annotate(str(rank), (x, y), xytext=(6, 5), textcoords="offset points", **ink, **halo)
    if len(latent.hits):
        x, y = latent.hits.T
        axes.scatter(
            x, y, s=54, facecolors="none", edgecolors="#1d2433", linewidths=1.4, label="hit, by rank", zorder=3
        )
    x, y = latent.query.T
    several = len(latent.query) > 1
    name = f"query ({len(latent.query)} patches)" if several else "query"
    star = {"marker": "*", "facecolors": "#ffd60a", "edgecolors": "#1d2433", "zorder": 4}
    axes.scatter(x, y, s=60 if several else 230, linewidths=0.7 if several else 1.1, label=name, **star)
