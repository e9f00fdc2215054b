"""Annotations as Aperio ImageScope writes them."""

import numpy as np

from histokin.slides.annotations_xml import Element, corners
from histokin.slides.areas import LEAST_CORNERS, Area, Polygon, Ring, ring_area

IMAGESCOPE = "imagescope"

FREEHAND, RECTANGLE, ELLIPSE = "0", "1", "2"
OTHERS = {"3": "an arrow", "4": "a ruler", "5": "a counter"}
ELLIPSE_CORNERS = 64


def imagescope_areas(root: Element) -> tuple[list[Area], list[str]]:
    """The areas of ``<Annotations>``, and what was passed over.

    The class is the name of the layer (``<Annotation Name>``), else the layer's ``Description`` or ``Name``
    attribute, else the text of the region. A negative region is a hole in the areas of its layer that hold its
    first corner.

    Raises
    ------
    UnreadableFile
        a coordinate is no number; the line and the region are named.
    """
    areas: list[Area] = []
    passed: list[str] = []
    for number, layer in enumerate(root.find("Annotation"), 1):
        label = _label(layer)
        whole: list[tuple[str, str, Ring]] = []
        holes: list[tuple[str, Ring]] = []
        for region in layer.find("Regions", "Region"):
            what = f"layer {number} region {region.get('Id') or '?'}"
            kind = region.get("Type") or FREEHAND
            if kind not in (FREEHAND, RECTANGLE, ELLIPSE):
                passed.append(f"{what}: {OTHERS.get(kind, f'a region of type {kind}')} is no area")
                continue
            ring = _ring(region, kind, what)
            if len(ring) < LEAST_CORNERS or not ring_area(ring):
                passed.append(f"{what}: {len(ring)} points that surround nothing")
            elif region.get("NegativeROA") == "1":
                holes.append((what, ring))
            else:
                whole.append((label or region.get("Text"), region.get("Text"), ring))
        areas += _with_holes(whole, holes, passed)
    return areas, passed


def _label(layer: Element) -> str:
    described = {a.get("Name").lower(): a.get("Value") for a in layer.find("Attributes", "Attribute")}
    return layer.get("Name") or described.get("description", "") or described.get("name", "")


def _ring(region: Element, kind: str, what: str) -> Ring:
    rings = [corners(part, "Vertex", what) for part in region.find("Vertices")]
    ring = np.concatenate(rings) if rings else np.zeros((0, 2))
    if len(ring) > 1 and (ring[0] == ring[-1]).all():
        ring = ring[:-1]
    if kind == ELLIPSE and len(ring) >= 2:
        low, high = ring.min(axis=0), ring.max(axis=0)
        turn = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)
        ring = (low + high) / 2 + (high - low) / 2 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    elif kind == RECTANGLE and len(ring) == 2:
        (x0, y0), (x1, y1) = ring.tolist()
        ring = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)
    return ring


def _with_holes(whole: list[tuple[str, str, Ring]], holes: list[tuple[str, Ring]], passed: list[str]) -> list[Area]:
    taken = [False] * len(holes)
    areas = []
    for label, text, ring in whole:
        mine = [_holds(ring, hole[0].tolist()) for _, hole in holes]
        taken = [before or now for before, now in zip(taken, mine, strict=True)]
        inner = tuple(hole for (_, hole), now in zip(holes, mine, strict=True) if now)
        areas.append(Area(label, (Polygon(ring, inner),), text))
    unused = (what for (what, _), used in zip(holes, taken, strict=True) if not used)
    passed += [f"{what}: a negative region in no area" for what in unused]
    return areas


def _holds(ring: Ring, point: list[float]) -> bool:
    """True where a line from the point to the right crosses the ring an odd number of times."""
    x, y = point
    ahead = np.roll(ring, -1, axis=0)
    spans = (ring[:, 1] > y) != (ahead[:, 1] > y)
    rise = np.where(spans, ahead[:, 1] - ring[:, 1], 1.0)
    meets = ring[:, 0] + (y - ring[:, 1]) / rise * (ahead[:, 0] - ring[:, 0])
    return bool((spans & (meets > x)).sum() % 2)
