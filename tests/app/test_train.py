"""``histokin train``: answers, refusals, what a user sees."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from histokin.app.cli import cli

SHORT = ("--crop", "32", "--device", "cpu")


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, ["train", *(str(arg) for arg in args)])


def run_json(*args: object, status: int = 0) -> Any:
    result = run(*args, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("trainer", ["stain-gan", "stainnet"])
def test_help_has_examples(trainer: str) -> None:
    result = run(trainer, "--help")
    assert result.exit_code == 0
    assert f"histokin train {trainer}" in result.stdout.split("Examples:")[1]
    assert f"train {trainer}" in run("--help").stdout


def test_stainnet_from_a_normalizer(tile_set: Path, tmp_path: Path) -> None:
    args = ("stainnet", tile_set / "fine", "--teacher", "macenko", "--out", tmp_path / "net", "--steps", 60, *SHORT)
    report = run_json(*args)
    assert report["steps"] == {"done": 60, "published": 67_800}
    assert report["better_than_untrained"] is True
    assert report["teacher"].startswith("macenko@")
    assert Path(report["file"]).is_file()
    assert "history" not in report
    again = run(*args)
    assert again.exit_code == 0
    assert "60 of 67800 published steps" in again.stdout
    assert "untrained" in again.stdout
    other = run_json(*args, "--seed", 3, status=2)
    assert "seed is 0 there and 3 here" in other["error"]["reason"]


def test_stain_gan_names_what_it_leaves_out(tile_set: Path, tmp_path: Path) -> None:
    import shutil

    source = tmp_path / "source"
    shutil.copytree(tile_set / "fine", source)
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"garbage" * 9)
    args = ("stain-gan", source, "--target-images", tile_set / "coarse", "--out", tmp_path / "gan", "--steps", 2)
    report = run_json(*args, "--most", 4, *SHORT, status=1)
    assert [set(one) for one in report["failed"]] == [{"path", "reason", "remedy"}]
    assert report["failed"][0]["path"].endswith("broken.png")
    assert (report["style"], report["target"]) == ("source", "coarse")


def test_without_torch_the_command_to_type_is_given(
    tile_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else real(name, *rest))
    for args in (("stainnet", tile_set, "--teacher", "macenko"), ("stain-gan", tile_set, "--target-images", tile_set)):
        result = run(*args, "--out", tmp_path)
        assert result.exit_code == 2
        assert "pip install 'histokin[torch]'" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--teacher", "macenkoo"), "macenkoo"),
        (("--teacher", "nowhere.onnx"), "nowhere.onnx"),
        (("--teacher", "macenko", "--start", "nowhere.pth"), "nowhere.pth"),
        (("--teacher", "macenko", "--device", "abacus"), "abacus"),
        (("--teacher", "macenko", "--wide", "5"), "5 of 3 layers"),
    ],
)
def test_refusals_name_the_culprit(tile_set: Path, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    result = run("stainnet", tile_set / "fine", "--out", tmp_path / "net", "--crop", 32, "--steps", 1, *options)
    assert result.exit_code in (1, 2)
    assert result.stderr.startswith("histokin: ")
    assert said in result.stderr
    assert not (tmp_path / "net").exists()
