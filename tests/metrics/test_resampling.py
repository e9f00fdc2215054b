"""Intervals of many figures at once, against those of one, and against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.metrics import classification, ranking
from histokin.metrics.resampling import Interval, auc_interval, clusters, macro_intervals, mean_intervals, resamples

HITS = np.array([["a", "b", "a", "b"], ["b", "b", "b", "b"], ["a", "a", "b", "a"]])


def test_columns_have_the_interval_of_one() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((60, 3))
    groups = rng.integers(0, 9, 60)
    for by in (None, groups):
        found = mean_intervals(values, by, seed=4, n=300)
        for column, interval in enumerate(found):
            one = ranking.bootstrap_interval(values[:, column], seed=4, n=300, groups=by)
            assert interval[1:] == pytest.approx(one)
            assert interval.value == pytest.approx(values[:, column].mean())


def test_no_queries_have_no_interval() -> None:
    assert np.isnan(mean_intervals(np.empty((0, 2)))).all()
    assert np.isnan(auc_interval(np.zeros((0, 1), bool), np.zeros((0, 1)))).all()
    assert np.isnan(np.array(macro_intervals(np.zeros(0, int), np.zeros(0, int)))).all()


def test_whole_groups_are_drawn() -> None:
    place, sets = clusters(4, np.array(["x", "y", "x", "y"]))
    assert place.tolist() == [0, 1, 0, 1]
    assert sets == 2
    drawn = np.concatenate(list(resamples(sets, 0, 50)))
    assert drawn.shape == (50, 2)
    assert (drawn.sum(axis=1) == 2).all()
    # Two groups of equal values: the mean of a draw is 0, 0.5 or 1, and the ends are far apart.
    assert mean_intervals(np.array([[0.0], [1.0], [0.0], [1.0]]), np.array(list("xyxy")))[0] == Interval(0.5, 0, 1)


def test_a_paired_difference_is_narrower_than_its_parts() -> None:
    rng = np.random.default_rng(1)
    hard = rng.random(200)
    a, b = hard + 0.05, hard
    found = ranking.paired_interval(a, b)
    assert found == pytest.approx((0.05, 0.05, 0.05))
    assert ranking.bootstrap_interval(a, seed=0)[0] < ranking.bootstrap_interval(b, seed=0)[1]
    same = ranking.paired_interval(a, a, np.arange(200) // 2)
    assert same == (0, 0, 0)


def test_macro_figures_with_a_query_without_a_prediction() -> None:
    # Label 0: three queries, one right, one taken for 1, one without hits. Label 1: one query, right.
    truth, predicted = np.array([0, 0, 0, 1]), np.array([0, 1, -1, 1])
    found = macro_intervals(truth, predicted)
    assert found.precision.value == pytest.approx((1 + 1 / 2) / 2)
    assert found.recall.value == pytest.approx((1 / 3 + 1) / 2)
    assert found.f1.value == pytest.approx((2 / 4 + 2 / 3) / 2)
    assert all(each.low <= each.value <= each.high for each in found)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_macro_figures_are_those_of_classification(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    found = macro_intervals(truth, predicted, n=5)
    assert found.precision.value == pytest.approx(classification.macro_precision(truth, predicted))
    assert found.recall.value == pytest.approx(classification.macro_recall(truth, predicted))
    assert found.f1.value == pytest.approx(classification.macro_f1(truth, predicted))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.2, 0.4, 1.0])), min_size=2, max_size=40))
def test_the_area_is_that_of_classification(pairs: list[tuple[bool, float]]) -> None:
    positive, scores = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs])
    expected = classification.roc_auc(positive, scores)
    found = auc_interval(positive[:, None], scores[:, None], n=20)
    assert found.value == pytest.approx(expected, nan_ok=True)
    if np.isfinite(expected):
        assert found.low <= found.high


def test_the_area_of_several_classes_is_their_mean() -> None:
    positive = np.array([[True, False], [True, False], [False, True], [False, True]])
    scores = np.array([[0.9, 0.4], [0.4, 0.1], [0.5, 0.3], [0.1, 0.9]])
    # Pairs in order: 3 of 4, and 3 of 4 in the second column.
    found = auc_interval(positive, scores)
    assert found.value == pytest.approx(0.75)
    assert found.low < 0.75 < found.high


def test_scores_for_a_curve() -> None:
    assert ranking.positive_share(HITS, "b", 4).tolist() == [0.5, 1, 0.25]
    distances = np.array([[1.0, 1.0, 2.0, 4.0]] * 3)
    # Weights 1, 1, 1/2, 1/4 of 2.75 in all.
    expected = [1.25 / 2.75, 1, 0.5 / 2.75]
    assert ranking.weighted_share(HITS, distances, "b", 4, epsilon=0.0).tolist() == pytest.approx(expected)
    found = np.array([[True, False, False, False], [False] * 4, [True, True, True, False]])
    shares = ranking.weighted_share(HITS, np.where(found, distances, np.inf), "b", 4, found, epsilon=0.0)
    assert shares.tolist() == pytest.approx([0, 0, 0.5 / 2.5])
    assert ranking.positive_share(HITS, "b", 4, found).tolist() == [0, 0, 0.25]


def test_a_distance_of_zero_outweighs_and_does_not_divide() -> None:
    share = ranking.weighted_share(np.array([["a", "b"]]), np.array([[0.0, 1.0]]), "a", 2)
    assert share[0] == pytest.approx(1, abs=1e-5)


def test_chance_after_exclusions() -> None:
    relevant, allowed = np.array([1, 0, 5]), np.array([4, 3, 5])
    assert ranking.expected_precision(relevant, allowed).tolist() == [0.25, 0, 1]
    assert ranking.expected_any_hit(relevant, allowed, 2).tolist() == pytest.approx([1 - 0.75**2, 0, 1])
    assert ranking.expected_precision(np.array([0]), np.array([0])).tolist() == [0]
