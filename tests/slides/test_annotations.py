"""Areas from QuPath GeoJSON, ASAP XML and ImageScope XML, and GeoJSON written for QuPath."""

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histokin.errors import HistokinError, InputError, UnreadableFile, UsageError
from histokin.slides.annotations import annotations_of, read_annotations
from histokin.slides.annotations_geojson import write_geojson
from histokin.slides.areas import Area, Polygon, rectangle
from histokin.types import Region

SQUARE = [[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]]
HOLE = [[25, 25], [25, 75], [75, 75], [75, 25], [25, 25]]
ASAP = """<?xml version="1.0"?>
<ASAP_Annotations><Annotations>
<Annotation Name="Annotation 0" Type="Polygon" PartOfGroup="adenoma" Color="#F4FA58"><Coordinates>
<Coordinate Order="0" X="0.0" Y="0"/><Coordinate Order="1" X="100" Y="0"/>
<Coordinate Order="2" X="100" Y="50,5"/><Coordinate Order="3" X="0" Y="50.5"/></Coordinates></Annotation>
<Annotation Name="b" Type="Rectangle" PartOfGroup="None" Color=""><Coordinates>
<Coordinate Order="0" X="10" Y="20"/><Coordinate Order="1" X="30" Y="60"/></Coordinates></Annotation>
<Annotation Name="c" Type="Dot" PartOfGroup="adenoma"><Coordinates><Coordinate Order="0" X="1" Y="2"/></Coordinates>
</Annotation></Annotations><AnnotationGroups/></ASAP_Annotations>"""
IMAGESCOPE = """<Annotations MicronsPerPixel="0.499">
<Annotation Id="1" Name="" ><Attributes><Attribute Name="Description" Id="0" Value="normal"/></Attributes><Regions>
<RegionAttributeHeaders/><Region Id="1" Type="0" Text="a" NegativeROA="0"><Attributes/><Vertices>
<Vertex X="0" Y="0" Z="0"/><Vertex X="100" Y="0" Z="0"/><Vertex X="100" Y="100" Z="0"/><Vertex X="0" Y="100" Z="0"/>
</Vertices></Region>
<Region Id="2" Type="0" Text="" NegativeROA="1"><Vertices><Vertex X="25" Y="25"/><Vertex X="75" Y="25"/>
<Vertex X="75" Y="75"/><Vertex X="25" Y="75"/></Vertices></Region>
<Region Id="3" Type="4" Text="" ><Vertices><Vertex X="25" Y="25"/><Vertex X="75" Y="25"/></Vertices></Region>
<Region Id="4" Type="2" Text="" ><Vertices><Vertex X="200" Y="200"/><Vertex X="300" Y="400"/></Vertices></Region>
</Regions></Annotation>
<Annotation Id="2" Name=""><Regions><Region Id="9" Type="1" Text="tumor"><Vertices>
<Vertex X="0" Y="0"/><Vertex X="10" Y="20"/></Vertices></Region></Regions></Annotation></Annotations>"""


def _write(folder: Path, text: str | bytes, name: str = "a.xml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def _feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


@pytest.mark.parametrize("form", ["collection", "list", "feature", "geometry"])
def test_every_form_of_geojson(tmp_path: Path, form: str) -> None:
    feature = _feature(_polygon(SQUARE, HOLE), classification={"name": "normal", "color": [1, 2, 3]}, name="x")
    value: Any = {
        "collection": {"type": "FeatureCollection", "features": [feature]},
        "list": [feature],
        "feature": feature,
        "geometry": feature["geometry"],
    }[form]
    found = read_annotations(_write(tmp_path, "\ufeff" + json.dumps(value), "a.geojson"))
    assert found.format == "geojson"
    assert not found.passed_over
    (area,) = found.areas
    assert area.size == 7500
    assert area.label == ("" if form == "geometry" else "normal")
    assert area.bounds == Region(0, 0, 100, 100)
    assert area.share(Region(0, 0, 50, 50)) == pytest.approx(0.75)
    assert area.share(Region(50, 0, 100, 100)) == pytest.approx(0.375)


def test_classes_as_qupath_has_written_them(tmp_path: Path) -> None:
    many = {"type": "MultiPolygon", "coordinates": [[SQUARE], [[[200, 0], [210, 0], [210, 10]]]]}
    features = [
        _feature(many, objectType="annotation", classification={"names": ["Tumor", "Well"]}),
        _feature(_polygon(SQUARE), classification=" Stroma "),
        _feature(_polygon(SQUARE)),
        _feature(_polygon(SQUARE), objectType="cell", classification={"name": "Tumor"}),
        _feature({"type": "Point", "coordinates": [1, 2]}),
        _feature({"type": "GeometryCollection", "geometries": [_polygon(SQUARE)]}, classification={"name": "g"}),
        _feature(_polygon([[0, 0], [5, 5], [0, 0]])),
        _feature(None),
    ]
    found = read_annotations(_write(tmp_path, json.dumps(features)))
    assert [area.label for area in found.areas] == ["Tumor: Well", "Stroma", "", "g"]
    assert found.areas[0].size == 10050
    assert len(found.areas[0].polygons) == 2
    assert found.labels == ("Stroma", "Tumor: Well", "g")
    told = "; ".join(found.passed_over)
    assert all(word in told for word in ("feature 4: cell", "feature 5: a Point", "feature 7 polygon 1: 2 points"))
    assert "feature 8: no geometry" in told


def test_asap(tmp_path: Path) -> None:
    found = read_annotations(_write(tmp_path, ASAP))
    assert found.format == "asap"
    assert [(area.label, area.name, area.size) for area in found.areas] == [
        ("adenoma", "Annotation 0", 5050.0),
        ("", "b", 800.0),
    ]
    assert found.passed_over == ("annotation 3 'c': a Dot is no area",)


def test_imagescope(tmp_path: Path) -> None:
    found = read_annotations(_write(tmp_path, IMAGESCOPE))
    assert found.format == "imagescope"
    labels = [area.label for area in found.areas]
    assert labels == ["normal", "normal", "tumor"]
    assert found.areas[0].size == 7500
    assert found.areas[1].size == pytest.approx(np.pi * 50 * 100, rel=0.005)
    assert found.areas[1].bounds == Region(200, 200, 100, 200)
    assert found.areas[2].size == 200
    assert found.passed_over == ("layer 1 region 3: a ruler is no area",)


def test_xml_in_another_encoding(tmp_path: Path) -> None:
    text = ASAP.replace('<?xml version="1.0"?>', '<?xml version="1.0" encoding="UTF-16"?>')
    assert len(read_annotations(_write(tmp_path, text.encode("utf-16"))).areas) == 2


BOMB = '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;&b;&b;">]>'
BROKEN = {
    "": "empty",
    "hello": "neither GeoJSON nor XML",
    "{": "not JSON",
    '{"type": "Topology"}': 'is "Topology", not FeatureCollection',
    "[1]": "feature 1: 1 instead of an object",
    '{"type": "FeatureCollection"}': "features: nothing instead of a list",
    '[{"type":"Feature","geometry":{"type":"Blob"}}]': 'feature 1: its geometry is of type "Blob"',
    '[{"type":"Feature","geometry":5}]': "feature 1 geometry: 5 instead of an object",
    '{"type":"Polygon","coordinates":[[[0,0],[1,"a"],[2,2]]]}': "ring 1 point 2: a list of 2 is not a place",
    '{"type":"Polygon","coordinates":[[[0,0],[1,NaN],[2,2]]]}': "point 2",
    '{"type":"Polygon","coordinates":[[[0,0],[1,true],[2,2]]]}': "point 2",
    '{"type":"Polygon","coordinates":7}': "coordinates: 7 instead of a list",
    '[{"type":"Feature","geometry":{"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9]]]},'
    '"properties":{"classification":5}}]': "its classification is 5",
    "[" * 100_000: "nested too deeply",
    '{"type":"GeometryCollection","geometries":[' * 400 + "]}" * 400: "nested too deeply|passed",
    "<a>": "not well-formed XML",
    "<svg/>": "outermost element is <svg>",
    ASAP.replace("<ASAP_", BOMB + "<ASAP_", 1): "document type declaration",
    ASAP.replace('X="100" Y="0"', 'X="wide" Y="0"'): "line 4, annotation 1 'Annotation 0': X of a .* is 'wide'",
    ASAP.replace('X="0.0"', ""): "X of a <Coordinate> is missing",
    ASAP.replace('X="0.0"', 'X="inf"'): "is 'inf', not a number",
    "<Annotations>" * 50 + "</Annotations>" * 50: "more than 32 elements",
    IMAGESCOPE.replace('X="75" Y="25"', 'X="75"'): "layer 1 region 2: Y of a <Vertex> is missing",
    ASAP.replace("adenoma", "&boom;", 1): "not well-formed",
}


@pytest.mark.parametrize("text", BROKEN, ids=lambda t: t[:30] or "empty")
def test_broken_files_name_the_element_and_a_remedy(tmp_path: Path, text: str) -> None:
    path = _write(tmp_path, text)
    if BROKEN[text].endswith("|passed"):
        try:
            found = read_annotations(path).areas
        except UnreadableFile as error:
            found = () if "nested too deeply" in str(error) else (Area("", ()),)
        assert not found
        return
    with pytest.raises(InputError, match=BROKEN[text]) as caught:
        read_annotations(path)
    assert caught.value.path == str(path)
    assert caught.value.remedy


@given(cut=st.integers(0, 3000), junk=st.binary(max_size=4), which=st.sampled_from([ASAP, IMAGESCOPE]))
def test_a_damaged_file_is_read_or_refused_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes, which: str
) -> None:
    data = which.encode()
    cut %= len(data)
    path = _write(tmp_path_factory.mktemp("a"), data[:cut] + junk + data[cut + len(junk) :])
    named = str(path)
    try:
        read_annotations(path)
    except HistokinError as error:
        named = error.path or "nobody"
    assert named == str(path)


def test_the_file_of_a_slide(tmp_path: Path) -> None:
    slide = Path("/data/one.ome.tiff")
    with pytest.raises(InputError, match="no annotations"):
        annotations_of(slide, tmp_path)
    first = _write(tmp_path, "", "one.xml")
    assert annotations_of(slide, tmp_path) == first
    _write(tmp_path, "", "one.ome.tiff.geojson")
    with pytest.raises(InputError, match="both annotate"):
        annotations_of(slide, tmp_path)
    with pytest.raises(UnreadableFile, match="no such file"):
        read_annotations(tmp_path / "none.xml")
    with pytest.raises(UnreadableFile, match="directory"):
        read_annotations(tmp_path)


def test_qupath_accepts_what_is_written(tmp_path: Path) -> None:
    hole = Polygon(np.array(SQUARE[:-1], float), (np.array(HOLE[:-1], float),))
    areas = [
        Area("normal", (hole,), "one", {"p normal": 0.75}),
        Area("", (rectangle(Region(5, 6, 7, 8)), rectangle(Region(50, 6, 7, 8)))),
    ]
    path = tmp_path / "new" / "a.geojson"
    write_geojson(path, areas, kind="tile", colors={"normal": (1, 2, 3)})
    value = json.loads(path.read_text())
    assert set(value) == {"type", "features"}
    assert value["type"] == "FeatureCollection"
    ids = [feature["id"] for feature in value["features"]]
    assert len({uuid.UUID(one) for one in ids}) == 2
    first, second = value["features"]
    assert first["type"] == "Feature"
    assert first["geometry"]["type"] == "Polygon"
    for ring in first["geometry"]["coordinates"]:
        assert ring[0] == ring[-1]
        assert len(ring) >= 4
        assert all(len(place) == 2 for place in ring)
    assert first["properties"] == {
        "objectType": "tile",
        "name": "one",
        "classification": {"name": "normal", "color": [1, 2, 3]},
        "measurements": {"p normal": 0.75},
    }
    assert second["geometry"]["type"] == "MultiPolygon"
    assert second["properties"] == {"objectType": "tile"}
    write_geojson(path, areas, kind="annotation")
    back = read_annotations(path).areas
    assert [(a.label, a.name, a.size) for a in back] == [(a.label, a.name, a.size) for a in areas]
    before = path.read_bytes()
    write_geojson(path, areas, kind="annotation")
    assert path.read_bytes() == before
    with pytest.raises(UsageError, match="its p is not a finite"):
        write_geojson(path, [Area("x", (hole,), "", {"p": float("nan")})])
    with pytest.raises(UsageError, match="cannot be written"):
        write_geojson(path / "below", areas)


@given(
    corners=st.lists(st.tuples(st.floats(-20, 60), st.floats(-20, 60)), min_size=3, max_size=3),
    box=st.tuples(st.integers(-10, 20), st.integers(-10, 20), st.integers(1, 40), st.integers(1, 40)),
)
def test_shares_agree_with_counting_fine_points(
    corners: list[tuple[float, float]], box: tuple[int, int, int, int]
) -> None:
    area, region = Area("x", (Polygon(np.array(corners, float)),)), Region(*box)
    n = 200
    xs = region.x + (np.arange(n) + 0.5) / n * region.width
    ys = region.y + (np.arange(n) + 0.5) / n * region.height
    px, py = np.meshgrid(xs, ys)
    ring = area.polygons[0].outer
    sides = []
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        sides.append((x1 - x0) * (py - y0) - (y1 - y0) * (px - x0))
    stacked = np.stack(sides)
    inside = (stacked > 0).all(axis=0) | (stacked < 0).all(axis=0)
    assert area.share(region) == pytest.approx(inside.mean(), abs=0.02)


def test_concave_areas_holes_and_masks_agree() -> None:
    comb = np.array([(0, 0), (90, 0), (90, 60), (60, 60), (60, 20), (30, 20), (30, 60), (0, 60)], float)
    area = Area("x", (Polygon(comb, (np.array([(5, 5), (25, 5), (25, 15), (5, 15)], float),)),))
    assert area.size == 90 * 60 - 30 * 40 - 200
    for box in (Region(0, 0, 90, 60), Region(20, 10, 50, 50), Region(-30, 30, 200, 10), Region(200, 0, 10, 10)):
        fine = area.mask(box, box.width * 8, box.height * 8).mean()
        assert area.share(box) == pytest.approx(fine, abs=0.02)
