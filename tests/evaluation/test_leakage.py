"""The verdict: planted leaks are found, and what is no leak is left alone."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from histokin.errors import UsageError
from histokin.evaluation.coarse_color import coarse_accuracy, nearest_accuracy
from histokin.evaluation.embedding_duplicates import near_copies, nearest_rows
from histokin.evaluation.leakage import Side, leakage_verdict, same_pictures, shared_verdict, side, side_of
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


def cropped(image: RGB, share: float = 0.025) -> RGB:
    """Without a border, and as large as before."""
    cut = round(image.shape[0] * share)
    inner = np.ascontiguousarray(image[cut:-cut, cut:-cut])
    return np.asarray(cv2.resize(inner, image.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_planted_crop_is_found_mirrored_turned_and_recompressed(turn: int) -> None:
    images = [tissue(224, 224, seed=seed) for seed in range(8)]
    copy = recompressed(cropped(np.ascontiguousarray(np.rot90(images[5][:, ::-1], turn))))
    found = leakage_verdict(made(images), made([*pictures(5, 100), copy]))
    assert [(f.kind, f.examples) for f in found.findings] == [("cropped", (("5", "5"),))]


def test_little_on_an_empty_ground_is_no_copy() -> None:
    empty = [np.full((64, 64, 3), 20, np.uint8) for _ in range(2)]
    empty[0][30:, 10:12] = 180
    empty[1][20:, 12:14] = 180
    assert near_copies(made(empty[:1]).details, made(empty[1:]).details, np.array([[0]])) == []


def test_a_crop_that_may_not_answer_does_not_leak() -> None:
    images = [tissue(224, 224, seed=seed) for seed in range(6)]
    images.append(cropped(images[0]))
    archive = made(images)
    assert [f.kind for f in leakage_verdict(archive, None).findings] == ["cropped"]
    groups = np.array([0, 1, 2, 3, 4, 5, 0])
    assert not leakage_verdict(archive, None, apart=(groups, groups)).leaks
    copies = made([*images[:6], images[0]])
    assert [f.kind for f in leakage_verdict(copies, None).findings] == ["duplicate"]
    assert not leakage_verdict(copies, None, apart=(groups, groups)).leaks


def test_what_vectors_propose_is_looked_at() -> None:
    images = [tissue(224, 224, seed=seed) for seed in range(3)]
    archive, queries = made(images).details, made([cropped(images[2])]).details
    assert near_copies(archive, queries, np.array([[0, 1]])) == []
    assert near_copies(archive, queries, np.array([[-1, 2]])) == [(0, 2)]
    vectors = np.eye(3, dtype=np.float32)
    assert nearest_rows(vectors, vectors[[2]], "euclidean", None, 1).tolist() == [[2]]
    own = (np.array([0, 1, 2]), np.array([2]))
    assert nearest_rows(vectors, vectors[[2]], "euclidean", own).tolist() == [[0, 1, -1]]


def test_a_verdict_from_columns_alone_says_that_nothing_was_seen() -> None:
    shared = shared_verdict([{"patient": "p"}, {"patient": "q"}], [{"patient": "q"}])
    assert shared.headline.startswith("LEAKS")
    alone = shared_verdict([{"patient": "p"}], [{"patient": "q"}])
    assert not alone.leaks
    assert "no pictures" in alone.headline


def test_a_missing_picture_is_named() -> None:
    with pytest.raises(UsageError, match="no picture of b"):
        side_of(["a", "b"], ["x", "y"], [(0, pictures(1)[0])])


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
    crc5 = from_folders(shared_data / "crc5", {name: name for name in ("AC", "H", "S", "T", "V")}, every=4)
    within = leakage_verdict(crc5, None)
    assert "color" in [finding.kind for finding in within.findings]
    two = from_folders(shared_data / "crc5", {"AC": "AC", "H": "H"}, every=2)
    colon = from_folders(shared_data / "lc25000-colon-768", {"colon_aca": "AC", "colon_n": "H"})
    assert not leakage_verdict(two, colon).leaks
    planted = [
        np.asarray(cv2.imread(str(path)), np.uint8) for path in sorted((shared_data / "crc5" / "H").iterdir())[:40:2]
    ]
    crops = side([f"crop {i}" for i in range(20)], ["H"] * 20, [cropped(image) for image in planted])
    (found,) = leakage_verdict(two, crops).findings
    assert found.kind == "cropped"
    assert found.count >= 19
    names = [path.name for path in sorted((shared_data / "medical-mnist").iterdir()) if path.is_dir()]
    assert not leakage_verdict(from_folders(shared_data / "medical-mnist", {n: n for n in names}, every=3), None).leaks
