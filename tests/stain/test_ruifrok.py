"""Color deconvolution: exact there and back, as scikit-image has it, and as a normalizer."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histokin.errors import UsageError
from histokin.stain.base import Appearance
from histokin.stain.deconvolution import HED, LANDINI, deconvolve, recompose, unit_columns
from histokin.stain.macenko import DEFAULT_TARGET as OTHER
from histokin.stain.optical_density import OpticalDensity
from histokin.stain.ruifrok import DEFAULT_TARGETS, VECTORS, Ruifrok
from histokin.stain.two_stain import TwoStainMap
from histokin.testing.appearance import RUIFROK, AppearanceContract, synthetic_he
from histokin.types import RGB


def psnr(one: RGB, other: RGB) -> float:
    error = float(((one.astype(float) - other) ** 2).mean())
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


class TestTextbook(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return Ruifrok(strict=strict)


class TestLandini(AppearanceContract):
    def build(self, *, strict: bool = False) -> Appearance:
        return Ruifrok(vectors="landini", od="od255", strict=strict)


@pytest.mark.parametrize("stains", [HED, LANDINI], ids=["textbook", "landini"])
def test_three_stains_there_and_back_are_the_identity(stains: np.ndarray) -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    image[0, :2] = [[0, 0, 0], [255, 255, 255]]
    assert np.array_equal(recompose(deconvolve(image, stains), stains), image)


def test_pure_stains_are_pure() -> None:
    amounts = np.array([[[2.0, 0, 0], [0, 1.5, 0], [0, 0, 1]]])
    assert np.abs(deconvolve(recompose(amounts)) - amounts).max() < 0.03


def test_agrees_with_scikit_image() -> None:
    from skimage.color import hed_from_rgb, rgb2hed

    image = np.random.default_rng(0).integers(1, 256, (100, 100, 3), np.uint8)
    lengths = np.linalg.norm(HED, axis=0)
    ours = deconvolve(image, density=OpticalDensity("od255")) / (lengths * np.log(1e6))
    assert np.allclose(np.linalg.inv(HED.T), hed_from_rgb, atol=1e-12)
    assert np.abs(np.maximum(ours, 0) - rgb2hed(image)).max() < 1e-6


def test_vectors_are_the_published_ones() -> None:
    assert np.array_equal(HED[:, :2], RUIFROK)
    assert np.allclose(np.linalg.norm(unit_columns(LANDINI), axis=0), 1)
    for name, fixed in VECTORS.items():
        fitted = Ruifrok(vectors=name).fit([synthetic_he(OTHER.stains, px=128)])
        assert isinstance(fitted, TwoStainMap)
        for model in (fitted.source, fitted.target):
            assert np.abs(model.stains - fixed).max() < 1e-6


def test_known_stains_of_another_strength() -> None:
    source, truth, reference = (
        synthetic_he(seed=s, gain=g) for s, g in ((0, (1.0, 1.0)), (0, (1.25, 0.8)), (1, (1.25, 0.8)))
    )
    assert psnr(source, truth) < 28
    assert psnr(Ruifrok(reference).fit([source])(source), truth) > 48
    assert psnr(Ruifrok(source).fit([source])(source), source) > 60


def test_targets_must_have_the_same_vectors() -> None:
    stored = Ruifrok(synthetic_he(px=64)).to_dict()["target"]
    assert Ruifrok(stored).to_dict()["target"] == stored
    for wrong in (OTHER.to_dict(), DEFAULT_TARGETS["landini"].to_dict()):
        with pytest.raises(UsageError, match="keeps its own") as caught:
            Ruifrok(wrong)
        assert caught.value.remedy
    with pytest.raises(UsageError):
        Ruifrok(np.full((50, 50, 3), 255, np.uint8))
    with pytest.raises(UsageError):
        Ruifrok(vectors="other")


def test_real_tissue(shared_data: Path) -> None:
    image = np.asarray(Image.open(shared_data / "stain-reference/torchstain/source.png").convert("RGB"))
    target = np.asarray(Image.open(shared_data / "stain-reference/torchstain/target.png").convert("RGB"))
    mapped = Ruifrok(target).fit([image])(image)
    distance = [
        np.abs(i.reshape(-1, 3).mean(axis=0) - target.reshape(-1, 3).mean(axis=0)).sum() for i in (image, mapped)
    ]
    assert distance[1] < distance[0]


@pytest.mark.parametrize("vectors", sorted(VECTORS))
def test_default_targets_are_the_reference_of_bksvds_authors(shared_data: Path, vectors: str) -> None:
    found = Ruifrok(shared_data / "stain-reference" / "bksvd-matlab" / "Reference.jpg", vectors=vectors).target
    assert np.allclose(found.p99, DEFAULT_TARGETS[vectors].p99, atol=1e-3)
