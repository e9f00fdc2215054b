"""Tables on disk: the same bytes back, and a computed table whatever happens to a file."""

import gc
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest

from histokin.stain import table_cache
from histokin.stain.color_map import ColorMap
from histokin.stain.color_table import CACHED_PAYS, COLORS, TABLE_PAYS
from histokin.types import RGB


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(table_cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "tables"


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    return np.random.default_rng(0).integers(255 << 24, 1 << 32, COLORS, np.uint32)


@final
@dataclass(frozen=True, eq=False)
class Inverted(ColorMap):
    """A map whose table is kept; it counts the colors it computes."""

    counted: list[int] = field(default_factory=list)

    @property
    def space(self) -> str:
        return "inverted"

    @property
    def cache_key(self) -> str | None:
        return "inverted-1"

    def colors(self, image: RGB) -> RGB:
        self.counted.append(image.size // 3)
        return 255 - image

    def to_dict(self) -> dict[str, Any]:
        return {"method": "inverted"}


def one_file(cache: Path) -> Path:
    (path,) = cache.iterdir()
    return path


def test_a_table_comes_back(cache: Path, table: np.ndarray) -> None:
    assert table_cache.load("a") is None
    assert table_cache.store("a", table)
    back = table_cache.load("a")
    assert back is not None
    assert np.array_equal(back, table)
    assert table_cache.load("b") is None
    assert table_cache.kept() == (1, one_file(cache).stat().st_size)


@pytest.mark.parametrize("harm", ["cut", "longer", "flipped", "header", "empty"])
def test_a_damaged_table_is_no_table(cache: Path, table: np.ndarray, harm: str) -> None:
    table_cache.store("a", table)
    path = one_file(cache)
    data = bytearray(path.read_bytes())
    if harm == "flipped":
        data[len(data) // 2] ^= 1
    elif harm == "header":
        data[40] ^= 1
    harmed = {"cut": data[:-4], "longer": data + b"x", "empty": bytearray()}
    path.write_bytes(harmed.get(harm, data))
    assert table_cache.load("a") is None
    assert not path.exists()


def test_a_table_of_another_key_is_not_taken(cache: Path, table: np.ndarray) -> None:
    table_cache.store("a", table)
    path = one_file(cache)
    table_cache.store("b", table)
    (other,) = set(cache.iterdir()) - {path}
    path.replace(other)
    assert table_cache.load("b") is None


def test_a_folder_that_cannot_be_written_is_no_error(cache: Path, table: np.ndarray) -> None:
    cache.parent.write_text("a file where the folder should be")
    assert not table_cache.store("a", table)
    assert table_cache.load("a") is None
    assert table_cache.kept() == (0, 0)
    image = np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8)
    assert np.array_equal(Inverted().compiled(TABLE_PAYS)(image), 255 - image)


def test_a_full_disk_leaves_nothing_behind(cache: Path, table: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    assert not table_cache.store("a", table)
    assert not list(cache.iterdir())


def test_few_tables_are_kept_and_the_latest(cache: Path, table: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_cache, "MOST", 2)
    for age, key in enumerate(("a", "b")):
        table_cache.store(key, table)
        newest = max(cache.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (1000 + age, 1000 + age))
    assert table_cache.load("a") is not None  # used today
    table_cache.store("c", table)
    assert table_cache.load("b") is None
    assert table_cache.load("a") is not None
    assert table_cache.load("c") is not None


def test_a_map_with_a_key_learns_once(cache: Path) -> None:
    image = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    first, second, third = Inverted(), Inverted(), Inverted()
    assert first.compiled(CACHED_PAYS) is first  # nothing kept yet, and too little to do for a table
    prepared = first.compiled(TABLE_PAYS)
    assert np.array_equal(prepared(image), 255 - image)
    learned = sum(first.counted)
    assert 0 < learned < COLORS
    assert not cache.exists()
    del prepared
    gc.collect()
    again = second.compiled(CACHED_PAYS)
    assert np.array_equal(again(image), 255 - image)
    assert not second.counted
    other = np.random.default_rng(2).integers(0, 256, (200, 200, 3), np.uint8)
    assert np.array_equal(again(other), 255 - other)
    assert sum(second.counted)
    del again
    gc.collect()
    assert np.array_equal(
        third.compiled(CACHED_PAYS)(np.concatenate([image, other])), 255 - np.concatenate([image, other])
    )
    assert not third.counted
    assert second.compiled(CACHED_PAYS - 1) is second


def test_a_damaged_file_is_learned_anew(cache: Path) -> None:
    image = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    Inverted().compiled(TABLE_PAYS)(image)
    gc.collect()
    path = one_file(cache)
    path.write_bytes(path.read_bytes()[:-1])
    again = Inverted()
    assert np.array_equal(again.compiled(TABLE_PAYS)(image), 255 - image)
    assert again.counted
    gc.collect()
    assert table_cache.load("inverted-1") is not None
