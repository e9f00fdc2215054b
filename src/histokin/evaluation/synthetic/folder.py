"""Synthetic images as a folder: PNG files, a table of what each is, and a README that says they are synthetic."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from histokin.types import RGB

COLUMNS = ("path", "set", "centre", "label", "pair", "split")
"""Of ``manifest.csv``; the same that ``histokin reproduce --data`` reads."""


@final
@dataclass(frozen=True, eq=False)
class Entry:
    """One image and its row of the table; ``path`` is relative to the folder and ends in ``.png``."""

    path: str
    image: RGB
    set: str
    centre: str
    label: str
    pair: str = ""
    split: str = ""


def write_set(folder: Path, entries: Sequence[Entry], about: str) -> Path:
    """Write all entries under ``folder`` and return the path of ``manifest.csv``.

    Every PNG carries ``synthetic`` in its own text as well, so that a copied file still says what it is.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    marked = PngInfo()
    marked.add_text("Description", "synthetic, made by histokin; not a picture of real tissue")
    for entry in entries:
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(entry.image).save(path, pnginfo=marked)
    (folder / "README.txt").write_text(
        f"SYNTHETIC IMAGES, made by histokin. No picture here shows real tissue.\n\n{about}.\n"
        "manifest.csv says which set, laboratory (centre), class, pair and split each file belongs to.\n",
        encoding="utf-8",
    )
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((e.path, e.set, e.centre, e.label, e.pair, e.split) for e in entries)
    return manifest
