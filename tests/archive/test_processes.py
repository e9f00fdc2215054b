"""Several processes, and processes that die."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from histokin.archive.store import Store
from histokin.errors import ArchiveBusy

WRITER = """
import sys
from pathlib import Path
import numpy as np
from histokin.archive.records import PatchBatch, Source
from histokin.archive.store import Store

ITEMS, PATCHES = 12, 500
store = Store.open(Path(sys.argv[1]))

def batches(item):
    for part in range(2):
        vectors = np.full((PATCHES // 2, 8), item, np.float32)
        vectors[:, 1] = np.arange(PATCHES // 2) + part * (PATCHES // 2)
        n, source = len(vectors), np.zeros(len(vectors), np.int32)
        yield PatchBatch(source, np.zeros((n, 4), np.int32), np.ones(n, np.float32), [""] * n, vectors, None)

with store.writer():
    print("writing", flush=True)
    there = {source.path for source in store.sources()}
    for item in range(ITEMS):
        path = f"/slides/{item}"
        if path in there:
            continue
        source = Source(f"id{item}", "slide", path, str(item), "d", 1, 1, 9, 9, 0.5, None, {}, "g", {}, {})
        store.commit([source], batches(item))
        print("done", path, flush=True)
    if "--wait" in sys.argv:
        sys.stdin.read()
"""


def write(path: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), *options],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )


def made(path: Path) -> Store:
    return Store.create(path, {}, dim=8, metric="euclidean")


def content(path: Path) -> dict[str, bytes]:
    """Vectors by path; every source there is must be whole."""
    snapshot = Store.open(path).snapshot()
    found = {}
    for i, source in enumerate(snapshot.sources):
        vectors = snapshot.vectors[snapshot.starts[i] : snapshot.starts[i + 1]]
        assert vectors.shape == (500, 8)
        found[source.path] = vectors.tobytes()
    return found


def finish(path: Path) -> None:
    with write(path) as process:
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_killed_writer_leaves_whole_items_and_can_be_repeated(tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    made(undisturbed)
    finish(undisturbed)
    expected = content(undisturbed)
    assert len(expected) == 12
    chance = random.Random(7)
    archive = tmp_path / "killed"
    made(archive)
    for kill in range(8):
        with write(archive) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            time.sleep(chance.uniform(0, 0.25))
            process.kill()
            told = {line.split()[1] for line in process.stdout if line.startswith("done ") and line.endswith("\n")}
        after = content(archive)
        assert told <= set(after)
        assert all(expected[path] == vectors for path, vectors in after.items())
        if len(after) == 12 and kill < 7:
            archive = tmp_path / f"killed{kill}"
            made(archive)
    finish(archive)
    assert content(archive) == expected
    store = Store.open(archive)
    with store.writer():
        store.compact()
    assert content(archive) == expected


def test_readers_see_whole_items_while_another_process_writes(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    store = made(archive)
    with write(archive, "--wait") as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(ArchiveBusy, match=f"process {process.pid} on "), store.writer():
            pass
        seen = [0]
        while seen[-1] < 12 and process.poll() is None:
            seen.append(len(content(archive)))
            assert len(store.snapshot().sources) >= seen[-1]
        assert seen == sorted(seen)
        process.communicate("", timeout=60)
    assert len(content(archive)) == 12
    with store.writer():
        pass
