"""``histokin train classifier``: what a user sees."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from histokin.app.cli import cli


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, ["train", "classifier", *(str(arg) for arg in args)])


def test_help_has_examples() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "histokin train classifier" in result.stdout.split("Examples:")[1]


def test_from_a_folder_of_folders(tile_set: Path, tmp_path: Path) -> None:
    files = sorted(path.relative_to(tile_set) for path in tile_set.rglob("*.png"))
    (tmp_path / "groups.csv").write_text("file,group\n" + "".join(f"{f},{f.stem[:-1]}\n" for f in files))
    args = (tile_set, "--out", tmp_path / "model", "--crop", 32, "--steps", 2, "--device", "cpu", "--json")
    result = run(*args)
    assert result.exit_code in (0, 1), result.output
    report = json.loads(result.stdout)
    assert report["class_names"] == ["coarse", "fine"]
    assert report["steps"]["done"] == 2
    assert Path(report["file"]).is_file()
    assert (tmp_path / "model" / "untrained" / "classifier.json").is_file()
    # Two groups of a class cannot be in three parts.
    refused = run(*args[:1], "--out", tmp_path / "other", *args[3:], "--groups", tmp_path / "groups.csv")
    assert refused.exit_code == 2
    assert "groups are not divided" in refused.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--network", "inception_v3", "--crop", "40"), "inception_v3 cannot take 40 x 40"),
        (("--normalizer", "makenko"), "Did you mean 'macenko'"),
        (("--classes", "nowhere.csv"), "no such file"),
        (("--network", "resnet50", "--start", "shipped"), "no weights of resnet50 come with the package"),
    ],
)
def test_refusals(tile_set: Path, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    result = run(tile_set, "--out", tmp_path / "model", "--steps", 1, *options)
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert "Traceback" not in result.output


def test_small_images_are_named(tile_set: Path, tmp_path: Path) -> None:
    result = run(tile_set, "--out", tmp_path / "model", "--crop", 600, "--steps", 1)
    assert result.exit_code == 2
    assert "224 x 224 pixels, 300 are needed" in result.output
