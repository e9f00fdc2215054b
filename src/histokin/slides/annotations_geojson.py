"""Annotations as QuPath writes and reads them: GeoJSON (RFC 7946) with QuPath's properties, in level-0 pixels."""

import hashlib
import json
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from histokin.errors import UnreadableFile, UsageError
from histokin.slides.areas import LEAST_CORNERS, Area, Polygon, Ring, ring_area, signed_area

GEOJSON = "geojson"
GEOMETRIES = ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection")
Kind = Literal["annotation", "detection", "tile"]


def geojson_areas(data: bytes) -> tuple[list[Area], list[str]]:
    """The areas of a FeatureCollection, a list of Features, one Feature or a bare geometry; what was passed over.

    The class is ``properties.classification.name`` (or ``names`` joined with ": ", or a plain text). Objects whose
    ``objectType`` is not an annotation (cells, detections, tiles, TMA cores) are passed over.

    Raises
    ------
    UnreadableFile
        not JSON, or an element that is not what the format wants; the element is named.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"))
        reader = _Reader()
        for what, feature in _features(value):
            reader.feature(what, feature)
    except RecursionError:
        raise UnreadableFile("JSON nested too deeply") from None
    except ValueError as error:
        raise UnreadableFile(f"not JSON in UTF-8 ({error})") from None
    return reader.areas, reader.passed


def write_geojson(
    path: Path,
    areas: Sequence[Area],
    *,
    kind: Kind = "annotation",
    colors: Mapping[str, tuple[int, int, int]] | None = None,
) -> None:
    """Write the areas as a FeatureCollection that QuPath opens (File > Import objects).

    Parameters
    ----------
    kind : QuPath's type of object; tiles are detections that it colors by a measurement.
    colors : of classes, 0 to 255; QuPath chooses others.

    Raises
    ------
    UsageError
        the file cannot be written, or a measurement is not a finite number.
    """
    features = [_feature(i, area, kind, colors or {}, path) for i, area in enumerate(areas)]
    text = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False, allow_nan=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        reason = f"cannot be written ({(error.strerror or 'refused').lower()})"
        raise UsageError(reason, remedy="Choose another place", path=path) from None


@final
class _Reader:
    def __init__(self) -> None:
        self.areas: list[Area] = []
        self.passed: list[str] = []

    def feature(self, what: str, value: Any) -> None:
        """One Feature, or a geometry on its own."""
        found = _mapping(value, what)
        properties: Mapping[str, Any] = {}
        geometry: Any = found
        if found.get("type") == "Feature":
            properties = _mapping(found.get("properties") or {}, f"{what} properties")
            geometry = found.get("geometry")
        kind = properties.get("objectType", "annotation")
        if kind != "annotation":
            self.passed.append(f"{what}: {kind} objects are no drawn areas")
            return
        if geometry is None:
            self.passed.append(f"{what}: no geometry")
            return
        polygons = self._polygons(what, geometry)
        if polygons:
            name = properties.get("name")
            label = _label(properties.get("classification"), what)
            self.areas.append(Area(label, tuple(polygons), name if isinstance(name, str) else ""))

    def _polygons(self, what: str, value: Any) -> list[Polygon]:
        geometry = _mapping(value, f"{what} geometry")
        kind = geometry.get("type")
        if kind == "GeometryCollection":
            parts = _list(geometry.get("geometries"), f"{what} geometries")
            return [p for i, part in enumerate(parts, 1) for p in self._polygons(f"{what} geometry {i}", part)]
        if kind not in GEOMETRIES:
            raise UnreadableFile(f"{what}: its geometry is of type {_short(kind)}, which GeoJSON does not have")
        if kind not in ("Polygon", "MultiPolygon"):
            self.passed.append(f"{what}: a {kind} is no area")
            return []
        places = _list(geometry.get("coordinates"), f"{what} coordinates")
        parts = [places] if kind == "Polygon" else places
        found = (self._polygon(f"{what} polygon {i}", part) for i, part in enumerate(parts, 1))
        return [polygon for polygon in found if polygon is not None]

    def _polygon(self, what: str, value: Any) -> Polygon | None:
        rings = [_ring(ring, f"{what} ring {i}") for i, ring in enumerate(_list(value, what), 1)]
        if not rings or len(rings[0]) < LEAST_CORNERS or not ring_area(rings[0]):
            self.passed.append(f"{what}: {len(rings[0]) if rings else 0} points that surround nothing")
            return None
        return Polygon(rings[0], tuple(hole for hole in rings[1:] if len(hole) >= LEAST_CORNERS))


def _features(value: Any) -> Iterator[tuple[str, Any]]:
    """Each object with the name that messages give it."""
    if isinstance(value, dict) and value.get("type") == "FeatureCollection":
        value = _list(value.get("features"), "features")
    if isinstance(value, list):
        yield from ((f"feature {i}", feature) for i, feature in enumerate(value, 1))
        return
    kind = value.get("type")
    if kind != "Feature" and kind not in GEOMETRIES:
        raise UnreadableFile(f"JSON of another kind: 'type' is {_short(kind)}, not FeatureCollection")
    yield "the feature" if kind == "Feature" else "the geometry", value


def _label(value: Any, what: str) -> str:
    """The class from a classification as QuPath has written it over the years."""
    if value is None:
        return ""
    if isinstance(value, dict):
        names = value.get("names")
        value = ": ".join(map(str, names)) if isinstance(names, list) else value.get("name") or ""
    if not isinstance(value, str):
        raise UnreadableFile(f"{what}: its classification is {_short(value)}, not a name")
    return value.strip()


def _ring(value: Any, what: str) -> Ring:
    places = [_place(point, f"{what} point {i}") for i, point in enumerate(_list(value, what), 1)]
    if len(places) > 1 and places[0] == places[-1]:
        places.pop()
    return np.array(places, np.float64).reshape(-1, 2)


def _place(value: Any, what: str) -> tuple[float, float]:
    if isinstance(value, list) and len(value) >= 2:
        numbers = [float(v) for v in value[:2] if _is_number(v)]
        if len(numbers) == 2:
            return numbers[0], numbers[1]
    raise UnreadableFile(f"{what}: {_short(value)} is not a place, [x, y]")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableFile(f"{what}: {_short(value)} instead of an object")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise UnreadableFile(f"{what}: {_short(value)} instead of a list")
    return value


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _feature(
    number: int, area: Area, kind: Kind, colors: Mapping[str, tuple[int, int, int]], path: Path
) -> dict[str, Any]:
    properties: dict[str, Any] = {"objectType": kind}
    if area.name:
        properties["name"] = area.name
    if area.label:
        color = colors.get(area.label) or _color(area.label)
        properties["classification"] = {"name": area.label, "color": list(color)}
    if area.measurements:
        wrong = [name for name, value in area.measurements.items() if not math.isfinite(value)]
        if wrong:
            reason = f"object {number}: its {wrong[0]} is not a finite number"
            raise UsageError(reason, remedy="Leave it out", path=path)
        properties["measurements"] = {name: float(value) for name, value in area.measurements.items()}
    rings = [[_closed(p.outer, 1), *(_closed(hole, -1) for hole in p.holes)] for p in area.polygons]
    geometry: dict[str, Any] = {"type": "Polygon", "coordinates": rings[0]}
    if len(rings) > 1:
        geometry = {"type": "MultiPolygon", "coordinates": rings}
    key = json.dumps([number, kind, area.label, area.name, geometry])
    return {
        "type": "Feature",
        "id": str(uuid.UUID(bytes=hashlib.blake2b(key.encode(), digest_size=16).digest(), version=4)),
        "geometry": geometry,
        "properties": properties,
    }


def _closed(ring: Ring, turn: int) -> list[list[float | int]]:
    """The ring with its first corner again at the end, turned as RFC 7946 wants it; whole numbers as such."""
    way = ring if signed_area(ring) * turn >= 0 else ring[::-1]
    places: list[list[float | int]] = [
        [int(v) if float(v).is_integer() else round(float(v), 3) for v in corner] for corner in way.tolist()
    ]
    return [*places, places[0]]


def _color(label: str) -> tuple[int, int, int]:
    """A color of a class, always the same."""
    red, green, blue = hashlib.blake2b(label.encode(), digest_size=3).digest()
    return 40 + red * 3 // 4, 40 + green * 3 // 4, 40 + blue * 3 // 4
