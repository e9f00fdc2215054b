"""Classifying images and slides with a network whose answers are known: red, green or blue."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from histokin.app.pages.class_pictures import draw_image, draw_slide
from histokin.errors import UsageError
from histokin.retrieval.classifying.heat import stitch
from histokin.retrieval.classifying.model import load_model
from histokin.retrieval.classifying.run import Wanted, classify_paths
from histokin.slides.annotations import read_annotations
from histokin.slides.grid import Grid
from histokin.testing.slides import tissue
from histokin.types import Region

RED, BLUE = (210, 40, 60), (70, 30, 160)


def write(path: Path, color: tuple[int, int, int], side: int = 32) -> Path:
    """An image of one color but for a darker square, so that it is not blank."""
    image = np.full((side, side, 3), color, np.uint8)
    image[: side // 4, : side // 4] //= 2
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])
    return path


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    for i in range(3):
        write(tmp_path / "tiles" / "red" / f"r{i}.png", RED)
    write(tmp_path / "tiles" / "blue" / "b.png", BLUE)
    write(tmp_path / "tiles" / "blue" / "in-fact-red.png", RED)
    return tmp_path / "tiles"


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """Tissue, reddish on the left and bluish on the right, at 0.5 microns per pixel."""
    image = tissue(512, 1024, seed=3).astype(np.float32)
    image[:, :512] *= (0.95, 0.45, 0.45)
    image[:, 512:] *= (0.40, 0.45, 0.95)
    path = tmp_path / "two-halves.tif"
    tifffile.imwrite(
        path,
        image.astype(np.uint8),
        photometric="rgb",
        tile=(256, 256),
        resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
    )
    return path


def test_stitched_maps_lie_where_their_tiles_are() -> None:
    maps = np.array([[[1.0]], [[3.0]]], np.float32)
    beside = stitch([Region(0, 0, 10, 10), Region(10, 0, 10, 10)], maps, (30, 10), (30, 10))
    assert beside.values[5].tolist() == [1.0] * 10 + [3.0] * 10 + [0.0] * 10
    assert beside.known[5].tolist() == [True] * 20 + [False] * 10
    over = stitch([Region(0, 0, 10, 10), Region(5, 0, 10, 10)], maps, (15, 10), (15, 10))
    assert over.values[0].tolist() == [1.0] * 5 + [2.0] * 5 + [3.0] * 5
    assert over.scaled(1, 3)[0].tolist() == [0.0] * 5 + [0.5] * 5 + [1.0] * 5


def test_a_tile_smaller_than_a_pixel_of_the_picture_still_counts() -> None:
    heat = stitch([Region(1, 1, 2, 2)], np.full((1, 4, 4), 2.0, np.float32), (1000, 1000), (10, 10))
    assert heat.known.sum() == 1
    assert heat.values[0, 0] == 2.0


def test_folders_of_images(classifier_folder: Path, tiles: Path, tmp_path: Path) -> None:
    broken = tiles / "blue" / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"no image")
    tiny = write(tiles / "blue" / "tiny.png", BLUE, side=6)
    out = tmp_path / "out"
    found = classify_paths([tiles], load_model(classifier_folder), Wanted(out, draw_image))
    by_name = {Path(row.path).name: row for row in found.images}
    assert {name: row.predicted for name, row in by_name.items()} == {
        **dict.fromkeys(("r0.png", "r1.png", "r2.png", "in-fact-red.png"), "red"),
        "b.png": "blue",
    }
    assert (len(found.known), found.right) == (5, 4)
    assert {Path(f.path) for f in found.failed} == {broken, tiny}
    assert any("6 x 6 pixels, the classifier needs 8" in f.reason for f in found.failed)
    assert all(sum(row.probabilities) == pytest.approx(1, abs=1e-5) for row in found.images)
    lines = (out / "predictions.csv").read_text().splitlines()
    assert lines[0] == "path,folder,predicted,p(red),p(green),p(blue)"
    assert len(lines) == 6
    panel = cv2.imread(str(out / "red" / "r0.png"))
    assert panel is not None
    assert panel.shape[1] == 3 * 256 + 8


def test_a_slide_with_pictures_and_geojson(classifier_folder: Path, slide: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    model = load_model(classifier_folder, grid=Grid(mpp=0.5, patch_px=128))
    found = classify_paths([slide], model, Wanted(out, draw_image, draw_slide))
    assert not found.failed
    row = found.slides[0]
    assert (row.tiles, row.bad) == (32, 0)
    assert row.shares == {"red": 0.5, "green": 0.0, "blue": 0.5}
    assert {Path(file).name for file in row.files} == {
        f"two-halves.tif.{end}" for end in ("geojson", "classes.png", "cam-red.png", "cam-blue.png")
    }
    features = json.loads((out / "two-halves.tif.geojson").read_text())["features"]
    assert len(features) == 32
    first = features[0]["properties"]
    assert first["objectType"] == "tile"
    assert first["classification"]["name"] == "red"
    assert sum(first["measurements"].values()) == pytest.approx(1, abs=1e-3)
    corners = np.array([f["geometry"]["coordinates"][0] for f in features])
    assert corners.min() == 0
    assert corners[..., 0].max() == 1024
    # tiles are results, not drawn areas: reading them back as areas names why they are passed over
    assert len(read_annotations(out / "two-halves.tif.geojson").passed_over) == 32


def test_finished_slides_are_kept_until_something_changes(classifier_folder: Path, slide: Path, tmp_path: Path) -> None:
    wanted = Wanted(tmp_path / "out", draw_image, draw_slide)
    model = load_model(classifier_folder, grid=Grid(mpp=0.5, patch_px=128))
    assert not classify_paths([slide], model, wanted).slides[0].kept
    again = classify_paths([slide], model, wanted).slides[0]
    assert again.kept
    assert again.shares["red"] == 0.5
    other = load_model(classifier_folder, method="reinhard", grid=Grid(mpp=0.5, patch_px=128))
    assert not classify_paths([slide], other, wanted).slides[0].kept
    Path(again.files[0]).unlink()
    assert not classify_paths([slide], other, wanted).slides[0].kept


def test_one_broken_slide_does_not_end_the_run(classifier_folder: Path, slide: Path, tmp_path: Path) -> None:
    broken = tmp_path / "a" / "broken.svs"
    broken.parent.mkdir()
    broken.write_bytes(slide.read_bytes()[:3000])
    twin = tmp_path / "b" / slide.name
    twin.parent.mkdir()
    twin.write_bytes(slide.read_bytes())
    model = load_model(classifier_folder, grid=Grid(mpp=0.5, patch_px=128))
    found = classify_paths([broken, slide, twin], model, Wanted(tmp_path / "out"))
    assert [Path(row.path) for row in found.slides] == [slide]
    assert {Path(f.path) for f in found.failed} == {broken, twin}
    assert any("its results would replace those of" in f.reason for f in found.failed)


def test_grid_and_normalizer_of_the_training(classifier_folder: Path) -> None:
    model = load_model(classifier_folder)
    assert (model.grid.patch_px, model.grid.mpp) == (16, 0.5)
    assert model.appearance.to_dict()["name"] == "none"
    about = json.loads((classifier_folder / "classifier.json").read_text())
    about["normalizer"] = {"name": "macenko", "options": {}, "target": None}
    (classifier_folder / "classifier.json").write_text(json.dumps(about))
    assert load_model(classifier_folder).appearance.to_dict()["name"] == "macenko"
    assert load_model(classifier_folder, method="none").space != load_model(classifier_folder).space


def test_a_folder_that_cannot_be_written(classifier_folder: Path, tiles: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        classify_paths([tiles], load_model(classifier_folder), Wanted(tmp_path / "file" / "out"))
