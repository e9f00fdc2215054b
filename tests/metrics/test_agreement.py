"""Agreement of images in a common space: known answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histokin.metrics.agreement import correlation, equivariance_score, tile_correlations, tile_top1


def image(seed: int, height: int = 16, width: int = 16, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, channels), np.float32)


def test_correlation_of_known_images() -> None:
    one = image(0)
    assert correlation(one, one * np.float32(3) + np.float32(2)) == pytest.approx(1)
    assert correlation(one, -one) == pytest.approx(-1)
    assert correlation(one, np.ones_like(one)) == 0.0
    expected = np.corrcoef(one.ravel(), image(1).ravel())[0, 1]
    assert correlation(one, image(1)) == pytest.approx(expected)


def test_equivariance_of_known_maps() -> None:
    images = [image(i) for i in range(3)]
    assert equivariance_score(lambda values: values * np.float32(2), images) == pytest.approx(1)
    ramp = np.linspace(0, 1, 16, dtype=np.float32)[:, None, None] * np.ones((16, 16, 1), np.float32)
    # A map that answers the same ramp for everything: turned back by 90, 180, 270 degrees it agrees 0, -1, 0.
    assert equivariance_score(lambda values: ramp, images) == pytest.approx(-1 / 3)


def test_tiles_of_the_same_place_are_on_the_diagonal() -> None:
    ones = [image(i, 40, 24) for i in range(2)]
    table = tile_correlations(ones, [one * np.float32(-2) for one in ones], 8)
    assert table.shape == (30, 30)
    assert np.allclose(np.diag(table), -1)
    same = tile_correlations(ones, ones, 8)
    assert tile_top1(same) == 1.0
    assert tile_top1(-same) == 0.0


def test_constant_tiles_count_as_wrong() -> None:
    flat = [np.zeros((16, 16, 1), np.float32)]
    assert tile_top1(tile_correlations(flat, flat, 8)) == 0.0


@given(seed=st.integers(0, 1000), gain=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_correlation_does_not_see_brightness_and_contrast(seed: int, gain: float, shift: float) -> None:
    one, other = image(seed), image(seed + 1)
    changed = other * np.float32(gain) + np.float32(shift)
    assert correlation(one, changed) == pytest.approx(correlation(one, other), abs=1e-3)
