"""``histokin stain-table``: what it writes, says and refuses."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from histokin.app.cli.stain_table import stain_table
from histokin.stain.table_export import read_cube, read_png_strip

STAINNET = "weights/stainnet/aligned_histopathology_dataset__StainNet-Public_layer3_ch32.pth"


def run(*args: object) -> Result:
    return CliRunner().invoke(stain_table, [str(arg) for arg in args])


def test_a_folder_becomes_a_cube(tile_set: Path, tmp_path: Path) -> None:
    cube = tmp_path / "t.cube"
    result = run(tile_set / "fine", "--out", cube, "--size", 17, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["out"] == str(cube)
    assert told["space"].startswith("macenko@")
    assert 0 < told["error"]["mean"] < told["error"]["largest"]
    assert told["error"]["size"] == 17
    assert read_cube(cube).shape == (17, 17, 17, 3)


def test_weights_need_no_source(tmp_path: Path, shared_data: Path) -> None:
    weights = shared_data / STAINNET
    result = run("--method", "stainnet", "--weights", weights, "--out", tmp_path / "t.PNG")
    assert result.exit_code == 0, result.output
    assert "grey levels off on average" in result.stdout
    assert read_png_strip(tmp_path / "t.PNG").shape == (33, 33, 33, 3)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("TILES", "--out", "t.lut"), "no table is called '.lut'"),
        (("--out", "t.cube"), "none was given"),
        (("TILES", "--out", "t.cube", "--method", "nonsense"), "nonsense"),
        (("TILES", "--out", "missing/t.cube"), "cannot be written"),
        (("WHITE", "--out", "t.cube"), "no stain to normalize"),
    ],
)
def test_refusals_name_cause_and_remedy(
    args: tuple[str, ...], words: str, tile_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    white = tmp_path / "white.png"
    Image.new("RGB", (64, 64), "white").save(white)
    monkeypatch.chdir(tmp_path)
    places = {"TILES": str(tile_set / "fine"), "WHITE": str(white)}
    result = run(*(places.get(arg, arg) for arg in args))
    assert result.exit_code == 2
    assert words in result.stderr
    assert not list(tmp_path.glob("*.cube"))
