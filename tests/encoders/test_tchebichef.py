"""Tchebichef moments: orthonormal polynomials, the mean as first moment, and images rebuilt from all moments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.encoders.tchebichef import low_moments, moments, polynomials
from histokin.errors import UsageError


def test_first_polynomials_by_hand() -> None:
    rows = polynomials(3, 4)
    np.testing.assert_allclose(rows[0], [0.5] * 4, rtol=1e-15)
    np.testing.assert_allclose(rows[1], np.array([-3, -1, 1, 3]) / np.sqrt(20), rtol=1e-15)
    np.testing.assert_allclose(rows[2], np.array([1, -1, -1, 1]) / 2, rtol=1e-14)


def test_orthonormal_at_256() -> None:
    rows = polynomials(11, 256)
    assert np.abs(rows @ rows.T - np.eye(11)).max() < 2e-15


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 300), st.integers(1, 20))
def test_orthonormal(size: int, count: int) -> None:
    rows = polynomials(min(count, size), size)
    np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-8)


def test_the_first_moment_is_the_sum_by_the_side() -> None:
    image = np.random.default_rng(0).random((64, 64))
    assert moments(image, 1)[0, 0] == pytest.approx(image.sum() / 64, rel=1e-14)
    assert low_moments(image, 5)[0] == pytest.approx(image.sum() / 64, rel=1e-14)


@pytest.mark.parametrize("side", [2, 5, 12])
def test_all_moments_give_the_image_back(side: int) -> None:
    image = np.random.default_rng(side).random((side, side))
    rows = polynomials(side, side)
    np.testing.assert_allclose(rows.T @ moments(image, side) @ rows, image, atol=1e-10)


def test_order_five_has_21_values_in_order() -> None:
    image = np.random.default_rng(1).random((40, 50))
    table, found = moments(image, 6), low_moments(image, 5)
    assert found.shape == (21,)
    np.testing.assert_array_equal(
        found[:6], [table[0, 0], table[1, 0], table[0, 1], table[2, 0], table[1, 1], table[0, 2]]
    )
    # A ramp from left to right has nothing but the mean and its own polynomial.
    ramp = low_moments(np.tile(np.arange(50.0), (40, 1)), 5)
    assert set(np.flatnonzero(np.abs(ramp) > 1e-9)) == {0, 2}


def test_too_small_an_image_is_refused() -> None:
    with pytest.raises(UsageError, match="6 polynomials on 4 points"):
        low_moments(np.zeros((4, 4)), 5)
    with pytest.raises(UsageError, match="0 polynomials"):
        polynomials(0, 4)
