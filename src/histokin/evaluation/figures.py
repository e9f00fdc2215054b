"""Pictures for reports, drawn by matplotlib without a screen: galleries, violins, profiles, curves. PNG bytes."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from histokin.metrics.image_quality import line_profile
from histokin.types import RGB, Images

DPI = 110
CELL_PX = 200
COLORS = ("#4a3f8f", "#c8553d", "#2a9d8f", "#e0a526", "#6d8ba6", "#a83279", "#5a7d2b", "#7a5c44", "#222222", "#d37fb0")

Point = tuple[float | int, float | int]


def gallery(
    rows: Sequence[Images],
    row_names: Sequence[str],
    column_names: Sequence[str],
    frames: Mapping[tuple[int, int], str] | None = None,
) -> bytes:
    """Images in rows and columns, all at one size, with names above and at the left. A row may be shorter.

    ``frames`` gives images, by row and column, a frame of a color, such as ``{(0, 2): "red"}``.
    """
    columns = max((len(row) for row in rows), default=0)
    figure = _figure(1.5 * max(1, columns) + 1.2, 1.5 * max(1, len(rows)) + 0.3)
    axes = figure.subplots(max(1, len(rows)), max(1, columns), squeeze=False)
    for i, line in enumerate(axes):
        for j, cell in enumerate(line):
            cell.set_xticks([])
            cell.set_yticks([])
            cell.set_frame_on(False)
            if i < len(rows) and j < len(rows[i]):
                cell.imshow(_thumb(np.asarray(rows[i][j])), interpolation="nearest")
                if frames and (i, j) in frames:
                    cell.set_frame_on(True)
                    for edge in cell.spines.values():
                        edge.set_color(frames[i, j])
                        edge.set_linewidth(3)
            if i == 0 and j < len(column_names):
                cell.set_title(column_names[j], fontsize=8)
        if i < len(row_names):
            line[0].set_ylabel(row_names[i], fontsize=8, rotation=0, ha="right", va="center")
    return _png(figure)


def violins(groups: Mapping[str, Mapping[str, Sequence[float]]], ylabel: str) -> bytes:
    """One violin per group and method, with bars at the lowest, middle and highest value; a color per method."""
    methods = list(dict.fromkeys(method for values in groups.values() for method in values))
    width = max(5.0, 0.5 * len(groups) * (len(methods) + 1))
    figure = _figure(min(width, 16), 3.6)
    axes = figure.subplots()
    for g, values in enumerate(groups.values()):
        for m, method in enumerate(methods):
            data = np.asarray(values.get(method, ()), np.float64)
            data = data[np.isfinite(data)]
            if len(data):
                _violin(axes, data, g * (len(methods) + 1) + m, COLORS[m % len(COLORS)])
    axes.set_xticks([g * (len(methods) + 1) + (len(methods) - 1) / 2 for g in range(len(groups))])
    axes.set_xticklabels(list(groups), fontsize=9)
    axes.set_ylabel(ylabel)
    axes.grid(axis="y", alpha=0.3)
    for m, method in enumerate(methods):
        axes.plot([], [], color=COLORS[m % len(COLORS)], linewidth=6, label=method)
    if methods:
        axes.legend(
            fontsize=8,
            ncols=min(5, max(1, len(methods))),
            loc="upper center",
            bbox_to_anchor=(0.5, -0.1),
            frameon=False,
        )
    return _png(figure)


def profiles(images: Mapping[str, RGB], start_xy: Point, end_xy: Point) -> bytes:
    """The images with one segment drawn on each, and below them the gray levels along it, in one plot."""
    figure = _figure(max(6.0, 1.7 * len(images)), 5.0)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.2])
    cells = np.atleast_1d(top.subplots(1, max(1, len(images))))
    axes = bottom.subplots()
    for number, ((name, image), cell) in enumerate(zip(images.items(), cells, strict=False)):
        color = COLORS[number % len(COLORS)]
        cell.imshow(image)
        cell.plot([start_xy[0], end_xy[0]], [start_xy[1], end_xy[1]], color=color, linewidth=1.8)
        cell.set_title(name, fontsize=8)
        cell.axis("off")
        axes.plot(line_profile(image, start_xy, end_xy), color=color, linewidth=1.1, label=name)
    axes.set_xlabel("pixels along the segment")
    axes.set_ylabel("gray level")
    axes.set_ylim(0, 260)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=4, frameon=False)
    return _png(figure)


def curves(series: Mapping[str, Sequence[tuple[float, float]]], xlabel: str, ylabel: str) -> bytes:
    """Lines through (x, y) points, one per name."""
    figure = _figure(7.0, 3.6)
    axes = figure.subplots()
    for number, (name, points) in enumerate(series.items()):
        xy = np.asarray(points, np.float64).reshape(-1, 2)
        axes.plot(
            xy[:, 0], xy[:, 1], color=COLORS[number % len(COLORS)], label=name, marker="." if len(xy) < 40 else None
        )
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3)
    if series:
        axes.legend(fontsize=8, frameon=False)
    return _png(figure)


def confusions(matrices: Mapping[str, Int64[np.ndarray, "_ _"]], labels: Sequence[str]) -> bytes:
    """Confusion matrices side by side, four in a row: true labels down, predicted across; counts and shares."""
    across = min(4, max(1, len(matrices)))
    down = -(-max(1, len(matrices)) // across)
    size = max(1.9, 0.55 * len(labels) + 0.9)
    figure = _figure(size * across + 0.4, (size + 0.3) * down)
    cells = np.atleast_2d(figure.subplots(down, across, squeeze=False))
    for place, cell in enumerate(cells.ravel()):
        if place >= len(matrices):
            cell.set_axis_off()
            continue
        name, counts = list(matrices.items())[place]
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        cell.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for i in range(len(labels)):
            for j in range(len(labels)):
                ink = "white" if shares[i, j] > 0.5 else "black"
                cell.text(j, i, f"{counts[i, j]}\n{shares[i, j]:.0%}", ha="center", va="center", fontsize=7, color=ink)
        cell.set_xticks(range(len(labels)), labels, fontsize=7)
        cell.set_yticks(range(len(labels)), labels, fontsize=7)
        cell.set_title(name, fontsize=8)
    return _png(figure)


def _violin(axes: Any, data: Float64[np.ndarray, "n"], place: int, color: str) -> None:
    if len(data) > 1 and data.std() > 1e-9:
        parts = axes.violinplot([data], [place], widths=0.85, showextrema=True, showmedians=True)
        for body in parts["bodies"]:
            body.set_facecolor(color)
            body.set_alpha(0.45)
        for name in ("cbars", "cmins", "cmaxes", "cmedians"):
            parts[name].set_color(color)
            parts[name].set_linewidth(1)
    else:
        axes.plot([place] * len(data), data, "_", color=color, markersize=12)


def _thumb(image: RGB) -> UInt8[np.ndarray, "_ _ 3"]:
    import cv2

    scale = CELL_PX / max(1, *image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small: UInt8[np.ndarray, "_ _ 3"] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small


def _figure(width: float, height: float) -> Any:
    """A figure that belongs to no window and no global list, so that threads may draw."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Any) -> bytes:
    data = BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()
