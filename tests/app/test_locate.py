import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow

from histokin.app.cli import cli


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    """A section, and a patch of it whose middle is at (109.5, 139.5), as options."""
    noise = np.random.default_rng(2).normal(size=(256, 256, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    section = np.clip(150 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    Pillow.fromarray(section).save(tmp_path / "section.png")
    Pillow.fromarray(np.rot90(section[100:180, 70:150])).save(tmp_path / "query.png")
    files = ["--image", str(tmp_path / "query.png"), "--in", str(tmp_path / "section.png")]
    return ["locate", *files, "--modality", "brightfield", "--representation", "none"]


def test_the_place_in_words_and_as_a_picture(asked: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, [*asked, "--out", str(tmp_path / "found.png")])
    assert result.exit_code == 0, result.output
    assert "turned by -90.0 degrees" in result.stdout
    assert "margin" in result.stdout
    drawn = np.asarray(Pillow.open(tmp_path / "found.png"))
    assert drawn.shape == (256, 256, 3)
    # The query's upper edge lies on the right there.
    assert drawn[140, 149].tolist() == [220, 30, 30]


def test_the_place_as_json(asked: list[str]) -> None:
    result = CliRunner().invoke(cli, [*asked, "--json"])
    found = json.loads(result.stdout)
    assert (found["x"], found["y"]) == pytest.approx((109.5, 139.5), abs=0.6)
    assert found["angle"] == pytest.approx(-90, abs=0.5)
    assert found["margin"] == pytest.approx(found["score"] - found["rival"])
    assert found["space"] == "raw"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--representation", "placenet=nowhere"], "no trained representation"),
        (["--representation", "magic"], "no representation is called 'magic'"),
        (["--region", "0,0,999,999"], "not within"),
        (["--out", "found.jpg"], "End --out in .png"),
        (["--modality", "mri"], "Choose one of: brightfield, shg"),
    ],
)
def test_what_is_wrong_is_named(asked: list[str], more: list[str], told: str) -> None:
    result = CliRunner().invoke(cli, [*asked, *more])
    assert result.exit_code in (1, 2)
    assert told in result.stderr
