"""Classification metrics: hand-made cases, then agreement with scikit-learn on anything."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as peer

from histokin.errors import UsageError
from histokin.metrics.classification import (
    accuracy,
    confusion_matrix,
    labels_of,
    macro_f1,
    macro_precision,
    macro_recall,
    per_label,
    roc_auc,
)

PAIRS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abce")), min_size=1, max_size=40)


def sides(pairs: list[tuple[str, str]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([t for t, _ in pairs]), np.array([p for _, p in pairs])


def test_a_case_by_hand() -> None:
    truth, predicted = sides([("a", "a"), ("a", "b"), ("b", "b"), ("b", "b"), ("c", "a")])
    assert confusion_matrix(truth, predicted).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert confusion_matrix(truth, predicted, np.array(["c", "b", "a"])).tolist() == [[0, 0, 1], [0, 2, 0], [0, 1, 1]]
    assert accuracy(truth, predicted) == 0.6
    found = per_label(truth, predicted)
    assert found.precision.tolist() == [0.5, 2 / 3, 0.0]
    assert found.recall.tolist() == [0.5, 1.0, 0.0]
    assert found.f1.tolist() == [0.5, 0.8, 0.0]
    assert found.support.tolist() == [2, 2, 1]
    assert macro_precision(truth, predicted) == pytest.approx((0.5 + 2 / 3) / 3)
    assert macro_recall(truth, predicted) == pytest.approx(0.5)


def test_roc_auc_by_hand() -> None:
    positive = np.array([True, True, False, False])
    assert roc_auc(positive, np.array([4.0, 3.0, 2.0, 1.0])) == 1.0
    assert roc_auc(positive, np.array([1.0, 2.0, 3.0, 4.0])) == 0.0
    assert roc_auc(positive, np.array([1.0, 1.0, 1.0, 1.0])) == 0.5
    assert roc_auc(positive, np.array([3.0, 1.0, 2.0, 1.0])) == pytest.approx(2.5 / 4)
    assert np.isnan(roc_auc(np.array([True]), np.array([1.0])))


def test_unlisted_labels_are_refused() -> None:
    with pytest.raises(UsageError, match="not in the list"):
        confusion_matrix(np.array(["a"]), np.array(["b"]), np.array(["a"]))
    assert confusion_matrix(np.array([], "U1"), np.array([], "U1")).shape == (0, 0)
    assert accuracy(np.array([], "U1"), np.array([], "U1")) == 0


@given(PAIRS)
def test_agrees_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, predicted = sides(pairs)
    labels = labels_of(truth, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peer warns of a single label
        assert (confusion_matrix(truth, predicted) == peer.confusion_matrix(truth, predicted, labels=labels)).all()
        theirs = peer.precision_recall_fscore_support(truth, predicted, zero_division=0)
    ours = per_label(truth, predicted)
    for mine, other in zip(ours[1:], theirs, strict=True):
        assert np.allclose(np.asarray(mine), other)
    assert macro_f1(truth, predicted) == pytest.approx(float(theirs[2].mean()))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_roc_auc_agrees_with_scikit_learn(items: list[tuple[bool, int]]) -> None:
    positive = np.array([one for one, _ in items])
    scores = np.array([score for _, score in items], np.float64)
    if positive.all() or not positive.any():
        assert np.isnan(roc_auc(positive, scores))
    else:
        assert roc_auc(positive, scores) == pytest.approx(float(peer.roc_auc_score(positive, scores)))


def test_macro_f1() -> None:
    truth, predicted = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 2])
    # F1: 2/3 for 0 (TP 1, FN 1), 2/3 for 1 (TP 2, FP 1, FN 1), 0 for 2.
    assert macro_f1(truth, predicted) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert macro_f1(truth, truth) == 1
    assert macro_f1(np.array([], dtype=int), np.array([], dtype=int)) == 0
