"""SIFT at fixed octaves."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from histokin.encoders.base import Points
from histokin.encoders.sift import Sift
from histokin.errors import EncoderError, UsageError
from histokin.types import Image


def _texture(height: int, width: int, seed: int = 0) -> Image:
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width)).astype(np.float32)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    out: Image = smooth.astype(np.uint8)[..., None]
    return out


def _mutual(one: Points, other: Points) -> np.ndarray:
    """Pairs of rows that are each other's nearest, "n 2"."""
    gaps = (
        (one.descriptors**2).sum(axis=1)[:, None]
        + (other.descriptors**2).sum(axis=1)
        - 2 * one.descriptors @ other.descriptors.T
    )
    forth, back = gaps.argmin(axis=1), gaps.argmin(axis=0)
    rows = np.flatnonzero(back[forth] == np.arange(len(one)))
    return np.stack([rows, forth[rows]], axis=1)


def _turned_places(one: Points, other: Points, size: int) -> float:
    """Share of the keypoints whose mutual neighbor lies where a counter-clockwise quarter turn puts them."""
    pairs = _mutual(one, other)
    expected = np.stack([one.xy[pairs[:, 0], 1], size - 1 - one.xy[pairs[:, 0], 0]], axis=1)
    right = np.linalg.norm(expected - other.xy[pairs[:, 1]], axis=1) < 3
    return float(right.sum()) / len(one)


@pytest.mark.parametrize("size", [400, 834])
def test_most_keypoints_are_found_again_after_a_quarter_turn(size: int) -> None:
    image = _texture(size, size)
    one, other = Sift().describe(image), Sift().describe(np.rot90(image).copy())
    assert len(one) > 100
    assert _turned_places(one, other, size) > 0.7


def test_descriptors_have_128_finite_numbers_and_their_variance_as_strength() -> None:
    points = Sift().describe(_texture(300, 200))
    assert points.descriptors.shape == (len(points), 128)
    np.testing.assert_allclose(points.strength, points.descriptors.var(axis=1), rtol=1e-5)
    order = np.lexsort((points.xy[:, 0], points.xy[:, 1]))
    np.testing.assert_array_equal(order, np.arange(len(points)))


def test_octaves_outside_the_range_are_left_out() -> None:
    """Fewer octaves, fewer points; a larger image is halved, so its points lie within it on a coarser grid."""
    image = _texture(256, 256)
    everything, coarse = Sift(least=1).describe(image), Sift(least=256).describe(image)
    assert 0 < len(coarse) < len(everything)
    assert len(Sift(least=300, most=400).describe(image)) == 0
    large = cv2.resize(image, (1024, 1024), interpolation=cv2.INTER_NEAREST)[..., None]
    halved = Sift(most=256).describe(large)
    assert len(halved) == len(Sift(most=256).describe(image))
    np.testing.assert_allclose(halved.xy, (Sift(most=256).describe(image).xy + 0.5) * 4 - 0.5, atol=1e-3)


def test_an_image_without_structure_has_no_points() -> None:
    for image in (np.full((64, 64, 3), 100, np.uint8), np.zeros((1, 1, 1), np.uint8), np.zeros((5, 2000, 1), np.uint8)):
        points = Sift().describe(image)
        assert len(points) == 0
        assert points.descriptors.shape == (0, 128)


def test_wrong_images_and_options_are_refused() -> None:
    with pytest.raises(EncoderError, match="cannot be described"):
        Sift().describe(np.zeros((64, 64, 1), np.uint16))
    with pytest.raises(UsageError, match="no octave"):
        Sift(least=512, most=32)


def test_real_tissue_is_found_again_after_a_quarter_turn(shared_data: Path) -> None:
    file = sorted((shared_data / "bf-shg" / "he_aligned_derived").iterdir())[0]
    image = np.asarray(cv2.imread(str(file)), np.uint8)[..., ::-1].copy()
    one, other = Sift().describe(image), Sift().describe(np.rot90(image).copy())
    assert _turned_places(one, other, 512) > 0.7
