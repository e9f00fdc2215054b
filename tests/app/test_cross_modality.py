"""Sub-image search across microscopes on the command line, on real brightfield and second-harmonic cores."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from histokin.app.cli import cli
from histokin.retrieval.archive import Archive

KILLS = int(os.environ.get("HISTOKIN_KILLS", "2"))
CORES = ("1B_A1", "1B_B7", "1B_D2", "X01Y05", "X03Y07", "sa stroma pancreas 2000 - 16", "sa stroma pancreas 2000 - 29")


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def run_json(*args: object, status: int = 0) -> Any:
    result = run(*args, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def cores(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven cores: ``he`` and ``shg``, at half their size to save time, and the middle of each in ``part``."""
    root = tmp_path_factory.mktemp("cores")
    pairs = shared_data / "bf-shg"
    for kind, folder, ending in (("he", "he_aligned_derived", "png"), ("shg", "shg", "tif")):
        (root / kind).mkdir()
        for name in CORES:
            image = cv2.imread(str(pairs / folder / f"{name}.{ending}"), cv2.IMREAD_UNCHANGED)
            small = cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA)
            assert cv2.imwrite(str(root / kind / f"{name}.{ending}"), small)
    (root / "part").mkdir()
    for name in CORES:
        image = cv2.imread(str(root / "he" / f"{name}.png"))
        assert image is not None
        assert cv2.imwrite(str(root / "part" / f"{name}.png"), image[100:200, 60:160])
    return root


@pytest.fixture(scope="module")
def archive(cores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "a"
    made = run(
        "index", cores / "he", "-a", path, "--representation", "none", "--encoder", "bag-of-words", "--words", 1000
    )
    assert made.exit_code == 0, made.output
    assert "7 indexed (7 patches), 0 unchanged, 0 failed in" in made.stdout
    return path


def names(answer: dict[str, Any]) -> list[str]:
    return [Path(hit["slide"]).stem for hit in answer["hits"]]


def test_parts_of_cores_find_their_cores(archive: Path, cores: Path) -> None:
    found = 0
    for name in CORES:
        answer = run_json("search", "-a", archive, "--image", cores / "part" / f"{name}.png", "--method", "paper")
        found += names(answer)[0] == name
        place = answer["hits"][0]["place"]
        assert (place["width"], place["height"], place["angle"]) == (100, 100, 0)
        assert answer["query"]["modality"] == "brightfield"
        assert "3 hits were ranked again, not 15" in answer["warnings"][0]
    assert found >= 3  # of 7; by chance 1


def test_a_second_harmonic_query_and_its_page(archive: Path, cores: Path, tmp_path: Path) -> None:
    query = cores / "shg" / "1B_B7.tif"
    page = tmp_path / "page.html"
    options = ("--modality", "shg", "-k", 7, "--rerank", 2, "--vocabulary", "rebuild", "--html", page)
    answer = run_json("search", "-a", archive, "--image", query, *options)
    assert sorted(names(answer)) == sorted(CORES)
    assert answer["query"]["modality"] == "shg"
    assert answer["recipe"]["representation"]["space"] == "raw"
    assert [hit["place"] is None for hit in answer["hits"]] == [False] * 2 + [True] * 5
    assert any("a comparator, not a method" in warning for warning in answer["warnings"])
    html = page.read_text()
    assert "the query's representation" in html
    assert len(re.findall("the representation of hit", html)) == 7
    assert "<dd>shg</dd>" in html
    assert "turned 0.0°" in html


def test_an_archive_of_second_harmonic_images(archive: Path, cores: Path, tmp_path: Path) -> None:
    path = tmp_path / "shg"
    vocabulary = f"bag-of-words={archive / 'learned-encoder'}"
    options = ("--modality", "shg", "--representation", "none", "--encoder", vocabulary)
    assert run("index", cores / "shg", "-a", path, *options).exit_code == 0
    answer = run_json("search", "-a", path, "--image", cores / "shg" / "X01Y05.tif", "--exclude", "none", "-k", 1)
    assert names(answer) == ["X01Y05"]
    assert answer["hits"][0]["distance"] == 0
    across = run_json("search", "-a", path, "--image", cores / "part" / "X01Y05.png", "--modality", "brightfield")
    assert across["query"]["modality"] == "brightfield"
    info = run_json("info", "-a", path)
    assert info["recipe"]["modality"] == "shg"


def test_what_is_not_comparable(archive: Path, cores: Path, tmp_path: Path) -> None:
    query = cores / "shg" / "X01Y05.tif"
    refused = run("search", "-a", archive, "--image", query)
    assert refused.exit_code == 1
    assert "it has one channel, and brightfield images have three. Say what it is with --modality" in refused.stderr
    other = run("search", "-a", archive, "--image", query, "--modality", "dapi")
    assert "none maps brightfield and shg, not dapi" in other.stderr
    assert run("search", "-a", archive, "--image", query, "--modality", "shg", "--explain", "--json").exit_code == 2
    assert run("search", "-a", archive, "--case", "P1", "--modality", "shg").exit_code == 2
    assert run("search", "-a", archive, "--case", "P1").exit_code == 2
    again = run("index", cores / "he", "-a", archive, "--representation", "none", "--encoder", "bag-of-words")
    assert again.exit_code == 0
    assert "7 unchanged" in again.stdout
    for options, reason in (
        (("--modality", "shg"), "made with modality brightfield, shg was asked for"),
        (("--encoder", "bag-of-words", "--words", "300"), "made with words 1000, 300 was asked for"),
        (("--encoder", "color-histogram"), "made with encoder bag-of-words, color-histogram was asked for"),
        (("--words", "300"), "--words and --features are of a vocabulary"),
        (("--encoder", f"bag-of-words={archive / 'learned-encoder'}", "--words", "300"), "--words is for an encoder"),
    ):
        result = run("index", cores / "he", "-a", archive, *options)
        assert result.exit_code != 0
        assert reason in result.stderr
    plan = run("index", cores / "he", "-a", tmp_path / "new", "--encoder", "bag-of-words", "--dry-run")
    assert "has yet to learn its words" in plan.stderr
    assert "these measures are of vectors" in run("evaluate", archive).stderr
    assert run("export", "-a", archive, "--out", tmp_path / "out.npz").exit_code == 2


def test_killed_while_it_learns_or_indexes(cores: Path, tmp_path: Path) -> None:
    def command(path: Path) -> list[str]:
        options = ["--representation", "none", "--encoder", "bag-of-words", "--words", "50", "--threads", "1"]
        return [sys.executable, "-m", "histokin", "index", str(cores / "part"), "-a", str(path), *options]

    def content(path: Path) -> list[Any]:
        snapshot = Archive.open(path).searcher().snapshot
        assert snapshot.counts is not None
        return [[source.path for source in snapshot.sources], snapshot.counts.matrix().toarray().tolist()]

    began = time.monotonic()
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    whole = time.monotonic() - began
    moments = random.Random(0)
    for i in range(KILLS):
        path = tmp_path / f"killed{i}"
        process = subprocess.Popen(command(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=moments.uniform(0.5, 0.95) * whole)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        subprocess.run(command(path), check=True, capture_output=True)
        assert content(path) == content(tmp_path / "whole")
        assert not [child.name for child in path.iterdir() if child.name.startswith(".")]
    assert np.array(content(tmp_path / "whole")[1]).sum() > 0
