"""The command line: exit statuses, JSON contracts, pages, help."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from histokin.app.cli import cli

COMMANDS = (
    *("compare-stains", "demo", "doctor", "evaluate", "export", "import-features", "index", "info", "normalize"),
    *("reproduce", "search", "stain-table", "train"),
)


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def run_json(*args: object, status: int = 0) -> Any:
    result = run(*args, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def archive(tile_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "archive"
    assert (
        run("index", tile_set, "-a", folder, "--encoder", "color-histogram", "--normalizer", "macenko").exit_code == 0
    )
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"histokin {command}" in result.stdout.split("Examples:")[1]


def test_every_command_is_documented_in_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for command in COMMANDS:
        assert f"histokin {command}" in readme


def test_index_json_contract(tile_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    shutil.copytree(tile_set / "fine", folder)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"garbage" * 9)
    report = run_json("index", folder, "-a", tmp_path / "archive", "--encoder", "color-histogram", status=1)
    assert (report["slides"], report["patches"]) == (12, 12)
    assert [set(failure) for failure in report["failed"]] == [{"path", "reason", "remedy"}]
    assert report["failed"][0]["path"].endswith("broken.png")


def test_failures_are_a_table_with_cause_and_remedy(tile_set: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    result = run("index", tile_set, tmp_path / "nothing", tmp_path / "absent.svs", "-a", tmp_path / "archive")
    assert result.exit_code == 1
    assert "2 inputs failed" in result.stderr
    assert "absent.svs" in result.stderr
    assert "Traceback" not in result.output


def test_search_json_contract(archive: Path, tile_set: Path) -> None:
    query = tile_set / "coarse" / "coarse_04.png"
    answer = run_json("search", "-a", archive, "--image", query, "-k", 3)
    keys = {"format", "kind", "query", "recipe", "hits", "matches", "votes", "margin", "alike", "warnings", "seconds"}
    assert set(answer) == keys
    assert (answer["format"], answer["kind"]) == (1, "patch")
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]
    hit_keys = {"rank", "distance", "slide", "x", "y", "width", "height", "label", "columns", "place"}
    assert all(set(hit) == hit_keys for hit in answer["hits"])
    assert {"query", "hit", "distance"} <= set(answer["matches"][0])
    assert sum(answer["votes"].values()) == 3
    assert {"value", "threshold", "percentile"} <= set(answer["alike"])


def test_whole_slides_have_null_coordinates(archive: Path, tile_set: Path) -> None:
    answer = run_json("search", "-a", archive, "--slide", tile_set / "coarse" / "coarse_04.png")
    assert answer["kind"] == "slide"
    assert all(hit[key] is None for hit in answer["hits"] for key in ("x", "y", "width", "height"))


def test_page_is_self_contained_and_frames_other_labels(archive: Path, tile_set: Path, tmp_path: Path) -> None:
    page = tmp_path / "answer.html"
    query = tile_set / "fine" / "fine_00.png"
    assert run("search", "-a", archive, "--image", query, "-k", 23, "--html", page).exit_code == 0
    text = page.read_text()
    assert not re.search(r"(src|href)=.?https?:", text)
    assert text.count("data:image/jpeg;base64,") == 24
    assert text.count('class="differs"') == 12
    assert "Research use only" in text


def test_page_works_when_the_files_are_gone(tile_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    shutil.copytree(tile_set, folder)
    archive = tmp_path / "archive"
    assert run("index", folder, "-a", archive, "--encoder", "color-histogram").exit_code == 0
    shutil.rmtree(folder)
    page = tmp_path / "answer.html"
    query = tile_set / "fine" / "fine_00.png"
    assert run("search", "-a", archive, "--image", query, "--html", page).exit_code == 0
    assert page.read_text().count("from stored crops") == 5


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--image", "a.png", "--slide", "b.svs"),
        ("--image", "a.png", "--region", "0,0,9,9"),
        ("--slide", "b.svs", "--region", "0,0,nine"),
        ("--image", "a.png", "-k", "0"),
    ],
)
def test_wrong_usage_exits_with_two(archive: Path, args: tuple[str, ...]) -> None:
    result = run("search", "-a", archive, *args)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_unreadable_query_exits_with_one(archive: Path, tmp_path: Path) -> None:
    result = run("search", "-a", archive, "--image", tmp_path / "absent.png", "--json")
    assert result.exit_code == 1
    assert set(json.loads(result.stdout)["error"]) == {"path", "reason", "remedy"}


def test_missing_archive_exits_with_two(tmp_path: Path) -> None:
    result = run("info", "-a", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr


def test_another_recipe_for_an_existing_archive_is_refused(archive: Path, tile_set: Path) -> None:
    result = run("index", tile_set, "-a", archive, "--normalizer", "none")
    assert result.exit_code == 1
    assert "macenko" in result.stderr
    assert "none" in result.stderr


def test_dry_run_changes_nothing(tile_set: Path, tmp_path: Path) -> None:
    plan = run_json("index", tile_set, "-a", tmp_path / "archive", "--dry-run")
    assert (plan["images"], plan["patches"], plan["failed"]) == (24, 24, [])
    assert plan["minutes"] > 0
    assert plan["bytes"] > 0
    assert not (tmp_path / "archive").exists()


def test_info(archive: Path) -> None:
    found = run_json("info", "-a", archive)
    assert (found["images"], found["patches"], found["labels"]) == (24, 24, {"coarse": 12, "fine": 12})
    assert "24 images" in run("info", "-a", archive).stdout


def test_normalize_writes_images_and_leaves_the_originals(tile_set: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in tile_set.rglob("*.png")}
    done = run_json("normalize", tile_set, "--out", tmp_path / "out")
    assert len(done["written"]) == 24
    assert all(Path(path).is_file() for path in done["written"])
    assert {path: path.read_bytes() for path in tile_set.rglob("*.png")} == before


def test_evaluate_prints_chance_and_the_histogram(tile_set: Path) -> None:
    table = run_json("evaluate", tile_set, "--normalizer", "none")
    assert {row["encoder"] for row in table["rows"]} > {"color-histogram"}
    assert 0.4 < table["chance"]["precision@5"] < 0.6
    assert all(0 <= row["figures"]["precision@5"]["value"] <= 1 for row in table["rows"])
    assert not table["verdict"]["leaks"]


def test_evaluate_says_that_copies_are_on_both_sides(tile_set: Path, tmp_path: Path) -> None:
    shutil.copytree(tile_set, tmp_path / "other")
    options = ("--normalizer", "none", "--encoder", "color-histogram")
    result = run("evaluate", tile_set, "--queries", tmp_path / "other", *options)
    assert result.stdout.startswith("LEAKS")
    assert "pictures are on both sides" in result.stdout


def test_doctor_finds_all_parts(archive: Path) -> None:
    report = run_json("doctor", "-a", archive)
    assert report["ok"]
    assert {check["name"] for check in report["checks"]} >= {"shipped encoder", "onnxruntime", "archive"}


def test_doctor_on_a_missing_archive_fails(tmp_path: Path) -> None:
    assert run("doctor", "-a", tmp_path / "nowhere").exit_code == 1
