"""Forty broken inputs and two good slides in one run: both are searchable, every bad one is named."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histokin.testing import slides as make

PARTS = (0.01, 0.2, 0.6, 0.95)
SUFFIXES = ("svs", "tif", "png", "jpg", "dcm", "ndpi")


def _whole(path: Path) -> Path:
    pixels = make.section(700, 700)
    if path.suffix == ".svs":
        return make.write_svs(path, pixels)
    if path.suffix == ".tif":
        return make.write_ome(path, pixels)
    Image.fromarray(pixels).save(path)
    return path


def _cut(path: Path, part: float) -> None:
    _whole(path)
    os.truncate(path, max(1, int(path.stat().st_size * part)))


def _tagged(path: Path, tag: str, value: int) -> None:
    _whole(path)
    make.overwrite(path, make.tag_position(path, tag), struct.pack("<I", value))


def _break_everything(folder: Path) -> list[Path]:
    """About forty inputs, none of which can be used."""
    rng = np.random.default_rng(0)
    for kind in ("svs", "ome.tif", "png", "jpg"):
        for part in PARTS:
            _cut(folder / f"cut_{int(100 * part)}.{kind}", part)
    for suffix in SUFFIXES:
        (folder / f"garbage.{suffix}").write_bytes(rng.bytes(20_000))
        (folder / f"empty.{suffix}").touch()
    _whole(folder / "p.png").rename(folder / "really_png.svs")
    _whole(folder / "s.svs").rename(folder / "really_tiff.jpg")
    (folder / "text.svs").write_text("slide,label\n")
    _tagged(folder / "wide.svs", "ImageWidth", 65_535)
    _tagged(folder / "high.svs", "ImageLength", 900_000)
    make.write_svs(folder / "no_mpp.svs", make.section(700, 700), mpp=None)
    make.write_svs(folder / "coarse.svs", make.section(700, 700), mpp=4.0)
    make.write_svs(folder / "small.svs", make.tissue(100, 100))
    make.write_svs(folder / "blank.svs", make.glass(900, 900))
    make.write_svs(folder / "ink.svs", make.with_pen(make.glass(900, 900), "blue", (100, 100, 700, 300)))
    Image.new("RGB", (300, 300), "white").save(folder / "white.png")
    (folder / "directory.svs").mkdir()
    os.mkfifo(folder / "pipe.svs")
    (folder / "nowhere.svs").symlink_to(folder / "gone.svs")
    (folder / "loop.svs").symlink_to(folder / "loop.svs")
    return sorted(folder.iterdir())


def _without_privilege() -> list[str]:
    """Root may read everything: give that up, so that a file without permission is one."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root reads files without permission, and setpriv is not here to give that up")
    drop = "-dac_override,-dac_read_search"
    return ["setpriv", "--bounding-set", drop, "--inh-caps", drop]


def test_forty_broken_inputs_and_two_good_slides(tmp_path: Path) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    broken = _break_everything(folder)
    good = [make.write_svs(folder / f"good{i}.svs", make.tissue(1000, 1000, seed=i)) for i in (1, 2)]
    secret = _whole(folder / "secret.svs")
    secret.chmod(0)
    broken.append(secret)
    assert len(broken) >= 40
    program = [*_without_privilege(), sys.executable, "-m", "histokin"]
    # Named one by one and found in their folder: the same failures, each once.
    named = [str(path) for path in broken if path.is_dir()]
    done = subprocess.run(
        [*program, "index", str(folder), *named, "-a", str(tmp_path / "archive"), "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    failed = [Path(failure["path"]).name for failure in report["failed"]]
    assert sorted(failed) == sorted(path.name for path in broken)
    assert all(failure["reason"] and failure["remedy"] for failure in report["failed"])
    assert report["slides"] == 2
    for path, other in (good, good[::-1]):
        query = [*program, "search", "-a", str(tmp_path / "archive"), "--slide", str(path), "--json"]
        answer = json.loads(subprocess.run(query, capture_output=True, text=True, check=True).stdout)
        assert [hit["slide"] for hit in answer["hits"]] == [str(other)]
