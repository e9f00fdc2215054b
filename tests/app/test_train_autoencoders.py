"""``histokin train cbhir`` and ``cbmir``: from a folder of images to an archive searched by what was learned."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from histokin.app.cli import cli


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.mark.parametrize(("kind", "dim"), [("cbhir", 200), ("cbmir", 48)])
def test_train_index_export(kind: str, dim: int, tile_set: Path, tmp_path: Path) -> None:
    options = ("--crop", 32, "--most", 12, "--steps", 3, "--json")
    result = run("train", kind, tile_set, "--out", tmp_path / "net", *options)
    found = json.loads(result.stdout)
    assert result.exit_code == (0 if found["better_than_untrained"] else 1), result.output
    assert found["steps"]["done"] == 3
    assert found["file"] == str(tmp_path / "net" / "encoder.onnx")
    archive = tmp_path / "archive"
    assert run("index", tile_set, "-a", archive, "--encoder", f"{kind}={tmp_path / 'net'}").exit_code == 0
    about = json.loads(run("info", "-a", archive, "--json").stdout)
    assert kind in json.dumps(about)
    if kind == "cbmir":
        assert run("export", archive, "--features", tmp_path / "features.json").exit_code == 0
        stored = json.loads((tmp_path / "features.json").read_text())
        assert stored["latent_dim"] == dim
        assert len(stored["items"][0]["feature"]) == dim


def test_another_side_than_the_network_can_halve(tile_set: Path, tmp_path: Path) -> None:
    result = run("train", "cbmir", tile_set, "--out", tmp_path / "net", "--crop", 50)
    assert result.exit_code == 2
    assert "multiple of 8" in result.stderr
    assert not (tmp_path / "net").exists()
