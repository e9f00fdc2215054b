"""``histokin train tc-net``: from a folder of pairs to an encoder that ``evaluate`` and ``index`` can name."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from histokin.app.cli import cli
from histokin.encoders.registry import encoder

pytest.importorskip("torch")


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pairs in the folders 'he' (color) and 'shg' (gray), and a third folder that is no modality."""
    root = tmp_path_factory.mktemp("pairs")
    draws = np.random.default_rng(0)
    for name in ("he", "shg", "notes"):
        (root / name).mkdir()
    for i in range(6):
        color = draws.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        assert cv2.imwrite(str(root / "he" / f"core {i}.png"), color)
        assert cv2.imwrite(str(root / "shg" / f"core {i}.png"), 255 - color[..., 0])
        assert cv2.imwrite(str(root / "notes" / f"core {i}.png"), color)
    return root


MODALITIES = ("--modalities", "he=brightfield", "--modalities", "shg")


def test_train_and_encode(pairs: Path, tmp_path: Path) -> None:
    options = ("--crop", 32, "--steps", 2, "--device", "cpu", "--json")
    result = run("train", "tc-net", pairs, *MODALITIES, "--anchor", "brightfield", "--out", tmp_path / "net", *options)
    found = json.loads(result.stdout)
    assert result.exit_code == (0 if found["better_than_untrained"] else 1), result.output
    assert (found["anchor"], found["gallery"], found["steps"]["done"]) == ("brightfield", "shg", 2)
    assert found["file"] == str(tmp_path / "net" / "encoder.onnx")
    made = encoder("tc-net", path=tmp_path / "net")
    assert made.encode([np.zeros((40, 40, 1), np.uint8)]).shape == (1, 128)
    again = run("train", "tc-net", pairs, *MODALITIES, "--anchor", "shg", "--out", tmp_path / "net", *options)
    assert again.exit_code == 2
    assert "anchor is" in again.stderr


def test_refusals(pairs: Path, tmp_path: Path) -> None:
    three = run("train", "tc-net", pairs, "--anchor", "shg", "--out", tmp_path / "net")
    assert three.exit_code == 2
    assert "3 modalities" in three.stderr
    anchor = run("train", "tc-net", pairs, *MODALITIES, "--anchor", "he", "--out", tmp_path / "net")
    assert anchor.exit_code == 2
    assert "no modality is called 'he'" in anchor.stderr
    weights = (*MODALITIES, "--anchor", "shg", "--out", tmp_path / "net", "--start", tmp_path / "no.pth")
    assert run("train", "tc-net", pairs, *weights).exit_code == 1
    assert not (tmp_path / "net").exists()
