"""A color map for other programs: a lattice of colors, with the error of interpolating between them measured.

Two common forms hold the same ``size``³ answers. A ``.cube`` file is text: a header, then a line of red, green and
blue from 0 to 1 per node, red changing fastest. A PNG strip holds one ``size`` x ``size`` square per blue level, from
left to right; red runs to the right and green down. Both are read by trilinear interpolation, which is not exact:
histokin itself never maps through them.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32, Float64

from histokin.errors import UnreadableFile, UsageError
from histokin.stain.color_map import ColorMap, packed
from histokin.types import RGB

Nodes = Float32[np.ndarray, "n n n 3"]
"""Answers in grey levels by blue, green and red."""

SMALLEST, LARGEST = 2, 65


@final
@dataclass(frozen=True)
class TableError:
    """How far interpolating in a table is from the map, over all 16,777,216 colors, in grey levels.

    ``off`` is the share of values (three per color) that differ by more than one level.
    """

    size: int
    largest: int
    mean: float
    off: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def write_cube(fitted: ColorMap, path: Path, size: int = 33) -> TableError:
    """Write the map as a ``.cube`` file; the error is that of the file, read back.

    Raises :class:`UsageError` for a size outside 2–65 or a place that cannot be written.
    """
    levels = nodes(fitted, size)
    head = f'TITLE "{fitted.space}"\nLUT_3D_SIZE {size}\nDOMAIN_MIN 0.0 0.0 0.0\nDOMAIN_MAX 1.0 1.0 1.0\n'
    lines = "".join(f"{r:.6f} {g:.6f} {b:.6f}\n" for r, g, b in (levels.reshape(-1, 3) / 255).tolist())
    _write(path, lambda: path.write_text(head + lines, encoding="ascii"))
    return measured(fitted, read_cube(path))


def write_png_strip(fitted: ColorMap, path: Path, size: int = 33) -> TableError:
    """Write the map as a PNG strip, ``size``² wide and ``size`` high; the error is that of the file, read back.

    Raises :class:`UsageError` for a size outside 2–65 or a place that cannot be written.
    """
    from PIL import Image

    strip = np.rint(nodes(fitted, size)).astype(np.uint8).transpose(1, 0, 2, 3).reshape(size, size * size, 3)
    _write(path, lambda: Image.fromarray(strip).save(path, "PNG"))
    return measured(fitted, read_png_strip(path))


def read_cube(path: Path) -> Nodes:
    """The nodes of a ``.cube`` file of three dimensions. Raises :class:`UnreadableFile`."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        size = next(int(line.split()[1]) for line in lines if line.startswith("LUT_3D_SIZE"))
        rows = [line.split() for line in lines if line[:1] in tuple("-.0123456789")]
        return (np.array(rows, np.float32) * np.float32(255)).reshape(size, size, size, 3)
    except (OSError, ValueError, IndexError, StopIteration) as error:
        raise _unreadable(path, "a .cube file of a 3D table") from error


def read_png_strip(path: Path) -> Nodes:
    """The nodes of a strip of squares, one per blue level. Raises :class:`UnreadableFile`."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            strip = np.asarray(opened.convert("RGB"))
        size = len(strip)
        return strip.reshape(size, size, size, 3).transpose(1, 0, 2, 3).astype(np.float32)
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(path, "a strip of squares") from error


def nodes(fitted: ColorMap, size: int = 33) -> Nodes:
    """The map's answers at ``size`` evenly spaced levels per channel.

    Most of those levels are no whole numbers: there, answers are interpolated between the eight colors around.
    """
    if not SMALLEST <= size <= LARGEST:
        raise UsageError(f"the size of the table is {size}", remedy=f"Give {SMALLEST} to {LARGEST}")
    places = np.linspace(0, 255, size)
    low = np.minimum(places.astype(int), 254)
    corners = np.concatenate([low, low + 1])
    image = np.empty((len(corners),) * 3 + (3,), np.uint8)
    image[..., 0], image[..., 1] = corners[None, None, :], corners[None, :, None]
    image[..., 2] = corners[:, None, None]
    answers = fitted.colors(image.reshape(len(corners) ** 2, -1, 3)).reshape(image.shape).astype(np.float64)
    for axis in range(3):
        part = (places - low).reshape([-1 if k == axis else 1 for k in range(4)])
        below, above = np.split(answers, 2, axis=axis)
        answers = below + part * (above - below)
    return answers.astype(np.float32)


def interpolated(table: Nodes, image: RGB) -> RGB:
    """An image mapped by trilinear interpolation in the table, as other programs do, rounded to 8 bits."""
    size = len(table)
    place = image.reshape(-1, 3) * ((size - 1) / 255)
    low = np.minimum(place.astype(int), size - 2)
    part = place - low
    total = np.zeros((len(place), 3))
    for corner in range(8):
        step = np.array([corner & 1, corner >> 1 & 1, corner >> 2])
        r, g, b = (low + step).T
        total += np.prod(np.where(step, part, 1 - part), axis=1)[:, None] * table[b, g, r]
    return np.rint(np.clip(total, 0, 255)).astype(np.uint8).reshape(image.shape)


def measured(fitted: ColorMap, table: Nodes) -> TableError:
    """The error of interpolating in the table, over every color there is."""
    exact = packed(fitted.colors).view(np.uint8).reshape(256, 256, 256, 4)
    weights = _weights(len(table))
    counts = np.zeros(256, np.int64)
    for blue in range(256):
        plane = np.tensordot(weights[blue], table.astype(np.float64), 1)
        rows = np.tensordot(weights, plane, 1)
        levels = np.rint(np.clip(np.tensordot(weights, rows.transpose(1, 0, 2), 1), 0, 255)).astype(np.int16)
        off = np.abs(levels.transpose(1, 0, 2) - exact[blue, :, :, :3])
        counts += np.bincount(off.reshape(-1), minlength=256)
    total, steps = int(counts.sum()), np.arange(256)
    largest = int(steps[counts > 0].max())
    return TableError(len(table), largest, float(counts @ steps) / total, float(counts[2:].sum()) / total)


def _weights(size: int) -> Float64[np.ndarray, "256 n"]:
    """Share of each node in each of 256 levels."""
    place = np.arange(256) * ((size - 1) / 255)
    shares: Float64[np.ndarray, "256 n"] = np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(size)))
    return shares


def _write(path: Path, work: Callable[[], object]) -> None:
    try:
        work()
    except OSError as error:
        raise UsageError(
            f"the table cannot be written: {error.strerror or error}", path=path, remedy="Choose another place"
        ) from error


def _unreadable(path: Path, what: str) -> UnreadableFile:
    return UnreadableFile(f"is not {what}", path=path, remedy="Write it again with `histokin stain-table`")
