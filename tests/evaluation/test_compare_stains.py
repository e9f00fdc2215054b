"""Comparing normalizers: groups, pairs, seams, failures, and the page."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from histokin.errors import UsageError
from histokin.evaluation.compare_stains import compare_stains
from histokin.evaluation.seams import border_step, seam
from histokin.evaluation.stain_groups import gather
from histokin.stain.registry import normalizer
from histokin.testing.appearance import synthetic_he
from histokin.testing.slides import section, write_svs


def write(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])
    return path


@pytest.fixture(name="laboratories")
def laboratories_fixture(tmp_path: Path) -> list[Path]:
    for name, strength in (("a", 1.0), ("b", 0.7)):
        for number in range(3):
            write(tmp_path / name / f"{number}.png", synthetic_he(px=96, seed=number, gain=(strength, 1.0)))
    return [tmp_path / "a", tmp_path / "b"]


def test_a_page_of_two_laboratories(laboratories: list[Path], tmp_path: Path) -> None:
    methods = ("none", "reinhard", "macenko")
    found = compare_stains(laboratories, tmp_path / "out", methods=methods, command="the command")
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    titles = [part["title"] for part in data["parts"]]
    assert titles == [
        *("Gallery", "Methods", "NMI SD / CV by group", "NMI by group and method", "Line profiles"),
        "Seams between tiles",
    ]
    assert [row[0] for row in data["parts"][1]["rows"]] == list(methods)
    assert data["parts"][1]["rows"][0][3] == 1
    assert "the command" in found.page.read_text()
    assert not found.failed_methods
    assert not found.failed_inputs
    for score in found.scores:
        assert all(len(group.nmi) == 3 for group in score.groups)


def test_pairs_are_scored_against_their_own_targets(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / "source" / f"{number}.png", synthetic_he(px=96, seed=number))
        write(tmp_path / "target" / f"{number}.png", synthetic_he(px=96, seed=number, gain=(1.3, 0.7)))
    write(tmp_path / "source" / "9.png", synthetic_he(px=96))
    write(tmp_path / "source" / "8.png", synthetic_he(px=96))
    write(tmp_path / "target" / "8.png", synthetic_he(px=64))
    options = {"target": tmp_path / "target", "pairs": True, "methods": ("none", "bksvd")}
    found = compare_stains([tmp_path / "source"], tmp_path / "out", each=True, **options)  # type: ignore[arg-type]
    untouched, treated = found.scores
    assert np.mean(treated.pooled("psnr_target")) > np.mean(untouched.pooled("psnr_target")) + 10
    assert len(treated.pooled("ssim_target")) == 2
    reasons = {Path(failure.path).name: failure.reason for failure in found.failed_inputs}
    assert "no target" in reasons["9.png"]
    assert "differ in size" in reasons["8.png"]


def test_what_fails_is_named_and_the_rest_goes_on(laboratories: list[Path], tmp_path: Path) -> None:
    (laboratories[0] / "broken.png").write_bytes(b"no picture")
    write(laboratories[1] / "blank.png", np.full((96, 96, 3), 250, np.uint8))
    found = compare_stains(laboratories, tmp_path / "out", methods=("none", "stainnet", "macenko"), each=True)
    assert [failure.path for failure in found.failed_methods] == ["stainnet"]
    assert found.failed_methods[0].remedy
    assert [Path(failure.path).name for failure in found.failed_inputs] == ["broken.png"]
    text = found.page.read_text()
    assert "What failed" in text
    assert "Left as they are" in text
    assert found.scores[1].unchanged == 1


def test_slides_give_patches(tmp_path: Path) -> None:
    slide = write_svs(tmp_path / "s.svs", section(1500, 1500, seed=1))
    found = gather([slide], 5)
    assert [group.name for group in found.groups] == ["s.svs"]
    assert 1 <= len(found.groups[0].images) <= 5
    assert found.groups[0].images[0].shape == (224, 224, 3)


def test_nothing_usable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no picture can be used"):
        gather([tmp_path / "empty"], 5)


def test_seams_by_hand() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = 40
    assert border_step(image, 32) == pytest.approx(20)
    assert border_step(np.full((64, 64, 3), 7, np.uint8), 32) == 0
    assert seam(np.zeros((40, 40, 3), np.uint8), normalizer("none")) is None


def test_fits_by_tile_step_where_one_fit_does_not() -> None:
    left, right = synthetic_he(px=128, seed=0), synthetic_he(px=128, seed=0, gain=(2.0, 0.4))
    image = np.concatenate([np.concatenate([left, right], axis=1), np.concatenate([right, left], axis=1)], axis=0)
    found = seam(image, normalizer("macenko"), 128)
    assert found is not None
    assert found.tiles == 4
    same = seam(image, normalizer("none"), 128)
    assert same is not None
    assert same.per_tile == same.whole
