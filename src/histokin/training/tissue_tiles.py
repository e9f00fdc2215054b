"""The openly licensed tiles that the tissue encoder's projection is fitted on. Labels are not read."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import cv2
import numpy as np

from histokin.encoders.pixels import prepare
from histokin.errors import UsageError
from histokin.slides.reading import open_slide
from histokin.training.images import Picture
from histokin.types import RGB, Region

TABLE = Path(__file__).with_name("tissue_tiles.csv")
"""The files of ``oral2`` that are used (half A); the others judge."""

HELD_OUT = ("NORM", "TUM")
SLIDE = Path("wsi") / "CMU-1-Small-Region.svs"
SIDE = 224
SQUARES = (224, 448)
BRIGHT, TISSUE = 220, 0.4


@final
@dataclass(frozen=True)
class Tiles:
    """Tiles of 224 x 224 pixels, and one clause on where they come from, with counts and licences."""

    pixels: tuple[Picture, ...]
    origin: str


def tissue_tiles(data: Path) -> Tiles:
    """The tiles in a fixed order.

    Parameters
    ----------
    data : holds ``oral2`` (used as its table says), ``nct-crc-val-70`` (all classes but NORM and TUM) and
        ``wsi/CMU-1-Small-Region.svs`` (squares of 224 and 448 pixels without overlap, at least two fifths tissue).

    Raises
    ------
    UsageError
        when an image of the table, or a whole set, is not there.
    InputError
        when one cannot be read.
    """
    with TABLE.open(newline="", encoding="utf-8") as file:
        mucosa = [data / "oral2" / row["file"] for row in csv.DictReader(file)]
    colon = sorted(path for path in (data / "nct-crc-val-70").glob("*/*") if path.parent.name not in HELD_OUT)
    absent = [path for path in (*mucosa, data / SLIDE) if not path.is_file()]
    if absent or not colon:
        raise UsageError(
            f"{len(absent)} training images are not there" if absent else "no image of NCT-CRC-HE is there",
            path=absent[0] if absent else data / "nct-crc-val-70",
            remedy="Give as --data the folder with oral2, nct-crc-val-70 and wsi",
        )
    pixels = [prepare(_whole(path), SIDE) for path in (*mucosa, *colon)]
    cut = list(_squares(_whole(data / SLIDE)))
    origin = (
        f"half A of oral2, oral mucosa ({len(mucosa)} tiles, CC0); NCT-CRC-HE without the classes NORM and TUM, of "
        f"Kather et al. 2018 ({len(colon)} tiles, CC BY 4.0); CMU-1-Small-Region ({len(cut)} tiles, CC0)"
    )
    return Tiles((*pixels, *cut), origin)


def _whole(path: Path) -> RGB:
    with open_slide(path) as slide:
        return slide.read(Region(0, 0, slide.width, slide.height), slide.width, slide.height)


def _squares(image: RGB) -> Iterator[RGB]:
    for side in SQUARES:
        for top in range(0, image.shape[0] - side + 1, side):
            for left in range(0, image.shape[1] - side + 1, side):
                square = image[top : top + side, left : left + side]
                if (square.mean(axis=2) < BRIGHT).mean() > TISSUE:
                    yield np.asarray(cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
