"""``histokin evaluate``: folders, tables, protocols, archives, pages."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from histokin.app.cli import cli
from histokin.testing.slides import section, write_svs

HISTOGRAM = ("--encoder", "color-histogram", "--normalizer", "none")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])


def run_json(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == code, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit | None)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def table(tile_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients with three tiles of each class; tiles 0 to 8 are the database."""
    file = tmp_path_factory.mktemp("table") / "tiles.csv"
    lines = ["path,patient,split"]
    for path in sorted(tile_set.rglob("*.png")):
        number = int(path.stem[-2:])
        lines.append(f"{path.parent.name}/{path.name},p{number // 3},{'train' if number < 9 else 'test'}")
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture(scope="module")
def archive(tile_set: Path, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive") / "archive"
    index(tile_set, folder, "--labels", table)
    return folder


def index(images: Path, folder: Path, *options: object) -> None:
    arguments = ["index", str(images), "-a", str(folder), "--encoder", "color-histogram", *map(str, options)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output


def value(found: dict[str, Any], name: str, row: int = 0) -> float:
    return float(found["rows"][row]["figures"][name]["value"])


def test_chance_and_the_histogram_stand_in_every_table(tile_set: Path) -> None:
    found = run_json(tile_set, "--normalizer", "none")
    assert [row["encoder"] for row in found["rows"]] == ["efficientnet-lite0-b14", "color-histogram"]
    assert found["chance"]["precision@5"] == pytest.approx(11 / 23)
    assert set(found["rows"][0]["differences"]) == {"histogram"}
    assert set(found["rows"][1]["differences"]) == {"first"}
    cost = found["rows"][0]["cost"]
    assert cost["index_cpu_seconds_per_1000"] > 0
    assert cost["vector_bytes_per_patch"] == 4 * cost["dim"] == 768
    assert found["protocol"]["name"] == "leave-one-out"


def test_patients_of_a_table_are_held_apart(tile_set: Path, table: Path) -> None:
    found = run_json(tile_set, *HISTOGRAM, "--table", table, "--group", "patient")
    assert found["protocol"]["held_apart"] == ["patient"]
    assert found["protocol"]["intervals_draw"] == "patient"
    # Of 24 tiles the 6 of a patient may not answer: 9 of 18 are of the query's class.
    assert found["chance"]["precision@5"] == 0.5
    assert not any(finding["kind"] == "shared" for finding in found["verdict"]["findings"])
    alone = run_json(tile_set, *HISTOGRAM, "--table", table)
    assert "shared" in [finding["kind"] for finding in alone["verdict"]["findings"]]


def test_a_split_of_a_table(tile_set: Path, table: Path) -> None:
    found = run_json(tile_set, *HISTOGRAM, "--table", table, "--protocol", "split", "--k", 2)
    assert (found["protocol"]["archived"], found["protocol"]["queries"]) == (18, 6)
    assert found["protocol"]["ks"] == [1, 2, 5]
    assert value(found, "recall@5") == pytest.approx(value(found, "precision@5") * 5 / 9)


def test_broken_images_are_named_and_the_rest_is_measured(tile_set: Path, tmp_path: Path) -> None:
    shutil.copytree(tile_set, tmp_path / "set")
    (tmp_path / "set" / "fine" / "fine_00.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    blank = np.full((64, 64, 3), 255, np.uint8)
    assert cv2.imwrite(str(tmp_path / "set" / "fine" / "fine_01.png"), blank)
    found = run_json(tmp_path / "set", *HISTOGRAM, code=1)
    assert found["protocol"]["queries"] == 22
    assert sorted(Path(failure["path"]).name for failure in found["failed"]) == ["fine_00.png", "fine_01.png"]
    assert all(failure["reason"] and failure["remedy"] for failure in found["failed"])
    result = run(tmp_path / "set", *HISTOGRAM)
    assert result.exit_code == 1
    # a long path goes on in the next line of its column
    assert "fine_00.png" in "".join(line.split("│")[0].strip() for line in result.stderr.splitlines())


def test_the_page(tile_set: Path, tmp_path: Path) -> None:
    result = run(tile_set, *HISTOGRAM, "--page", tmp_path / "page")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "page" / "index.html").read_text()
    for word in ("Leakage verdict", "Confusion", "vote_accuracy@10", "Classes", "What the figures are"):
        assert word in text
    report = json.loads((tmp_path / "page" / "report.json").read_text())
    every = next(part for part in report["parts"] if part["title"].startswith("Every figure"))
    assert every["columns"][:2] == ["figure", "chance"]


def test_an_archive_is_read_and_not_encoded_again(
    archive: Path, tile_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("histokin.evaluation.archives.encode_pictures", None)
    found = run_json("--archive", archive)
    folder = run_json(tile_set, *HISTOGRAM)
    for name in ("precision@1", "precision@5", "vote_accuracy@5", "mean_average_precision@10"):
        assert value(found, name) == pytest.approx(value(folder, name))
    assert found["rows"][0]["cost"]["index_cpu_seconds_per_1000"] is None
    assert found["rows"][0]["cost"]["disk_bytes_per_patch"] > 2048
    assert found["chance"] == folder["chance"]
    held = run_json("--archive", archive, "--group", "patient")
    assert held["chance"]["precision@5"] == 0.5


def test_queries_of_another_archive_or_folder(archive: Path, tile_set: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for label in ("coarse", "fine"):
        (tmp_path / "other" / label).mkdir()
        image = cv2.imread(str(tile_set / label / f"{label}_03.png"))
        assert image is not None
        assert cv2.imwrite(str(tmp_path / "other" / label / "copy.png"), np.ascontiguousarray(image[:, ::-1]))
    index(tmp_path / "other", tmp_path / "queries")
    by_archive = run_json("--archive", archive, "--queries", tmp_path / "queries")
    by_folder = run_json("--archive", archive, "--queries", tmp_path / "other")
    for found in (by_archive, by_folder):
        assert found["protocol"]["name"] == "sets"
        assert value(found, "precision@1") == 1
        assert "duplicate" in [finding["kind"] for finding in found["verdict"]["findings"]]
    assert by_folder["rows"][0]["cost"]["index_cpu_seconds_per_1000"] > 0


def test_archives_of_two_recipes_are_not_compared(archive: Path, tile_set: Path, tmp_path: Path) -> None:
    index(tile_set, tmp_path / "other", "--normalizer", "reinhard")
    result = run("--archive", archive, "--queries", tmp_path / "other")
    assert result.exit_code == 1
    assert "archive was made with normalizer" in result.stderr
    assert "other with reinhard" in result.stderr


def test_patches_of_a_slide_are_held_apart(tmp_path: Path) -> None:
    (tmp_path / "slides").mkdir()
    lines = ["slide,label"]
    for number in range(4):
        write_svs(tmp_path / "slides" / f"s{number}.svs", section(700, 1000, seed=number))
        lines.append(f"s{number},{'ab'[number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    index(tmp_path / "slides", tmp_path / "archive", "--labels", tmp_path / "labels.csv", "--min-tissue", 0.1)
    alone = run_json("--archive", tmp_path / "archive")
    assert "shared" in [finding["kind"] for finding in alone["verdict"]["findings"]]
    assert alone["protocol"]["intervals_draw"] == "slide"
    held = run_json("--archive", tmp_path / "archive", "--group", "slide", "--page", tmp_path / "page")
    assert "shared" not in [finding["kind"] for finding in held["verdict"]["findings"]]
    assert 4 < held["protocol"]["queries"] == alone["protocol"]["queries"]
    assert held["chance"]["precision@5"] < alone["chance"]["precision@5"]
    text = (tmp_path / "page" / "index.html").read_text()
    assert "Confusion" in text


def test_one_class_and_few_images(tile_set: Path, tmp_path: Path) -> None:
    (tmp_path / "set" / "only").mkdir(parents=True)
    for path in sorted((tile_set / "fine").iterdir())[:3]:
        shutil.copy(path, tmp_path / "set" / "only")
    found = run_json(tmp_path / "set", *HISTOGRAM, "--k", 50)
    assert value(found, "precision@1") == 1
    assert value(found, "precision@50") == 2 / 50
    assert value(found, "mean_average_precision@50") == 1
    assert found["rows"][0]["figures"]["auc_share@5"]["value"] is None


def test_an_archive_without_pictures(tile_set: Path, tmp_path: Path) -> None:
    shutil.copytree(tile_set, tmp_path / "tiles")
    index(tmp_path / "tiles", tmp_path / "bare", "--no-crops")
    read = run_json("--archive", tmp_path / "bare")
    assert [row["encoder"] for row in read["rows"]] == ["color-histogram", "color-histogram"]
    assert read["verdict"]["pictures_seen"]
    shutil.rmtree(tmp_path / "tiles")
    gone = run_json("--archive", tmp_path / "bare", "--page", tmp_path / "page")
    assert len(gone["rows"]) == 1
    assert not gone["verdict"]["pictures_seen"]
    assert "No color histogram" in gone["note"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "one set is needed"),
        (("SET", "--group", "patient"), "no column 'patient'"),
        (("SET", "--protocol", "split"), "no column 'split'"),
        (("SET", "--encoder", "nonsense"), "nonsense"),
        (("SET", "--encoder", "color-histogram=x"), "takes no file"),
        (("SET", "--only", "medium"), "no image has the class medium"),
        (("SET", "--same", "x"), "is not OTHER=NAME"),
        (("SET", "--table", "EMPTY"), "names no image"),
        (("--archive", "SET"), "no archive there"),
        (("--archive", "ARCHIVE", "--encoder", "color-histogram"), "has its encoder"),
        (("SET", "--queries", "ARCHIVE"), "cannot be the database"),
    ],
)
def test_wrong_requests_are_explained(
    options: tuple[str, ...], reason: str, tile_set: Path, archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.csv").write_text("path,patient\nnowhere.png,p\n")
    places = {"SET": tile_set, "ARCHIVE": archive, "EMPTY": tmp_path / "empty.csv"}
    result = run(*(places.get(option, option) for option in options))
    assert result.exit_code == 2
    assert reason in result.stderr
    assert "Traceback" not in result.stderr
