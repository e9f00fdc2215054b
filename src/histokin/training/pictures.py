"""Loss curves and sample panels of a training, as PNG files."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from histokin.training.files import write_whole
from histokin.training.images import Picture

SAMPLES = 6


def write_curves(history: Sequence[Mapping[str, float]], path: Path) -> Path:
    """One line per loss over the steps; what was measured on held-out images stands in panels of its own.

    ``history`` has a "step" in every row; names that begin with "held_out" are those measurements.
    Raises :class:`UsageError` when the file cannot be written.
    """
    names = sorted({name for row in history for name in row} - {"step"})
    losses = [name for name in names if not name.startswith("held_out")]
    measured = [name for name in names if name.startswith("held_out")]
    panels = [losses, *[[name] for name in measured]]
    figure, axes = _figure(1, len(panels), 5.0 * len(panels), 3.6)
    for axis, shown in zip(axes[0], panels, strict=True):
        for name in shown:
            points = [(row["step"], row[name]) for row in history if name in row]
            axis.plot(*zip(*points, strict=True), label=name, linewidth=1, marker="." if len(points) < 40 else None)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
        if shown:
            axis.legend(fontsize=7)
    return _write(figure, path)


def write_panel(columns: Mapping[str, Sequence[Picture]], path: Path) -> Path:
    """Images side by side: a column per name, a row per image (at most six).

    Raises :class:`UsageError` when the file cannot be written.
    """
    rows = min(SAMPLES, *(len(images) for images in columns.values()))
    figure, axes = _figure(rows, len(columns), 2.2 * len(columns), 2.2 * rows + 0.3)
    for i, (name, images) in enumerate(columns.items()):
        for j in range(rows):
            axes[j][i].imshow(images[j])
            axes[j][i].set_axis_off()
        axes[0][i].set_title(name, fontsize=9)
    return _write(figure, path)


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
