"""A run that is killed at any moment leaves whole items only, and running again completes it."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from histokin.retrieval.archive import Archive

KILLS = int(os.environ.get("HISTOKIN_KILLS", "4"))


def _command(tiles: Path, archive: Path) -> list[str]:
    options = ["--encoder", "color-histogram", "--normalizer", "none", "--threads", "1"]
    return [sys.executable, "-m", "histokin", "index", str(tiles), "-a", str(archive), *options]


def _content(archive: Path) -> dict[str, tuple[object, ...]]:
    """Everything that matters, by path."""
    opened = Archive.open(archive)
    snapshot = opened.searcher().snapshot
    places = {source.path: np.flatnonzero(snapshot.source_index == i) for i, source in enumerate(snapshot.sources)}
    return {
        source.path: (
            source.digest,
            source.label,
            source.counts,
            snapshot.boxes[places[source.path]].tobytes(),
            np.asarray(snapshot.vectors[places[source.path]]).tobytes(),
            tuple(opened.store.crops(places[source.path])),
        )
        for source in snapshot.sources
    }


@pytest.fixture(scope="module")
def many(tile_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve folders, so that a run has twelve items to commit."""
    root = tmp_path_factory.mktemp("many")
    for i in range(12):
        folder = root / f"folder{i:02d}"
        folder.mkdir()
        for path in sorted(tile_set.rglob("*.png"))[2 * i : 2 * i + 2]:
            (folder / path.name).write_bytes(path.read_bytes())
    return root


def _killed(command: list[str], seconds: float) -> bool:
    """Start a run and kill it after so long; False where it was done before."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def test_kill_at_random_moments(many: Path, tmp_path: Path) -> None:
    whole = 0.0
    for name in ("warm", "undisturbed"):  # the first run may wait for the disk; the second tells how long one takes
        began = time.monotonic()
        subprocess.run(_command(many, tmp_path / name), check=True, capture_output=True)
        whole = time.monotonic() - began
    undisturbed = _content(tmp_path / "undisturbed")
    moments = random.Random(0)
    caught = 0
    for i in range(KILLS):
        archive = tmp_path / f"killed{i}"
        caught += _killed(_command(many, archive), moments.uniform(0.4, 0.95) * whole)
        if (archive / "archive.json").exists():
            held = _content(archive)
            for folder in many.iterdir():
                inside = [path for path in held if Path(path).parent == folder]
                assert len(inside) in (0, 2), "half an item"
        again = subprocess.run(_command(many, archive), check=False, capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        assert _content(archive) == undisturbed
    assert caught
