"""Training patches from annotated slides: cut, split, resumed; failures named."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histokin.app.cli.patches import patches
from histokin.errors import UsageError
from histokin.retrieval.patching.plan import Cutting
from histokin.retrieval.patching.run import PatchReport, Wanted, cut_patches
from histokin.retrieval.patching.splitting import legacy_area_split, split_rows
from histokin.slides.annotations_geojson import write_geojson
from histokin.slides.areas import Area, Polygon, rectangle
from histokin.testing.slides import section, spoil_tile, tissue, write_svs
from histokin.training.images import read_images
from histokin.types import Region

AREAS = (Area("a/b", (rectangle(Region(0, 0, 300, 300)),)), Area("adenoma", (rectangle(Region(100, 250, 350, 200)),)))


def run(*args: object) -> Result:
    return CliRunner().invoke(patches, [str(arg) for arg in args])


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """Three slides of 500 x 480 pixels with the same two areas each."""
    folder = tmp_path / "slides"
    for i in range(3):
        (folder / f"s{i}").parent.mkdir(exist_ok=True)
        write_svs(folder / f"s{i}.svs", section(480, 500, seed=i))
        write_geojson(tmp_path / "ann" / f"s{i}.geojson", AREAS)
    return folder


def _rows(out: Path) -> list[dict[str, str]]:
    with (out / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def _wanted(tmp_path: Path, **options: object) -> Wanted:
    cutting = Cutting(**{"side": 100, **options})  # type: ignore[arg-type]
    return Wanted(tmp_path / "out", cutting, tmp_path / "ann")


def test_patches_are_cut_where_they_say(slides: Path, tmp_path: Path) -> None:
    report = cut_patches([slides], _wanted(tmp_path, random=2, max_iou=0.6))
    assert not report.failed
    assert len(report.cut) == 3
    rows = _rows(tmp_path / "out")
    # 300 px at side 100 and step 70: 0, 70, 140, 200; 350 x 200: 5 or 6 columns, 3 rows
    first = [r for r in rows if r["slide"] == "s0" and r["area"] == "001"]
    assert [r["kind"] for r in first] == ["window"] * 16 + ["random"] * 2
    second = [r for r in rows if r["slide"] == "s0" and r["area"] == "002" and r["kind"] == "window"]
    assert {r["x"] for r in second} == {"100", "170", "240", "310", "350"}
    assert {r["y"] for r in second} == {"250", "320", "350"}
    from histokin.slides.reading import open_slide

    with open_slide(slides / "s1.svs") as slide:
        for row in [r for r in rows if r["slide"] == "s1"][::7]:
            pixels = _pixels(tmp_path / "out" / row["path"])
            assert (pixels == slide.read(Region(int(row["x"]), int(row["y"]), 100, 100), 100, 100)).all()
            assert row["inside"] == "1.0000"
            assert row["gland"] == ""
    assert {r["label"] for r in rows} == {"a/b", "adenoma"}
    assert all((tmp_path / "out" / r["path"]).resolve().is_relative_to(tmp_path / "out" / "patches") for r in rows)
    assert report.patches == len(rows) == len({r["path"] for r in rows})
    assert (tmp_path / "out" / "overviews" / "s0.png").stat().st_size > 10_000


def test_the_manifest_is_a_training_table_whose_split_divides_no_slide(slides: Path, tmp_path: Path) -> None:
    cut_patches([slides], _wanted(tmp_path))
    found = read_images(tmp_path / "out" / "manifest.csv")
    assert len(found) == len(_rows(tmp_path / "out"))
    parts = found.split(0)
    assert all(len(part) for part in parts)
    groups = [set(part.groups) for part in parts]
    assert groups[0] | groups[1] | groups[2] == {"s0", "s1", "s2"}
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]


def test_an_interrupted_run_goes_on_and_a_changed_one_starts_again(slides: Path, tmp_path: Path) -> None:
    first = cut_patches([slides], _wanted(tmp_path, random=1))
    before = (tmp_path / "out" / "manifest.csv").read_bytes()
    again = cut_patches([slides], _wanted(tmp_path, random=1))
    assert (len(first.cut), len(first.kept), len(again.cut), len(again.kept)) == (3, 0, 0, 3)
    assert (tmp_path / "out" / "manifest.csv").read_bytes() == before
    lost = tmp_path / "out" / _rows(tmp_path / "out")[0]["path"]
    data = lost.read_bytes()
    lost.unlink()
    (tmp_path / "out" / "slides" / "s1.json").write_text("{")
    third = cut_patches([slides], _wanted(tmp_path, random=1))
    assert len(third.cut) == 2
    assert lost.read_bytes() == data
    fourth = cut_patches([slides / "s0.svs"], _wanted(tmp_path, overlap=0.0))
    assert len(fourth.cut) == 1
    assert any("2 slides of earlier runs are not in the manifest" in w for w in fourth.warnings)
    on_disk = {p.name for p in (tmp_path / "out" / "patches").rglob("s0_*.png")}
    assert on_disk == {Path(r["path"]).name for r in _rows(tmp_path / "out")}


def test_one_broken_slide_ends_nothing(slides: Path, tmp_path: Path) -> None:
    (slides / "s1.svs").write_bytes((slides / "s1.svs").read_bytes()[:3000])
    (tmp_path / "ann" / "s2.geojson").write_text('{"type": "FeatureCollection", "features": [3]}')
    write_svs(slides / "lonely.svs", tissue(300, 300))
    spoiled = write_svs(slides / "s3.svs", tissue(480, 500))
    spoil_tile(spoiled, 0)
    write_geojson(tmp_path / "ann" / "s3.geojson", AREAS)
    result = run(slides, "--annotations", tmp_path / "ann", "--out", tmp_path / "out", "--side", 100, "--json")
    assert result.exit_code == 1, result.output
    told = json.loads(result.stdout)
    failed = {Path(f["path"]).name: f for f in told["failed"]}
    assert set(failed) == {"s1.svs", "s2.geojson", "lonely.svs", "s3.svs"}
    assert "feature 1: 3 instead of an object" in failed["s2.geojson"]["reason"]
    assert "no annotations" in failed["lonely.svs"]["reason"]
    assert "does not decode" in failed["s3.svs"]["reason"]
    assert all(f["remedy"] for f in told["failed"])
    rows = _rows(tmp_path / "out")
    assert {r["slide"] for r in rows} == {"s0", "s3"}
    assert all((tmp_path / "out" / r["path"]).is_file() for r in rows)
    assert told["patches"] == len(rows)
    again = run(slides, "--annotations", tmp_path / "ann", "--out", tmp_path / "out", "--side", 100, "--json")
    assert [Path(p).name for p in json.loads(again.stdout)["kept"]] == ["s0.svs"]


def test_areas_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    write_svs(tmp_path / "slides.svs", tissue(300, 300))
    areas = [
        Area("", (rectangle(Region(0, 0, 200, 200)),)),
        Area("x", (rectangle(Region(900, 0, 200, 200)),)),
        Area("x", (rectangle(Region(200, 100, 200, 200)),)),
        Area("x", (rectangle(Region(0, 0, 50, 200)),)),
    ]
    write_geojson(tmp_path / "one.geojson", areas)
    wanted = Wanted(tmp_path / "out", Cutting(side=100), tmp_path / "one.geojson")
    report = cut_patches([tmp_path / "slides.svs"], wanted)
    told = "; ".join(report.warnings)
    assert "area 1 has no class" in told
    assert "area 2 (x) lies outside" in told
    assert "area 3 (x) reaches outside the slide and was cut off" in told
    assert "area 004 (x) is 50 x 200 pixels, no window of 100 fits" in told
    assert report.patches == 1 * 3
    assert {r["x"] for r in _rows(tmp_path / "out")} == {"200"}
    padded = cut_patches(
        [tmp_path / "slides.svs"], Wanted(tmp_path / "p", Cutting(side=100, pad_small=True), wanted.annotations)
    )
    assert padded.patches == 6
    row = next(r for r in _rows(tmp_path / "p") if r["area"] == "004")
    pixels = _pixels(tmp_path / "p" / row["path"])
    assert pixels.shape == (100, 100, 3)
    assert (pixels[:, 50:98] == pixels[:, 48:0:-1]).all()
    write_svs(tmp_path / "other.svs", tissue(300, 300))
    with pytest.raises(UsageError, match="one annotation file for 2 slides"):
        cut_patches([tmp_path / "slides.svs", tmp_path / "other.svs"], wanted)


def test_windows_beside_an_outline_and_without_glands_are_dropped(tmp_path: Path) -> None:
    write_svs(tmp_path / "s.svs", tissue(400, 400))
    triangle = np.array([(0, 0), (400, 0), (0, 400)], float)
    write_geojson(tmp_path / "ann" / "s.geojson", [Area("x", (Polygon(triangle),))])
    report = cut_patches([tmp_path / "s.svs"], _wanted(tmp_path, overlap=0.0))
    # of 16 windows 6 lie inside, 4 are halved by the outline
    assert report.patches == 6
    assert report.dropped == {"outside": 10}
    (tmp_path / "masks").mkdir()
    mask = np.zeros((40, 40), np.uint8)
    mask[:15] = 255
    Image.fromarray(mask).save(tmp_path / "masks" / "s.png")
    result = run(
        tmp_path / "s.svs", "--annotations", tmp_path / "ann", "--out", tmp_path / "m", "--side", 100, "--overlap", 0,
        "--gland-masks", tmp_path / "masks", "--min-inside", 0, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = _rows(tmp_path / "m")
    assert {(r["y"], r["gland"], r["gland_source"]) for r in rows} == {
        ("0", "1.0000", "mask"),
        ("100", "0.5000", "mask"),
    }
    assert json.loads(result.stdout)["dropped"] == {"gland": 8}
    write_geojson(tmp_path / "masks" / "t.geojson", [Area("", (rectangle(Region(0, 0, 400, 100)),))])
    write_svs(tmp_path / "t.svs", tissue(400, 400))
    (tmp_path / "ann" / "t.geojson").write_bytes((tmp_path / "ann" / "s.geojson").read_bytes())
    both = ("--annotations", tmp_path / "ann", "--out", tmp_path / "d", "--side", 100, "--overlap", 0)
    assert run(tmp_path / "t.svs", *both, "--gland-masks", tmp_path / "masks").exit_code == 0
    assert {(r["y"], r["gland_source"]) for r in _rows(tmp_path / "d")} == {("0", "areas")}
    assert run(tmp_path / "t.svs", *both, "--gland-masks", tmp_path / "masks", "--gland-proxy").exit_code == 2
    (tmp_path / "none").mkdir()
    missing = run(tmp_path / "t.svs", *both, "--gland-masks", tmp_path / "none")
    assert missing.exit_code == 1
    assert "no gland mask for it" in missing.output.replace("\n", " ")


def test_targets_thin_out_and_add(slides: Path, tmp_path: Path) -> None:
    report = cut_patches([slides], _wanted(tmp_path, target={"a/b": 10, "adenoma": 60, "none": 3}, max_iou=0.8))
    assert report.classes == {"a/b": 10, "adenoma": 60}
    assert "no area has the class none" in report.warnings
    assert "none: 0 patches, 3 were wanted" in report.warnings
    per = [r["slide"] for r in _rows(tmp_path / "out") if r["label"] == "adenoma"]
    assert {per.count(f"s{i}") for i in range(3)} == {20}
    few = cut_patches([slides], Wanted(tmp_path / "few", Cutting(side=300, target={"a/b": 9}), tmp_path / "ann"))
    assert "a/b: 3 patches, 9 were wanted" in few.warnings
    assert few.dropped["no place"] == 6


def test_legacy_cuts_the_published_windows(tmp_path: Path) -> None:
    write_svs(tmp_path / "s.svs", tissue(1000, 1000))
    write_geojson(tmp_path / "ann" / "s.geojson", [Area("x", (rectangle(Region(0, 0, 1000, 1000)),))])
    result = run(tmp_path / "s.svs", "--annotations", tmp_path / "ann", "--out", tmp_path / "out", "--legacy")
    assert result.exit_code == 0, result.output
    places = [(r["x"], r["y"]) for r in _rows(tmp_path / "out")]
    assert len(places) == 9
    assert places[0] == places[1] == ("0", "0")
    assert ("560", "560") not in places


def test_pictures_of_areas_need_no_annotations(tmp_path: Path) -> None:
    for label in ("normal", "adenoma"):
        for i in range(4):
            path = tmp_path / "areas" / label / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(tissue(150, 130, seed=i)).save(path)
    result = run(tmp_path / "areas", "--out", tmp_path / "out", "--side", 100)
    assert result.exit_code == 0, result.output
    rows = _rows(tmp_path / "out")
    assert len(rows) == 2 * 4 * 4
    assert {(r["label"], r["split"]) for r in rows} >= {("normal", "test"), ("adenoma", "validation")}
    assert rows[0]["slide"].endswith("-0")
    assert rows[0]["mpp"] == ""


def test_a_patch_has_the_scale_asked_for(slides: Path, tmp_path: Path) -> None:
    cut_patches([slides], _wanted(tmp_path, mpp=1.0))
    row = _rows(tmp_path / "out")[0]
    assert (row["side"], row["mpp"]) == ("200", "1")
    assert _pixels(tmp_path / "out" / row["path"]).shape == (100, 100, 3)


def _split_rows(slides: int, areas: int) -> list[dict[str, str]]:
    return [
        {"slide": f"s{s}", "patient": f"p{s // 2}", "area": f"{a}", "label": "xy"[(s + a) % 2], "path": f"{s}/{a}/{i}"}
        for s in range(slides)
        for a in range(areas)
        for i in range(3 + (s * a) % 4)
    ]


@given(slides=st.integers(1, 12), areas=st.integers(1, 4), by=st.sampled_from(["slide", "patient", "area", "patch"]))
def test_no_group_is_divided_and_no_part_is_empty(slides: int, areas: int, by: str) -> None:
    rows = _split_rows(slides, areas)
    groups, parts, warnings = split_rows(rows, by)
    if len(set(groups)) < 3:
        assert set(parts) == {""}
        assert "cannot fill 3 parts" in warnings[0]
        return
    assert set(parts) == {"train", "validation", "test"}
    held: dict[str, set[str]] = {}
    for group, part in zip(groups, parts, strict=True):
        held.setdefault(group, set()).add(part)
    assert all(len(found) == 1 for found in held.values())
    assert split_rows(rows, by) == (groups, parts, warnings)
    assert any("read too high" in w for w in warnings) == (by in ("area", "patch"))


def test_shares_are_met_and_patients_wanted() -> None:
    rows = _split_rows(60, 2)
    _, parts, _ = split_rows(rows, "slide")
    for label in "xy":
        mine = [part for part, row in zip(parts, rows, strict=True) if row["label"] == label]
        assert mine.count("train") / len(mine) == pytest.approx(0.7, abs=0.05)
        assert mine.count("test") / len(mine) == pytest.approx(0.15, abs=0.04)
    areas = legacy_area_split(rows)
    assert set(areas) == {"train", "test"}
    assert areas.count("test") / len(areas) == pytest.approx(0.11, abs=0.03)
    divided = {row["slide"] for row, part in zip(rows, areas, strict=True) if part == "test"}
    assert divided & {row["slide"] for row, part in zip(rows, areas, strict=True) if part == "train"}
    with pytest.raises(UsageError, match="slide s0 has no patient"):
        split_rows([{**row, "patient": ""} for row in rows], "patient")
    with pytest.raises(UsageError, match="by color"):
        split_rows(rows, "color")
    with pytest.raises(UsageError, match="no split"):
        split_rows(rows, "slide", (0.2, 0.5, 0.5))
    assert split_rows([], "slide") == ([], [], [])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"overlap": 1.0}, "overlap of the patches is 1.0"),
        ({"side": 4}, "side of the patches"),
        ({"target": {"x": 0}}, "target"),
        ({"target": {"x": 5}, "random": 3}, "random"),
    ],
)
def test_cutting_refuses_what_makes_no_sense(options: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Cutting(**options)  # type: ignore[arg-type]


def test_the_command_refuses_and_tells(slides: Path, tmp_path: Path) -> None:
    base = ("--annotations", tmp_path / "ann", "--out", tmp_path / "out", "--side", 100)
    for wrong in (("--target", "x"), ("--target", "x=0"), ("--validation", 0.7, "--test", 0.6), ("--split", "patient")):
        assert run(slides, *base, *wrong).exit_code == 2, wrong
    table = tmp_path / "slides.csv"
    table.write_text("slide,patient\ns0,p\ns1,p\ns2,q\n")
    result = run(slides, *base, "--labels", table, "--split", "patient")
    assert result.exit_code == 0, result.output
    assert "2 patient cannot fill 3 parts" in result.output
    assert {(r["slide"], r["group"]) for r in _rows(tmp_path / "out")} == {("s0", "p"), ("s1", "p"), ("s2", "q")}
    (tmp_path / "file").write_text("")
    blocked = run(slides, "--annotations", tmp_path / "ann", "--out", tmp_path / "file", "--side", 100)
    assert blocked.exit_code == 2
    assert "cannot be written" in blocked.output
    text = run("--help").output
    assert "Examples:" in text
    assert "--overlap-mode" in text


ASAP = """<ASAP_Annotations><Annotations>{}</Annotations></ASAP_Annotations>"""
IMAGESCOPE = """<Annotations MicronsPerPixel="0.499">{}</Annotations>"""


def _asap(label: str, corners: list[tuple[float, float]]) -> str:
    places = "".join(f'<Coordinate Order="{i}" X="{x}" Y="{y}"/>' for i, (x, y) in enumerate(corners))
    return f'<Annotation Type="Polygon" PartOfGroup="{label}"><Coordinates>{places}</Coordinates></Annotation>'


def _imagescope(label: str, corners: list[tuple[float, float]]) -> str:
    places = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in corners)
    region = f'<Region Id="1" Type="0" NegativeROA="0"><Vertices>{places}</Vertices></Region>'
    return f'<Annotation Name="{label}"><Regions>{region}</Regions></Annotation>'


def test_a_real_slide_annotated_in_three_formats_gives_the_same_patches(tmp_path: Path, shared_data: Path) -> None:
    slide = shared_data / "wsi" / "CMU-1-Small-Region.svs"
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    shapes = {
        "epithelium": [(1100.0, 600.0), (1700.0, 600.0), (1700.0, 1900.0), (1100.0, 1900.0)],
        "stroma": np.stack([700 + 560 * np.cos(turn), 2300 + 480 * np.sin(turn)], axis=1).round(3).tolist(),
    }
    areas = [Area(label, (Polygon(np.array(corners, float)),)) for label, corners in shapes.items()]
    write_geojson(tmp_path / "qupath" / "CMU-1-Small-Region.geojson", areas)
    for name, frame, one in (("asap", ASAP, _asap), ("imagescope", IMAGESCOPE, _imagescope)):
        (tmp_path / name).mkdir()
        text = frame.format("".join(one(label, [tuple(c) for c in corners]) for label, corners in shapes.items()))
        (tmp_path / name / "CMU-1-Small-Region.xml").write_text(text)
    tables = []
    for name in ("qupath", "asap", "imagescope"):
        result = run(slide, "--annotations", tmp_path / name, "--out", tmp_path / f"{name}-out", "--random", 2)
        assert result.exit_code == 0, result.output
        tables.append((tmp_path / f"{name}-out" / "manifest.csv").read_text())
    assert tables[0] == tables[1] == tables[2]
    rows = _rows(tmp_path / "qupath-out")
    kinds = [(r["label"], r["kind"]) for r in rows]
    assert kinds.count(("epithelium", "window")) == 2 * 5
    assert 0 < kinds.count(("stroma", "window")) < 3 * 4
    proxy = run(slide, "--annotations", tmp_path / "qupath", "--out", tmp_path / "p", "--gland-proxy", "--json")
    assert proxy.exit_code == 0, proxy.output
    kept = _rows(tmp_path / "p")
    assert 0 < len(kept) < len(rows)
    assert {r["gland_source"] for r in kept} == {"proxy"}
    assert all(float(r["gland"]) >= 0.5 for r in kept)
    assert isinstance(PatchReport().to_dict()["failed"], list)
