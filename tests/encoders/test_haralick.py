"""Haralick texture: the example of the paper by hand, invariance under quarter turns, and scikit-image's figures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.feature import graycomatrix, graycoprops

from histokin.encoders.haralick import NAMES, co_occurrence, features, rotation_invariant
from histokin.errors import UsageError

EXAMPLE = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]], np.uint8)
"""Figure 3 of Haralick, Shanmugam, Dinstein 1973, with its tables of 0, 45, 90 and 135 degrees."""

TABLES = {
    0: np.array([[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]]),
    2: np.array([[6, 0, 2, 0], [0, 4, 2, 0], [2, 2, 2, 2], [0, 0, 2, 0]]),
    1: np.array([[2, 1, 3, 0], [1, 2, 1, 0], [3, 1, 0, 2], [0, 0, 2, 0]]),
    3: np.array([[4, 1, 0, 0], [1, 2, 2, 0], [0, 2, 4, 1], [0, 0, 1, 0]]),
}


def test_the_papers_tables() -> None:
    found = co_occurrence(EXAMPLE, 4)
    for place, table in TABLES.items():
        np.testing.assert_allclose(found[place] * table.sum(), table, atol=1e-12)


def test_features_by_hand() -> None:
    found = dict(zip(NAMES, features(co_occurrence(EXAMPLE, 4)[0]), strict=True))
    margin = np.array([7, 6, 8, 3]) / 24
    mean = float(np.arange(4) @ margin)
    variance = float((np.arange(4) - mean) ** 2 @ margin)
    assert found["angular second moment"] == pytest.approx(84 / 576)
    assert found["contrast"] == pytest.approx(14 / 24)
    assert found["inverse difference moment"] == pytest.approx(19.4 / 24)
    assert found["sum average"] == pytest.approx(2 * mean)
    assert found["sum of squares"] == pytest.approx(variance)
    assert found["correlation"] == pytest.approx(1 - 14 / 24 / (2 * variance))
    assert found["sum variance"] == pytest.approx(4 * variance - 14 / 24)
    differences = np.array([16, 6, 2]) / 24
    assert found["difference entropy"] == pytest.approx(-(differences * np.log2(differences)).sum())
    assert found["difference variance"] == pytest.approx(14 / 24 - (10 / 24) ** 2)
    sums = np.array([4, 4, 6, 0, 6, 2, 2]) / 24
    assert found["sum entropy"] == pytest.approx(-(sums[sums > 0] * np.log2(sums[sums > 0])).sum())
    shares = np.array([4, 4, 6, 2, 2, 2, 1, 1, 1, 1]) / 24
    entropy = -(shares * np.log2(shares)).sum()
    single = -(margin * np.log2(margin)).sum()
    assert found["entropy"] == pytest.approx(entropy)
    assert found["information measure of correlation 1"] == pytest.approx((entropy - 2 * single) / single)
    second = np.sqrt(1 - np.exp(-2 * (2 * single - entropy)))
    assert found["information measure of correlation 2"] == pytest.approx(second)


def test_as_scikit_image() -> None:
    gray = np.random.default_rng(0).integers(0, 32, (40, 30), dtype=np.uint8)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    theirs = graycomatrix(gray, [1], angles, levels=32, symmetric=True, normed=True)
    ours = co_occurrence(gray, 32)
    for angle, place in enumerate((0, 1, 2, 3)):
        match = [np.allclose(theirs[:, :, 0, angle], table) for table in ours]
        assert sum(match) == 1, (angle, place)
    for name, place in (("contrast", 1), ("ASM", 0), ("homogeneity", 4), ("correlation", 2)):
        values = np.sort([features(table)[place] for table in ours])
        np.testing.assert_allclose(values, np.sort(graycoprops(theirs, name)[0]), rtol=1e-10)


@settings(max_examples=25, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(2, 12), st.integers(2, 12)), elements=st.integers(0, 15)))
def test_quarter_turns_and_mirrors_change_nothing(gray: np.ndarray) -> None:
    wanted = rotation_invariant(gray, 16)
    assert np.isfinite(wanted).all()
    for turned in (np.rot90(gray), np.rot90(gray, 2), gray[:, ::-1], gray.T):
        np.testing.assert_allclose(rotation_invariant(np.ascontiguousarray(turned), 16), wanted, rtol=1e-12, atol=1e-12)


def test_invariance_of_a_larger_image_is_to_the_last_digit() -> None:
    gray = np.random.default_rng(1).integers(0, 256, (96, 80), dtype=np.uint8)
    first, second = rotation_invariant(gray), rotation_invariant(np.ascontiguousarray(np.rot90(gray)))
    assert np.abs(first - second).max() <= 1e-15 * np.abs(first).max()


def test_a_plain_image_is_finite_and_others_are_refused() -> None:
    plain = rotation_invariant(np.full((8, 8), 255, np.uint8))
    assert plain[:3].tolist() == [1, 0, 1]
    assert not plain[13:].any()
    with pytest.raises(UsageError, match="texture of 1 x 8 pixels"):
        rotation_invariant(np.zeros((1, 8), np.uint8))
    with pytest.raises(UsageError, match="gray level 9"):
        rotation_invariant(np.full((4, 4), 9, np.uint8), 8)
