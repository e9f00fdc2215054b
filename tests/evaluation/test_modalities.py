"""Pictures of four invented modalities: decided by their seed, varied within a kind, and unlike between kinds."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histokin.encoders.registry import encoder
from histokin.errors import UsageError
from histokin.evaluation.synthetic.modalities import KINDS, four_modalities, modality
from histokin.evaluation.synthetic.traces import RATE, signals


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_picture_is_decided_by_its_seed(kind: str) -> None:
    one, same, other = modality(kind, px=48, seed=3), modality(kind, px=48, seed=3), modality(kind, px=48, seed=4)
    assert one.shape == (48, 48, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, same)
    assert np.abs(one.astype(int) - other.astype(int)).mean() > 3


@pytest.mark.parametrize("kind", ["X-ray", "MRI", "OCT"])
def test_scans_are_gray_and_have_contrast(kind: str) -> None:
    for seed in range(5):
        picture = modality(kind, px=64, seed=seed)
        assert (picture == picture[:, :, :1]).all()
        assert picture.std() > 20


def test_a_bone_lets_less_through_than_flesh_and_air() -> None:
    limbs = [modality("X-ray", px=64, seed=seed) for seed in range(12)]
    corners = np.mean([picture[:4, :4].mean() for picture in limbs if picture[:4, :4].mean() < 60])
    assert max(float(np.percentile(picture, 99)) for picture in limbs) > corners + 100


def test_oct_is_dark_above_the_retina() -> None:
    for seed in range(6):
        picture = modality("OCT", px=64, seed=seed).mean(axis=2)
        assert picture[:6].mean() < 40
        assert picture.mean(axis=1).max() > 80


def test_waves_have_their_length_and_strength() -> None:
    waves = signals(7, 3.0, np.random.default_rng(5))
    assert waves.shape == (7, 3 * RATE)
    assert np.isfinite(waves).all()
    assert (waves.std(axis=1) > 0.7).all()


def test_the_set_is_written_as_a_folder_per_kind(tmp_path: Path) -> None:
    made = four_modalities(2, px=32, seed=9)
    manifest = made.write(tmp_path / "set")
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == list(made.labels)
    assert sorted({row["path"].split("/")[0] for row in rows}) == sorted(KINDS)
    for row, image in zip(rows, made.images, strict=True):
        with Image.open(tmp_path / "set" / row["path"]) as picture:
            assert "synthetic" in picture.info["Description"]
            assert np.array_equal(np.asarray(picture), image)
    assert "SYNTHETIC" in (tmp_path / "set" / "README.txt").read_text()
    assert all(np.array_equal(a, b) for a, b in zip(made.images, four_modalities(2, px=32, seed=9).images, strict=True))


def test_a_histogram_tells_them_apart() -> None:
    """Documents why a high score on them shows nothing."""
    made = four_modalities(12, px=48, seed=2)
    rows = encoder("color-histogram").encode(made.images)
    far = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    labels = np.array(made.labels)
    assert (labels[far.argmin(axis=1)] == labels).mean() >= 0.95


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(UsageError, match="PET"):
        modality("PET")
    with pytest.raises(UsageError, match="16 pixels"):
        modality("MRI", px=16)
