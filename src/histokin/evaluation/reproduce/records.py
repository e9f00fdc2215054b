"""Which image belongs to which set, laboratory, class and pair: one table, read from ``manifest.csv``."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import final

import cv2
import numpy as np
from jaxtyping import UInt8

from histokin.errors import UsageError
from histokin.evaluation.synthetic.folder import COLUMNS
from histokin.stain.pixels import read_image
from histokin.types import RGB

REMEDY = "Give a folder that holds manifest.csv with the columns path,set,centre,label,pair,split"


@final
@dataclass(frozen=True)
class Record:
    """One image file and what it is; empty texts where the manifest says nothing."""

    path: Path
    set: str
    centre: str = ""
    label: str = ""
    pair: str = ""
    split: str = ""


def read_manifest(given: Path) -> tuple[Record, ...]:
    """The rows of a manifest, in file order; ``given`` is the table or the folder that holds ``manifest.csv``.

    Columns: ``path`` (relative to the manifest) and ``set`` are needed; ``centre``, ``label``, ``pair`` and
    ``split`` (``train`` or ``test``) may be left out where a set has none.

    Raises
    ------
    UsageError
        when there is no such table, a column is missing, or a named file is not there.
    """
    path = given / "manifest.csv" if given.is_dir() else given
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, names = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError("the manifest cannot be read", path=path, remedy=REMEDY) from error
    missing = [name for name in ("path", "set") if name not in names]
    if missing:
        raise UsageError(f"the manifest has no column '{missing[0]}'", path=path, remedy=REMEDY)
    if not rows:
        raise UsageError("the manifest names no image", path=path, remedy=REMEDY)
    return tuple(_record(row, path, line) for line, row in enumerate(rows, 2))


def _record(row: dict[str, str | None], manifest: Path, line: int) -> Record:
    cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
    file = manifest.parent / cells.pop("path")
    if not file.is_file():
        raise UsageError(f"line {line} names {file.name}, which is not there", path=manifest, remedy="Correct the path")
    if cells["split"] not in {"", "train", "test"}:
        raise UsageError(f"line {line} has split '{cells['split']}'", path=manifest, remedy="Write train or test")
    return Record(path=file, **cells)


def load(path: Path, side: int | None = None) -> RGB:
    """An image file; with ``side``, its central square brought to that many pixels (area average when shrinking).

    Raises
    ------
    UnreadableFile
        when the file does not open as an image.
    """
    image = read_image(path)
    if side is None or image.shape[:2] == (side, side):
        return image
    square = min(image.shape[:2])
    top, left = (image.shape[0] - square) // 2, (image.shape[1] - square) // 2
    cropped = np.ascontiguousarray(image[top : top + square, left : left + square])
    way = cv2.INTER_AREA if square > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cropped, (side, side), interpolation=way))


def tiled(image: RGB, side: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """A square of ``side`` pixels made of this image, repeated and cut as needed: content for timing."""
    across, down = -(-side // image.shape[1]), -(-side // image.shape[0])
    return np.ascontiguousarray(np.tile(image, (down, across, 1))[:side, :side])
