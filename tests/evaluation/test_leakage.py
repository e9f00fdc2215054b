"""The verdict: planted leaks are found, and what is no leak is left alone."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from histokin.evaluation.coarse_color import coarse_accuracy, nearest_accuracy
from histokin.evaluation.leakage import Side, leakage_verdict, same_pictures, side
from histokin.testing.slides import tissue
from histokin.types import RGB


def pictures(count: int, start: int = 0) -> list[RGB]:
    return [tissue(96, 96, seed=start + i) for i in range(count)]


def made(images: list[RGB], **columns: list[str]) -> Side:
    rows = [{name: values[i] for name, values in columns.items()} for i in range(len(images))]
    return side([str(i) for i in range(len(images))], ["ab"[i % 2] for i in range(len(images))], images, rows)


def recompressed(image: RGB) -> RGB:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("flip", [False, True])
def test_a_planted_copy_is_found_however_it_is_turned(turn: int, flip: bool) -> None:
    archive = made(pictures(12))
    copy = recompressed(np.ascontiguousarray(np.rot90(pictures(12)[4], turn)))
    queries = made([*pictures(5, 100), copy[:, ::-1] if flip else copy])
    found = leakage_verdict(archive, queries)
    assert found.leaks
    assert [f.kind for f in found.findings] == ["duplicate"]
    assert found.findings[0].examples == (("5", "4"),)
    assert found.headline.startswith("LEAKS")


def test_within_one_set_a_pair_is_named_once() -> None:
    images = [*pictures(6), pictures(1)[0][:, ::-1]]
    assert same_pictures(made(images).thumbs, None) == [(0, 6)]


def test_blank_pictures_are_not_copies_of_each_other() -> None:
    blank = [np.full((64, 64, 3), level, np.uint8) for level in (240, 241, 250)]
    assert same_pictures(made(blank).thumbs, None) == []


def test_a_shared_patient_is_found_and_named() -> None:
    archive = made(pictures(6), patient=["p1", "p1", "p2", "p2", "p3", "p3"])
    queries = made(pictures(3, 50), patient=["p9", "p3", "p8"])
    found = leakage_verdict(archive, queries)
    assert [(f.kind, f.count) for f in found.findings] == [("shared", 1)]
    assert "p3" in found.headline
    assert not leakage_verdict(archive, queries, groups=()).leaks
    assert leakage_verdict(archive, None).findings[0].count == 6
    apart = made(pictures(2, 70), patient=["p7", "p8"])
    assert not leakage_verdict(archive, apart).leaks
    assert leakage_verdict(archive, apart).headline.startswith("No leak found")


def test_slides_told_by_their_color_are_told_from_classes_that_differ_in_color() -> None:
    rng = np.random.default_rng(0)
    slides = rng.normal(size=(80, 8)).astype(np.float32)
    tiles = np.repeat(slides, 5, axis=0) + rng.normal(scale=0.02, size=(400, 8)).astype(np.float32)
    labels = np.repeat(rng.permutation(np.repeat(["a", "b"], 40)), 5)
    assert nearest_accuracy(tiles, labels) == 1
    assert coarse_accuracy(tiles, labels) < 0.85
    classes = np.repeat(["a", "b"], 150)
    apart = rng.normal(size=(300, 8)).astype(np.float32) + (classes == "b")[:, None].astype(np.float32) * 3
    assert coarse_accuracy(apart, classes) > 0.97
    assert coarse_accuracy(apart[::2], classes[::2], (apart[1::2], classes[1::2])) > 0.97


def from_folders(folder: Path, names: dict[str, str], every: int = 1) -> Side:
    paths = [(path, label) for name, label in names.items() for path in sorted((folder / name).iterdir())[::every]]
    images = [np.asarray(cv2.imread(str(path)), np.uint8) for path, _ in paths]
    return side([path.name for path, _ in paths], [label for _, label in paths], images)


def test_real_sets(shared_data: Path) -> None:
    crc5 = from_folders(shared_data / "crc5", {name: name for name in ("AC", "H", "S", "T", "V")}, every=2)
    within = leakage_verdict(crc5, None)
    assert "color" in [finding.kind for finding in within.findings]
    two = from_folders(shared_data / "crc5", {"AC": "AC", "H": "H"}, every=2)
    colon = from_folders(shared_data / "lc25000-colon-768", {"colon_aca": "AC", "colon_n": "H"})
    assert not leakage_verdict(two, colon).leaks
    names = [path.name for path in sorted((shared_data / "medical-mnist").iterdir()) if path.is_dir()]
    assert not leakage_verdict(from_folders(shared_data / "medical-mnist", {n: n for n in names}, every=3), None).leaks
