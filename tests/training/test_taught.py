"""What a teacher made: mapped once, and the same from memory and from disk."""

from pathlib import Path

import numpy as np
import pytest

from histokin.errors import UnreadableFile
from histokin.stain.macenko import Macenko
from histokin.stain.unchanged import Unchanged
from histokin.testing.appearance import synthetic_he
from histokin.training import images, taught
from histokin.training.images import ImageSet, from_arrays
from histokin.training.report import Moment
from histokin.training.taught import Taught


def sources() -> ImageSet:
    return from_arrays("a", [synthetic_he(px=32, seed=i, gain=(0.7, 1.3)) for i in range(4)])


def test_memory_and_disk_hold_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = sources()
    mapping = Macenko().fit([given.load(i) for i in range(4)])
    told: list[Moment] = []
    held = Taught(given, mapping, tmp_path, told.append)
    assert [(moment.phase, moment.done, moment.planned) for moment in told] == [("teacher", i, 4) for i in (1, 2, 3, 4)]
    files = sorted(tmp_path.rglob("*.png"))
    before = [file.stat().st_mtime_ns for file in files]
    monkeypatch.setattr(taught, "KEPT_BYTES", 0)
    from_disk = Taught(given, mapping, tmp_path)
    for i in range(4):
        for held_one, disk_one in zip(held.pair(i), from_disk.pair(i), strict=True):
            assert np.array_equal(held_one, disk_one)
        assert np.array_equal(held.pair(i)[1], mapping(given.load(i)))
    assert [file.stat().st_mtime_ns for file in files] == before
    files[0].unlink()
    with pytest.raises(UnreadableFile, match="gone"):
        from_disk.first(4)


def test_answers_of_another_teacher_are_not_taken_for_these(tmp_path: Path) -> None:
    given = sources()
    Taught(given, Macenko().fit([given.load(0)]), tmp_path)
    plain = Taught(given, Unchanged("raw"), tmp_path)
    assert all(np.array_equal(*plain.pair(i)) for i in range(4))
    assert len(list(tmp_path.iterdir())) == 2


def test_images_beyond_memory_are_read_again(tile_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = images.read_images(tile_set, most=3)
    monkeypatch.setattr(images, "KEPT_BYTES", 0)
    again = images.read_images(tile_set, most=3)
    assert again.digest == held.digest
    assert all(np.array_equal(held.load(i), again.load(i)) for i in range(3))
