"""Annotations as ASAP writes them (computationalpathologygroup.github.io/ASAP)."""

import numpy as np

from histokin.slides.annotations_xml import Element, corners
from histokin.slides.areas import LEAST_CORNERS, Area, Polygon, Ring, ring_area

ASAP = "asap"

AREAS = ("polygon", "rectangle", "spline")
"""Types that surround an area; a spline is taken as the polygon through its points."""


def asap_areas(root: Element) -> tuple[list[Area], list[str]]:
    """The areas of ``<ASAP_Annotations>``, and what was passed over. The group is the class.

    Raises
    ------
    UnreadableFile
        a coordinate is no number; the line and the annotation are named.
    """
    areas: list[Area] = []
    passed: list[str] = []
    for number, found in enumerate(root.find("Annotations", "Annotation"), 1):
        name = found.get("Name")
        what = f"annotation {number}" + (f" '{name}'" if name else "")
        kind = found.get("Type") or "Polygon"
        if kind.lower() not in AREAS:
            passed.append(f"{what}: a {kind} is no area")
            continue
        ring = _ring(found, kind.lower(), what)
        if len(ring) < LEAST_CORNERS or not ring_area(ring):
            passed.append(f"{what}: {len(ring)} points that surround nothing")
            continue
        group = found.get("PartOfGroup")
        areas.append(Area("" if group.lower() == "none" else group, (Polygon(ring),), name))
    return areas, passed


def _ring(found: Element, kind: str, what: str) -> Ring:
    rings = [corners(part, "Coordinate", what) for part in found.find("Coordinates")]
    ring = np.concatenate(rings) if rings else np.zeros((0, 2))
    if kind == "rectangle" and len(ring) == 2:
        (x0, y0), (x1, y1) = ring.tolist()
        ring = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)
    if len(ring) > 1 and (ring[0] == ring[-1]).all():
        ring = ring[:-1]
    return ring
