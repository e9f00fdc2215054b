"""Rates of every class: the published table recomputed from counts, hand examples, and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from histokin.errors import UsageError
from histokin.metrics.classification import roc_auc
from histokin.metrics.one_vs_rest import (
    average_precision,
    balanced_accuracy,
    cohen_kappa,
    one_vs_rest,
    roc_curve,
)

MODELS = {
    # true positives, false positives and false negatives of the classes, then what the paper prints
    "resnet50": (
        [(112, 7, 9), (106, 9, 15), (109, 3, 2), (102, 9, 7), (109, 5, 0)],
        [
            (0.941, 0.926, 0.984, 0.980),
            (0.922, 0.876, 0.980, 0.967),
            (0.973, 0.982, 0.993, 0.996),
            (0.919, 0.936, 0.981, 0.985),  # printed .988
            (0.956, 1.0, 0.989, 1.0),
        ],
    ),
    "densenet121": (
        [(111, 7, 10), (109, 10, 12), (111, 17, 0), (91, 4, 18), (106, 5, 3)],
        [
            (0.941, 0.917, 0.984, 0.978),
            (0.916, 0.901, 0.978, 0.973),
            (0.867, 1.0, 0.963, 1.0),
            (0.958, 0.835, 0.991, 0.962),
            (0.955, 0.972, 0.989, 0.993),  # printed .973
        ],
    ),
    "inception_v3": (
        [(103, 8, 18), (99, 11, 22), (110, 5, 1), (108, 23, 1), (100, 4, 9)],
        [
            (0.928, 0.851, 0.982, 0.961),
            (0.900, 0.818, 0.976, 0.952),  # printed .998
            (0.957, 0.991, 0.989, 0.998),
            (0.824, 0.991, 0.950, 0.998),
            (0.962, 0.917, 0.991, 0.981),  # printed .174
        ],
    ),
}


def confusion(claims: list[tuple[int, int, int]]) -> np.ndarray:
    """A confusion matrix with these margins: wrong claims are dealt out to whoever still misses some."""
    counts = np.diag([right for right, _, _ in claims]).astype(np.int64)
    wrongly, missed = [c[1] for c in claims], [c[2] for c in claims]
    # Largest first, so that nobody is left with his own misses only.
    while sum(missed):
        row = int(np.argmax(missed))
        column = max((i for i in range(len(claims)) if i != row), key=lambda i: (wrongly[i] + missed[i], wrongly[i]))
        assert wrongly[column] > 0
        counts[row, column] += 1
        wrongly[column] -= 1
        missed[row] -= 1
    return counts


@pytest.mark.parametrize("model", sorted(MODELS))
def test_published_rates_from_the_counts(model: str) -> None:
    claims, printed = MODELS[model]
    counts = confusion(claims)
    assert counts.sum() == 571
    assert counts.sum(axis=1).tolist() == [121, 121, 111, 109, 109]
    found = one_vs_rest(counts)
    ours = np.stack([found.precision, found.recall, found.specificity, found.npv], axis=1)
    np.testing.assert_allclose(ours, printed, atol=0.00051)


def test_accuracies_that_the_paper_does_not_print() -> None:
    rights = {name: sum(c[0] for c in claims) for name, (claims, _) in MODELS.items()}
    assert {name: round(100 * right / 571, 1) for name, right in rights.items()} == {
        "resnet50": 94.2,
        "densenet121": 92.5,
        "inception_v3": 91.1,
    }


def test_a_class_that_never_occurs_has_rates_of_zero() -> None:
    found = one_vs_rest(np.array([[3, 0], [0, 0]]))
    assert found.precision.tolist() == [1.0, 0.0]
    assert found.specificity.tolist() == [0.0, 1.0]
    assert found.npv.tolist() == [0.0, 1.0]
    assert balanced_accuracy(np.array([[3, 0], [0, 0]])) == 1.0


def test_kappa_of_a_textbook_table() -> None:
    # 50 grants, two readers: observed 0.7, by chance 0.5.
    assert cohen_kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)
    assert cohen_kappa(np.eye(3, dtype=np.int64), "quadratic") == pytest.approx(1.0)
    assert np.isnan(cohen_kappa(np.array([[4, 0], [0, 0]])))
    near, far = np.array([[2, 1, 0], [0, 3, 0], [0, 0, 3]]), np.array([[2, 0, 1], [0, 3, 0], [0, 0, 3]])
    assert cohen_kappa(near) > cohen_kappa(near, "none") - 1e-12
    assert cohen_kappa(near, "quadratic") > cohen_kappa(far, "quadratic")


def test_average_precision_by_hand() -> None:
    positive = np.array([True, False, True, False])
    assert average_precision(positive, np.array([4.0, 3.0, 2.0, 1.0])) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    # Equal scores are one threshold, whatever the order.
    assert average_precision(positive, np.zeros(4)) == 0.5
    assert np.isnan(average_precision(np.zeros(2, bool), np.zeros(2)))


@settings(deadline=None, max_examples=40)
@given(
    arrays.arrays(np.bool_, 12),
    arrays.arrays(np.float64, 12, elements=st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.9])),
)
def test_curves_agree_with_scikit_learn(positive: np.ndarray, scores: np.ndarray) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    if positive.all() or not positive.any():
        with pytest.raises(UsageError, match="both kinds"):
            roc_curve(positive, scores)
        return
    assert average_precision(positive, scores) == pytest.approx(metrics.average_precision_score(positive, scores))
    found = roc_curve(positive, scores)
    wide = np.diff(found.false_positive_rate)
    high = (found.true_positive_rate[1:] + found.true_positive_rate[:-1]) / 2
    assert float((wide * high).sum()) == pytest.approx(roc_auc(positive, scores))
    assert found.false_positive_rate[-1] == found.true_positive_rate[-1] == 1


def test_kappa_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth, said = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    counts = metrics.confusion_matrix(truth, said)
    assert cohen_kappa(counts) == pytest.approx(metrics.cohen_kappa_score(truth, said))
    weighted = metrics.cohen_kappa_score(truth, said, weights="quadratic")
    assert cohen_kappa(counts, "quadratic") == pytest.approx(weighted)
