"""``histokin train comir``, ``pix2pix`` and ``cyclegan``: answers and refusals."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from histokin.app.cli import cli
from histokin.modality.registry import chosen, representation


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, ["train", *(str(arg) for arg in args)])


def run_json(*args: object, statuses: tuple[int, ...] = (0, 1)) -> Any:
    result = run(*args, "--json")
    assert result.exit_code in statuses, result.output
    return json.loads(result.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draws = np.random.default_rng(0)
    for name in ("he", "shg", "masks"):
        (tmp_path / name).mkdir()
    for i in range(3):
        structure = cv2.GaussianBlur(draws.random((128, 128)), (0, 0), 4) * 255
        assert cv2.imwrite(str(tmp_path / "he" / f"{i}.png"), np.stack([structure] * 3, 2).astype(np.uint8) // 2 + i)
        color = np.stack([structure, 255 - structure, structure], 2).astype(np.uint8)
        assert cv2.imwrite(str(tmp_path / "masks" / f"{i}.png"), color)
        assert cv2.imwrite(str(tmp_path / "shg" / f"{i}.tif"), structure.astype(np.uint8))
    return tmp_path


@pytest.mark.parametrize("trainer", ["comir", "pix2pix", "cyclegan"])
def test_help_has_examples(trainer: str) -> None:
    result = run(trainer, "--help")
    assert result.exit_code == 0
    assert f"histokin train {trainer}" in result.stdout.split("Examples:")[1]


def test_comir_by_command(folder: Path) -> None:
    out = folder / "out"
    named = ("--modalities", "masks=brightfield", "--modalities", "shg=shg")
    report = run_json("comir", folder, *named, "--out", out, "--steps", 1, "--crop", 32, "--device", "cpu")
    assert report["modalities"] == ["brightfield", "shg"]
    assert report["steps"] == {"done": 1, "published": 736}
    assert "history" not in report
    name, options = chosen(f"comir={out}")
    assert representation(name, **options).space == f"comir@{report['representation']['digest']}"
    other = run_json(
        "comir", folder, *named, "--out", out, "--steps", 1, "--crop", 32, "--critic", "mse", statuses=(2,)
    )
    assert "profile" in other["error"]["reason"]


@pytest.mark.parametrize("trainer", ["pix2pix", "cyclegan"])
def test_translations_by_command(folder: Path, trainer: str) -> None:
    out = folder / "out"
    named = ("--modalities", "masks=brightfield", "--modalities", "shg")
    args = (trainer, folder, *named, "--out", out, "--steps", 1, "--crop", 64, "--most", 2, "--device", "cpu")
    report = run_json(*args, "--legacy-scaling")
    assert report["configuration"]["legacy_scaling"] is True
    assert report["pairs"] == {"learned_from": 2, "held_out": 0}
    assert report["held_out_was_learned_from"] is True


def test_three_folders_are_refused_with_the_choice(folder: Path) -> None:
    result = run("comir", folder, "--out", folder / "out")
    assert result.exit_code == 2
    assert "3 modalities" in result.stderr
    assert "--modalities" in result.stderr
