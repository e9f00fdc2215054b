"""``histokin compare-stains`` as a person or a program calls it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from histokin.app.cli import cli
from histokin.errors import UsageError
from histokin.stain import khan_classifier


def test_a_page_and_json(tile_set: Path, tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "out"), "--methods", "none,macenko", "--images", "4"]
    result = CliRunner().invoke(cli, ["compare-stains", str(tile_set), *options, "--json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert Path(data["page"]).exists()
    assert data["failed"] == []
    shown = CliRunner().invoke(cli, ["compare-stains", str(tile_set), *options])
    assert "page:" in shown.stdout
    assert "macenko" in shown.stdout


def test_failures_have_a_status_and_a_remedy(tile_set: Path, tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "out"), "--images", "3"]
    result = CliRunner().invoke(cli, ["compare-stains", str(tile_set), "--methods", "none,stainnet", *options])
    assert result.exit_code == 1
    assert "stainnet" in result.stderr
    assert CliRunner().invoke(cli, ["compare-stains", str(tile_set), "--methods", "macenco", *options]).exit_code == 2
    assert CliRunner().invoke(cli, ["compare-stains", str(tile_set), "--pairs", *options]).exit_code == 2
    absent = CliRunner().invoke(cli, ["compare-stains", str(tmp_path / "absent"), *options])
    assert absent.exit_code != 0
    assert "absent" in absent.stderr


def test_a_method_whose_extra_is_missing_is_left_out(
    tile_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise UsageError("khan needs scikit-learn to fit a source", remedy="pip install 'histokin[khan]'")

    monkeypatch.setattr(khan_classifier, "require", missing)
    result = CliRunner().invoke(cli, ["compare-stains", str(tile_set), "--out", str(tmp_path / "out"), "--images", "2"])
    assert result.exit_code == 0, result.output
    assert "khan is left out" in result.stderr
    assert "khan" not in result.stdout
