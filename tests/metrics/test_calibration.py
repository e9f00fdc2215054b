"""Calibration: known errors, and a temperature that undoes one that was put in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.errors import UsageError
from histokin.metrics.calibration import (
    COLDEST,
    HOTTEST,
    cross_entropy,
    expected_calibration_error,
    fit_temperature,
    reliability,
    softmax,
)
from histokin.metrics.class_scores import class_scores


def drawn(items: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and classes drawn with the very probabilities that these give."""
    rng = np.random.default_rng(seed)
    logits = 2.0 * rng.standard_normal((items, 4))
    shares = softmax(logits).cumsum(axis=1)
    return logits, (rng.random((items, 1)) > shares[:, :-1]).sum(axis=1)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(factor: float) -> None:
    logits, truth = drawn(4000, 1)
    found = fit_temperature(logits * factor, truth)
    assert found == pytest.approx(factor, rel=0.08)
    assert cross_entropy(logits * factor, truth, found) <= cross_entropy(logits * factor, truth) + 1e-12


def test_overconfidence_is_lowered() -> None:
    logits, truth = drawn(2000, 2)
    sure, (_, fresh) = 4 * logits, drawn(2000, 2)
    assert (truth == fresh).all()
    temperature = fit_temperature(sure[:1000], truth[:1000])
    before, after = (softmax(sure[1000:], heat).max(axis=1) for heat in (1.0, temperature))
    right = sure[1000:].argmax(axis=1) == truth[1000:]
    assert expected_calibration_error(before, right) > 0.15
    assert expected_calibration_error(after, right) < 0.05


def test_a_perfect_and_a_useless_classifier_reach_the_limits() -> None:
    truth = np.array([0, 1])
    assert fit_temperature(np.array([[1.0, 0.0], [0.0, 1.0]]), truth) == pytest.approx(COLDEST, rel=1e-6)
    assert fit_temperature(np.array([[0.0, 1.0], [1.0, 0.0]]), truth) == pytest.approx(HOTTEST, rel=1e-6)
    with pytest.raises(UsageError, match="no item"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0, np.int64))


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.55, 0.55])
    right = np.array([True, True, True, False, True, False])
    # Four items at 0.9 are right 3 times of 4, two at 0.55 once of 2.
    assert expected_calibration_error(confidence, right, 10) == pytest.approx((4 * 0.15 + 2 * 0.05) / 6)
    found = reliability(confidence, right, 10)
    assert found.items.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 4, 0]
    assert found.accuracy[8] == 0.75
    assert np.isnan(found.accuracy[0])
    assert np.isnan(expected_calibration_error(np.zeros(0), np.zeros(0, bool)))


def test_confidence_on_an_edge_belongs_below() -> None:
    found = reliability(np.array([0.0, 0.5, 1.0]), np.array([True, True, True]), 2)
    assert found.items.tolist() == [2, 1]


@settings(deadline=None)
@given(st.floats(0.1, 10), st.floats(-500, 500))
def test_softmax_does_not_overflow_and_ignores_shifts(temperature: float, shift: float) -> None:
    logits = np.array([[800.0, -800.0, 0.0], [1.0, 2.0, 3.0]])
    shares = softmax(logits, temperature)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(softmax(logits + shift, temperature), shares, atol=1e-9)


def test_scores_of_a_small_set() -> None:
    logits = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    found = class_scores(logits, np.array([0, 1, 1, 2]), ("a", "b", "c"))
    assert found["accuracy"] == 0.75
    assert found["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert found["classes"]["a"]["precision"] == 0.5
    assert found["classes"]["b"]["recall"] == 0.5
    assert found["classes"]["c"]["auroc"] == 1.0
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert found["balanced_accuracy"] == pytest.approx((1 + 0.5 + 1) / 3)
    absent = class_scores(logits[:1], np.array([0]), ("a", "b", "c"))
    assert np.isnan(absent["classes"]["b"]["auroc"])
    assert absent["mean_average_precision"] == 1.0
