"""Labelled sets, their pictures and vectors: decoded once, mapped once, nothing left out in silence."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histokin.errors import InputError, UsageError
from histokin.evaluation import pictures as pictures_module
from histokin.evaluation.encoding import choices
from histokin.evaluation.labelled import LabelledSet, encode_set, read_set
from histokin.evaluation.pictures import Pictures
from histokin.evaluation.retrieval import evaluate_sets, load, measure_sets
from histokin.retrieval.recipe import Recipe
from histokin.retrieval.report import Silent
from histokin.slides.grid import Grid
from histokin.slides.labels import read_labels


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Paths in the order in which they are decoded."""
    seen: list[Path] = []
    real = pictures_module.load_picture

    def counted(path: Path, grid: Grid) -> Any:
        seen.append(path)
        return real(path, grid)

    monkeypatch.setattr(pictures_module, "load_picture", counted)
    return seen


def test_images_are_decoded_once_for_all_encoders_and_normalizers(tile_set: Path, decoded: list[Path]) -> None:
    table = evaluate_sets(
        read_set(tile_set),
        None,
        encoders=["color-histogram", "efficientnet-lite0-b14"],
        normalizers=["none", "macenko"],
    )
    assert len(decoded) == len(set(decoded)) == 24
    assert [(row.encoder, row.normalizer) for row in table.rows] == [
        ("color-histogram", "none"),
        ("efficientnet-lite0-b14", "none"),
        ("color-histogram", "macenko"),
        ("efficientnet-lite0-b14", "macenko"),
    ]


def test_beyond_the_budget_they_are_decoded_again_and_are_the_same(tile_set: Path, decoded: list[Path]) -> None:
    paths = sorted(tile_set.rglob("*.png"))
    grid = Grid()
    room = Pictures(paths, grid, progress=Silent())
    tight = Pictures(paths, grid, budget=5 * grid.patch_px**2 * 3, progress=Silent())
    assert len(decoded) == 48
    for one, other in zip(room, tight, strict=True):
        assert np.array_equal(one, other)
    assert len(decoded) == 48 + 19
    assert np.array_equal(room[23], tight[23])
    assert room.decoded == 24
    assert tight.decoded == 24 + 19
    assert tight.seconds > 0


def test_vectors_are_those_of_the_recipe(tile_set: Path) -> None:
    images = read_set(tile_set)
    measured = measure_sets(images, None, encoders=["color-histogram"], normalizers=["reinhard"])
    prepared = Recipe(encoder="color-histogram", normalizer="reinhard").prepare()
    vectors = encode_set(images, prepared)
    distances = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    found = measured.table.rows[0].ranked
    assert np.allclose(found.distances[:, 0], distances.min(axis=1), atol=1e-5)


def test_a_broken_image_ends_it_unless_it_can_be_handed_over(tile_set: Path, tmp_path: Path) -> None:
    shutil.copytree(tile_set, tmp_path / "set")
    (tmp_path / "set" / "fine" / "fine_07.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    images = read_set(tmp_path / "set", broken=[])
    with pytest.raises(UsageError, match=r"fine_07\.png"):
        load(images, Grid())
    broken: list[InputError] = []
    loaded = load(images, Grid(), broken=broken)
    assert [Path(str(error.path)).name for error in broken] == ["fine_07.png"]
    assert len(loaded.items) == len(loaded.pictures) == len(loaded.side.names) == 23
    assert loaded.items.labels.count("fine") == 11
    assert not any("fine_07" in name for name in loaded.side.names)


def test_a_table_adds_columns_and_its_label_counts_more(tile_set: Path, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("file,label,patient\ncoarse/coarse_00.png,other,p1\nfine_03,,p2\n")
    images = read_set(tile_set, table=read_labels(file))
    places = {path.name: place for place, path in enumerate(images.paths)}
    first, second = places["coarse_00.png"], places["fine_03.png"]
    assert (images.labels[first], images.columns[first]["patient"]) == ("other", "p1")
    assert (images.labels[second], images.columns[second]["patient"]) == ("fine", "p2")
    assert images.known == ("patient",)
    assert (images.column("patient") != "").sum() == 2
    only = read_set(tile_set, {"other": "coarse"}, ["coarse"], table=read_labels(file))
    assert len(only) == 12
    assert only.take([0]).columns == ({"patient": "p1"},)


def test_a_slide_in_a_folder_is_no_labelled_image(shared_data: Path, tile_set: Path, tmp_path: Path) -> None:
    shutil.copytree(tile_set, tmp_path / "set")
    shutil.copy(shared_data / "wsi" / "CMU-1-Small-Region.svs", tmp_path / "set" / "fine")
    with pytest.raises(UsageError, match="a slide is not one labelled image"):
        read_set(tmp_path / "set")


def test_encoders_by_name_and_place(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    named = choices([str(tmp_path / "net"), f"cbhir={tmp_path / 'net'}", "efficientnet-lite0-b14"])
    assert [(each.label, each.name) for each in named] == [
        ("net", "onnx"),
        ("cbhir=net", "cbhir"),
        ("efficientnet-lite0-b14", "efficientnet-lite0-b14"),
        ("color-histogram", "color-histogram"),
    ]
    (tmp_path / "b" / "net").mkdir(parents=True)
    twins = choices([str(tmp_path / "net"), str(tmp_path / "b" / "net")])
    assert len({each.label for each in twins}) == 3


def test_sets_know_their_size() -> None:
    images = LabelledSet("s", (Path("a"), Path("b")), ("x", "y"), ({}, {"k": "v"}), ("A", "B"))
    assert len(images) == 2
    assert images.names == ("A", "B")
    taken = images.take(np.array([1]))
    assert (taken.names, taken.labels, taken.column("k").tolist()) == (("B",), ("y",), ["v"])
