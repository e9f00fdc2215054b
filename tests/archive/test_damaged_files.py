"""Damaged, foreign, missing and read-only archives are named, never met with somebody else's traceback."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histokin.archive.store import Store
from histokin.errors import ArchiveError, ArchiveFormat, ArchiveMissing

Make = Callable[..., Any]


@pytest.fixture
def full(store: Store, make_source: Make, make_batch: Make) -> Store:
    store.commit([make_source("a"), make_source("b")], [make_batch([0, 1, 1])])
    return store


def test_no_archive(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(ArchiveMissing, match="no archive there"):
            Store.open(path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "7", '"x"', "{}", '{"format": 1}', "\xff", '{"format": 1, "dim": "4"}']
)
def test_damaged_description(full: Store, text: str) -> None:
    (full.path / "archive.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ArchiveFormat, match="damaged"):
        Store.open(full.path)


@pytest.mark.parametrize(("name", "value"), [("dim", 0), ("dim", "4"), ("metric", "manhattan"), ("recipe", None)])
def test_nonsense_in_the_description(full: Store, name: str, value: object) -> None:
    file = full.path / "archive.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))
    with pytest.raises(ArchiveFormat, match="damaged"):
        Store.open(full.path)


def test_another_format(full: Store) -> None:
    file = full.path / "archive.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    with pytest.raises(ArchiveFormat, match="format 99, this version of histokin reads formats 1 and 2"):
        Store.open(full.path)


@pytest.mark.parametrize("name", ["slides.lance", "patches.lance"])
def test_a_table_is_missing(full: Store, name: str) -> None:
    shutil.rmtree(full.path / name)
    with pytest.raises(ArchiveFormat, match=name):
        Store.open(full.path)


@pytest.mark.parametrize("damage", ["empty", "garbage", "cut", "gone"])
@pytest.mark.parametrize("kind", ["data", "_versions"])
@pytest.mark.parametrize("name", ["slides.lance", "patches.lance"])
def test_damaged_tables(full: Store, name: str, kind: str, damage: str) -> None:
    for file in (full.path / name / kind).iterdir():
        content = file.read_bytes()
        if damage == "gone":
            file.unlink()
        else:
            file.write_bytes(
                {"empty": b"", "garbage": os.urandom(len(content)), "cut": content[: len(content) // 2]}[damage]
            )
    opened = Store.open(full.path)
    with pytest.raises(ArchiveError):
        opened.snapshot()


@pytest.mark.parametrize("damage", ["empty", "garbage", "cut", "gone"])
@pytest.mark.parametrize("name", ["sources.json", "vectors.npy", "starts.npy", "flags.npy"])
def test_a_damaged_cache_is_made_again(full: Store, name: str, damage: str) -> None:
    before = full.snapshot()
    vectors, sources = before.vectors.tolist(), before.sources
    file = before.folder / name
    content = file.read_bytes()
    del before
    file.unlink()
    if damage != "gone":
        file.write_bytes({"empty": b"", "garbage": b"\0" * len(content), "cut": content[:-1]}[damage])
    again = Store.open(full.path).snapshot()
    assert again.vectors.tolist() == vectors
    assert again.sources == sources


def test_a_cache_that_cannot_be_made_there(full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (full.path / "cache").write_text("a file in the way")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    snapshot = full.snapshot()
    assert snapshot.folder.parent == elsewhere
    assert snapshot.vectors.shape == (3, 4)


def test_half_built_snapshots_of_the_dead_are_removed(full: Store) -> None:
    dead, alive = full.path / "cache" / ".building-dead", full.path / "cache" / ".building-alive"
    for folder in (dead, alive):
        folder.mkdir(parents=True)
    os.utime(dead, (1, 1))
    full.snapshot()
    assert not dead.exists()
    assert alive.exists()


READ_ONLY = """
import fcntl, mmap, os, socket, sys
from pathlib import Path
import numpy as np
from histokin.archive import tables
from histokin.archive.store import Store
from histokin.errors import ArchiveError
os.setuid(65534)
store = Store.open(Path(sys.argv[1]))
snapshot = store.snapshot()
assert snapshot.vectors.shape == (3, 4)
assert store.crops(np.array([0])) == [b"crop 1.0 0"]
try:
    with store.writer():
        pass
except ArchiveError as error:
    print(error)
print(snapshot.folder)
"""


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become nobody")
def test_a_read_only_archive_is_searched_and_not_written(full: Store) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        shutil.copytree(full.path, place / "archive")
        run = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(place / "archive")], capture_output=True, text=True, check=False
        )
        if "ModuleNotFoundError" in run.stderr or "PermissionError" in run.stderr:
            pytest.skip("nobody may not read this installation")
        assert run.returncode == 0, run.stderr
        message, cache = run.stdout.splitlines()
        assert "cannot be written to (Permission denied)" in message
        assert not Path(cache).exists()


def test_writing_fails_by_name(full: Store, make_source: Make, make_batch: Make) -> None:
    shutil.rmtree(full.path / "patches.lance" / "_versions")
    with pytest.raises(ArchiveError):
        full.commit([make_source("c")], [make_batch([0])])
    assert len(full.sources()) == 2
    assert np.array(full.snapshot_rows()[2]).tolist() == [1, 2]
