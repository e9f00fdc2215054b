"""Image quality: known answers, agreement with scikit-image, and the published pair."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.measure import profile_line
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from histokin.errors import UsageError
from histokin.metrics.image_quality import line_profile, nmi, nmi_spread, psnr, ssim_source, ssim_target
from histokin.types import RGB

SSIM = {"win_size": 11, "gaussian_weights": True, "sigma": 1.5, "K1": 0.01, "K2": 0.03, "data_range": 255}


def picture(seed: int, height: int = 40, width: int = 53) -> RGB:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def gray_ramp(offset: int = 0, times: int = 1) -> RGB:
    levels = np.arange(50, dtype=np.uint8).reshape(5, 10).repeat(4, axis=0).repeat(4, axis=1)
    return np.repeat((levels * times + offset)[..., None].astype(np.uint8), 3, axis=2)


def test_an_image_and_itself() -> None:
    image = picture(0)
    assert psnr(image, image) == float("inf")
    assert ssim_target(image, image) == 1
    assert ssim_source(image, image) == 1


def test_known_answers() -> None:
    black, white = np.zeros((20, 20, 3), np.uint8), np.full((20, 20, 3), 255, np.uint8)
    assert psnr(black, white) == 0
    assert nmi(np.full((9, 9, 3), 77, np.uint8)) == 1
    assert nmi(black) == 1
    ramp = np.repeat(np.arange(101, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert nmi(ramp) == pytest.approx(50 / 95)
    assert nmi_spread([1.0, 2.0, 3.0]) == pytest.approx(((2 / 3) ** 0.5, (2 / 3) ** 0.5 / 2))
    assert np.isnan(nmi_spread([])).all()


def test_nmi_of_the_tissue_alone() -> None:
    image = np.full((10, 10, 3), 250, np.uint8)
    image[:2] = 100
    assert nmi(image) == 1
    assert nmi(image, tissue_only=True) == 1
    image[0] = 50
    assert nmi(image, tissue_only=True) == 0.75
    assert nmi(np.full((4, 4, 3), 255, np.uint8), tissue_only=True) == 1


@given(st.integers(1, 4), st.integers(0, 50))
def test_gray_gain_and_offset_cost_no_structure(times: int, offset: int) -> None:
    assert ssim_source(gray_ramp(offset, times), gray_ramp()) == pytest.approx(1)


@given(st.floats(0.1, 10))
def test_the_coefficient_of_variation_has_no_scale(factor: float) -> None:
    values = np.array([0.5, 0.7, 0.6])
    assert nmi_spread(values * factor)[1] == pytest.approx(nmi_spread(values)[1])


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_image(seed: int) -> None:
    one, other = picture(seed), picture(seed + 10) // 2 + picture(seed) // 2
    assert ssim_target(one, other) == pytest.approx(
        structural_similarity(one, other, channel_axis=-1, **SSIM), abs=1e-9
    )
    assert psnr(one, other) == pytest.approx(peak_signal_noise_ratio(one, other, data_range=255))
    gray = np.repeat(one[..., :1], 3, axis=2)
    ours = line_profile(gray, (3, 5), (40, 31))
    theirs = profile_line(gray[..., 0].astype(float), (5, 3), (31, 40), order=1)
    assert ours.shape == theirs.shape
    # OpenCV places samples on a grid of 1/32 pixel.
    assert np.abs(ours - theirs).max() < 255 / 16


def test_unequal_and_tiny_images_are_refused() -> None:
    with pytest.raises(UsageError, match="53 x 40 and 40 x 53"):
        psnr(picture(0), picture(0, 53, 40))
    with pytest.raises(UsageError, match="smaller than the window"):
        ssim_target(picture(0, 8, 8), picture(1, 8, 8))


def test_the_published_pair(shared_data: Path) -> None:
    folder = shared_data / "stain-reference" / "stainnet-cyto"
    source, target = (np.asarray(Image.open(folder / f"{name}.png").convert("RGB")) for name in ("ori", "target"))
    assert ssim_target(source, target) == pytest.approx(0.7892, abs=5e-5)
    assert psnr(source, target) == pytest.approx(19.203, abs=5e-4)
    assert ssim_source(source, source) == 1
