"""IMTDF: what is chosen, standardized, kept on disk, and refused; on random weights, which the names say."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from histokin.encoders.haralick import rotation_invariant
from histokin.encoders.imtdf import FILE, Imtdf, ImtdfEncoder
from histokin.encoders.registry import encoder
from histokin.encoders.tchebichef import low_moments
from histokin.errors import EncoderError, UsageError
from histokin.nets import backbones
from histokin.testing.encoders import CHECKS, check_refusals

pytest.importorskip("torch")


def textures(pairs: int = 3, side: int = 64) -> tuple[list[np.ndarray], list[str]]:
    """Blobs of another size for each pair: in color, and inverted in gray."""
    images, groups = [], []
    for pair in range(pairs):
        draws = np.random.default_rng(pair)
        grain = 2 ** (pair + 1)
        noise = draws.integers(0, 256, (side // grain, side // grain), dtype=np.uint8)
        plane = np.kron(noise, np.ones((grain, grain), np.uint8))
        images += [np.stack([plane, plane // 2, 255 - plane], axis=2), 255 - plane[:, :, None]]
        groups += [f"core {pair}"] * 2
    return images, groups


@pytest.fixture(scope="module", autouse=True)
def small_input() -> Iterator[None]:
    """ResNet50 on small images, to save time."""
    known = replace(backbones.BACKBONES["resnet50"], input_px=32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "BACKBONES", {"resnet50": known})
        yield


@pytest.fixture(scope="module")
def fitted() -> ImtdfEncoder:
    images, groups = textures()
    return Imtdf("random", turned=1, neighbors=1).fit(images, groups)


def test_21_moments_and_415_others(fitted: ImtdfEncoder) -> None:
    assert fitted.spec.dim == 436
    assert fitted.chosen[:21] == list(range(21))
    assert len(set(fitted.chosen)) == 436
    assert max(fitted.chosen) < 21 + 2074
    assert fitted.spec.name == "imtdf-random"
    assert "random" in fitted.spec.space
    assert "random" in fitted.spec.licence


def test_every_number_has_mean_0_and_deviation_1_on_the_images_it_was_fitted_to(fitted: ImtdfEncoder) -> None:
    vectors = fitted.encode(textures()[0]).astype(np.float64)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-4)
    deviation = vectors.std(axis=0)
    assert (np.isclose(deviation, 1, atol=1e-3) | np.isclose(deviation, 0, atol=1e-6)).all()


def test_the_numbers_are_those_of_their_parts() -> None:
    """Everything kept, and standardization undone by two images: one number is a known function of the parts."""
    images, groups = textures(2)
    made = Imtdf("random", keep=1.0, turned=1, neighbors=1).fit(images, groups)
    assert made.spec.dim == 21 + 26 + 2048
    big = [np.kron(image[..., -1], np.ones((4, 4), np.uint8)) for image in images]
    square = np.stack([plane.repeat(3).reshape(256, 256, 3) for plane in big])
    raw = np.array([[*low_moments(plane / 255, 5), *rotation_invariant(plane)] for plane in big])
    wanted = (raw - raw.mean(axis=0)) / np.where(raw.std(axis=0) > 0, raw.std(axis=0), 1)
    found = made.standardized_by(list(square)).encode(list(square))[:, :47]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_gray_is_three_equal_channels(fitted: ImtdfEncoder) -> None:
    gray = textures()[0][1]
    np.testing.assert_array_equal(fitted.encode([gray]), fitted.encode([np.repeat(gray, 3, axis=2)]))


def test_another_archive_standardizes_anew(fitted: ImtdfEncoder) -> None:
    other = [image[:32] for image in textures()[0]]
    again = fitted.standardized_by(other)
    np.testing.assert_allclose(again.encode(other).mean(axis=0), 0, atol=1e-4)
    assert again.chosen == fitted.chosen
    assert again.spec.space != fitted.spec.space


def test_contract(fitted: ImtdfEncoder) -> None:
    """Gray images are taken, unlike by other encoders; everything else is refused as theirs."""
    for check in CHECKS:
        if check is not check_refusals:
            check(fitted)
    for wrong in (np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3), np.float32), np.zeros((0, 9, 3), np.uint8)):
        with pytest.raises(EncoderError, match="cannot be encoded"):
            fitted.encode([wrong])


def test_kept_on_disk_and_read_back(fitted: ImtdfEncoder, tmp_path: Path) -> None:
    assert fitted.save(tmp_path / "a") == tmp_path / "a" / FILE
    again = encoder("imtdf", path=tmp_path / "a")
    assert again.spec == fitted.spec
    images = textures()[0]
    np.testing.assert_array_equal(again.encode(images), fitted.encode(images))


def test_damaged_files_are_refused(fitted: ImtdfEncoder, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="cannot be read"):
        ImtdfEncoder.load(tmp_path)
    stored = json.loads(fitted.save(tmp_path).read_text())
    broken: list[dict[str, object]] = [
        {"format": 9},
        {"std": [0.0] * 436},
        {"mean": [1.0]},
        {"chosen": [10**9] * 436},
        {"order": -1},
        {"metric": "cosmic"},
    ]
    for change in broken:
        (tmp_path / FILE).write_text(json.dumps({**stored, **change}))
        with pytest.raises(EncoderError, match="damaged"):
            ImtdfEncoder.load(tmp_path)
    (tmp_path / FILE).write_text("{")
    with pytest.raises(EncoderError, match="is not JSON"):
        ImtdfEncoder.load(tmp_path)
    (tmp_path / FILE).write_text(json.dumps({**stored, "network": "resnet50/0123/fp32"}))
    with pytest.raises(EncoderError, match=r"was fitted with the network resnet50/0123"):
        ImtdfEncoder.load(tmp_path)


def test_refusals(tmp_path: Path) -> None:
    images = textures(2)[0]
    for options in ({"keep": 0.0}, {"turned": 3}, {"neighbors": 0}, {"order": -1}):
        with pytest.raises(UsageError):
            Imtdf("random", **options)
    with pytest.raises(UsageError, match="without pairs"):
        Imtdf("random", turned=1).fit(images)
    with pytest.raises(UsageError, match="cannot rank"):
        Imtdf("random", turned=1).fit(images, ["one"] * len(images))
    with pytest.raises(EncoderError):
        Imtdf(tmp_path / "none.pth")


def test_turned_images_are_samples_of_their_pair() -> None:
    images, groups = textures(2)
    once, eight = (Imtdf("random", turned=turned).fit(images, groups) for turned in (1, 8))
    assert eight.spec.dim == once.spec.dim == 436
    assert eight.chosen != once.chosen
    assert eight.spec.space == Imtdf("random").fit(images, groups).spec.space
