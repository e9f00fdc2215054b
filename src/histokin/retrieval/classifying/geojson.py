"""Tiles and their classes as a GeoJSON file that QuPath opens."""

from collections.abc import Sequence
from pathlib import Path

from histokin.retrieval.classifying.slide import SlideClasses
from histokin.slides.annotations_geojson import write_geojson
from histokin.slides.areas import Area, rectangle

COLORS = (
    *((38, 166, 91), (244, 179, 80), (66, 133, 244), (171, 71, 188), (219, 68, 55)),
    *((0, 172, 193), (255, 112, 67), (158, 157, 36), (94, 53, 177), (120, 144, 156)),
)
"""Red, green, blue of the classes, in their order; over again beyond the tenth."""


def color_of(place: int) -> tuple[int, int, int]:
    """The color of a class by its place in the list."""
    return COLORS[place % len(COLORS)]


def write_tiles(slide: SlideClasses, classes: Sequence[str], path: Path) -> None:
    """One tile object per tile: its square in level-0 pixels, its class and the probabilities of all classes.

    Raises :class:`~histokin.errors.UsageError` when the file cannot be written.
    """
    areas = []
    for region, row in zip(slide.regions, slide.probabilities, strict=True):
        shares = {f"p({name})": round(float(p), 4) for name, p in zip(classes, row, strict=True)}
        areas.append(Area(classes[int(row.argmax())], (rectangle(region),), measurements=shares))
    colors = {name: color_of(place) for place, name in enumerate(classes)}
    write_geojson(path, areas, kind="tile", colors=colors)
