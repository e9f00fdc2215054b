"""Images to train on: nothing is left out without being named."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from histokin.errors import UsageError
from histokin.training.batches import Crops, crop_corner, random_crops, to_images, to_planes
from histokin.training.images import ImageSet, from_arrays, read_images
from histokin.training.schedules import constant_then_linear, cosine


def folder_of(root: Path, count: int, px: int = 40) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(count)
    for i in range(count):
        assert cv2.imwrite(str(root / f"{i:02d}.png"), draws.integers(0, 256, (px, px, 3), dtype=np.uint8))
    return root


def test_broken_and_small_images_are_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", 5)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"garbage" * 9)
    (folder / "empty.jpg").write_bytes(b"")
    assert cv2.imwrite(str(folder / "small.png"), np.zeros((8, 90, 3), np.uint8))
    found = read_images(folder, least_px=32)
    assert len(found) == 5
    assert sorted(Path(error.path or "").name for error in found.failed) == ["broken.png", "empty.jpg", "small.png"]
    assert all(error.remedy for error in found.failed)


def test_nothing_usable_gives_the_cause(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\ngarbage")
    with pytest.raises(UsageError, match=r"no image to train on: .*broken\.png"):
        read_images(tmp_path / "a")
    with pytest.raises(UsageError, match="no image to train on"):
        read_images(tmp_path / "nowhere")


def test_table_gives_groups_and_splits(tmp_path: Path) -> None:
    folder_of(tmp_path / "tiles", 4)
    table = tmp_path / "a.csv"
    lines = ["path,group,split", "tiles/00.png,s1,train", "tiles/01.png,s1,train", "tiles/02.png,s2,val"]
    table.write_text("\n".join([*lines, "tiles/03.png,s3,test", "tiles/04.png,s3,test"]))
    found = read_images(table)
    assert found.name == "a"
    assert found.groups == ("s1", "s1", "s2", "s3")
    assert [len(part) for part in found.split(0)] == [2, 1, 1]
    assert [Path(error.path or "").name for error in found.failed] == ["04.png"]


def test_groups_are_never_divided() -> None:
    images = [np.full((4, 4, 3), i, np.uint8) for i in range(60)]
    found = from_arrays("a", images, [f"slide-{i % 12}" for i in range(60)])
    parts = found.split(3)
    assert sum(map(len, parts)) == 60
    assert len(parts[1]) == len(parts[2]) == 5
    slides = [set(part.groups) for part in parts]
    assert len(set.union(*slides)) == sum(map(len, slides)) == 12
    assert [part.names for part in found.split(3)] == [part.names for part in parts]
    assert [part.names for part in found.split(4)] != [part.names for part in parts]


def test_too_few_to_hold_any_out() -> None:
    with pytest.raises(UsageError, match="2 images"):
        from_arrays("a", [np.zeros((4, 4, 3), np.uint8)] * 2).split(0)


def test_most_are_spread_and_the_digest_is_of_the_pixels(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", 9)
    few = read_images(folder, most=3)
    assert [Path(name).name for name in few.names] == ["00.png", "04.png", "08.png"]
    held = from_arrays("b", [few.load(i) for i in range(3)])
    assert held.digest == few.digest != read_images(folder).digest
    assert few.thinned(1).digests == few.digests[:1]


def test_an_epoch_sees_every_image_once_and_steps_repeat() -> None:
    crops = Crops(10, 4, seed=5)
    assert crops.steps_per_epoch == 3
    epochs = [[place for step in range(3 * e, 3 * e + 3) for place in crops.places(step)] for e in (0, 1)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
    again = Crops(10, 4, seed=5)
    assert again.places(7) == crops.places(7)
    assert again.draws(7).random() == crops.draws(7).random() != crops.draws(8).random()


def test_crops_lie_within_the_image() -> None:
    gradient = np.stack(np.meshgrid(np.arange(50), np.arange(40)), -1).astype(np.uint8)
    image = np.dstack([gradient, np.zeros((40, 50), np.uint8)])
    images: ImageSet = from_arrays("a", [image])
    batch = random_crops(images, [0] * 40, 16, np.random.default_rng(0))
    assert batch.shape == (40, 3, 16, 16)
    steps = np.diff(to_images(batch)[0].astype(int)[0, :, 0])
    assert set(steps) in ({1}, {-1})
    corners = {crop_corner(image, 40, np.random.default_rng(i)) for i in range(200)}
    assert {top for top, _ in corners} == {0}
    assert {left for _, left in corners} == set(range(11))


def test_planes_and_back_are_the_same_levels() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    planes = to_planes([levels])
    assert (planes.min(), planes.max()) == (-1.0, 1.0)
    assert np.array_equal(to_images(planes)[0], levels)


def test_learning_rates_at_known_epochs() -> None:
    assert [constant_then_linear(e, 100, 100) for e in (0, 50, 100, 150, 200)] == [1.0, 1.0, 1.0, 0.5, 0.0]
    assert cosine(0, 300) == 1.0
    assert cosine(150, 300) == pytest.approx(0.5)
    assert cosine(300, 300) == pytest.approx(0.0)
