"""Ranking metrics against values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histokin.errors import UsageError
from histokin.metrics import ranking

HITS = np.array([["a", "b", "a", "b", "b"], ["b", "b", "b", "b", "b"], ["c", "a", "b", "a", "b"]])
TRUTH = np.array(["a", "a", "a"])


def test_hits_at_k() -> None:
    assert ranking.hits_at_k(HITS, TRUTH, 1).tolist() == [1, 0, 0]
    assert ranking.hits_at_k(HITS, TRUTH, 2).tolist() == [1, 0, 1]
    assert ranking.hits_at_k(HITS, TRUTH, 5).tolist() == [1, 0, 1]


def test_precision_at_k_divides_by_k() -> None:
    assert ranking.precision_at_k(HITS, TRUTH, 5).tolist() == [0.4, 0.0, 0.4]
    found = np.array([[True, False, False, False, False]] * 3)
    assert ranking.precision_at_k(HITS, TRUTH, 5, found).tolist() == [0.2, 0.0, 0.0]


def test_majority_vote_and_its_tie_rule() -> None:
    assert ranking.majority_vote(HITS, 5).tolist() == ["b", "b", "a"]
    assert ranking.majority_vote(HITS, 2).tolist() == ["a", "b", "c"]
    tie = np.array([[3, 1, 1, 3], [7, 2, 5, 9]])
    assert ranking.majority_vote(tie, 4).tolist() == [3, 7]


def test_majority_vote_ignores_places_without_a_hit() -> None:
    hits = np.array([[0, 1, 1, 1]])
    assert ranking.majority_vote(hits, 4, np.array([[True, True, False, False]])).tolist() == [0]
    with pytest.raises(UsageError, match="without hits"):
        ranking.majority_vote(hits, 4, np.zeros((1, 4), dtype=bool))


def test_average_precision_at_k() -> None:
    # Relevant at ranks 1 and 3: (1/1 + 2/3) / min(5, R).
    of_two = ranking.average_precision_at_k(HITS, TRUTH, np.array([2, 2, 2]), 5)
    np.testing.assert_allclose(of_two, [(1 + 2 / 3) / 2, 0, (1 / 2 + 2 / 4) / 2])
    of_many = ranking.average_precision_at_k(HITS, TRUTH, np.array([90, 90, 90]), 5)
    np.testing.assert_allclose(of_many, [(1 + 2 / 3) / 5, 0, (1 / 2 + 2 / 4) / 5])
    assert ranking.average_precision_at_k(HITS, TRUTH, np.array([0, 0, 0]), 5)[1] == 0


def test_chance() -> None:
    balanced, queries = np.array(["n", "c"] * 50), np.array(["n", "c"])
    assert ranking.chance_precision(balanced, queries) == 0.5
    assert ranking.chance_any_hit(balanced, queries, 3) == pytest.approx(0.875)
    assert ranking.chance_any_hit(balanced, queries, 5) == pytest.approx(0.96875)
    skewed = np.array(["c"] * 30 + ["n"] * 70)
    per_prevalence = np.array(["c"] * 3 + ["n"] * 7)
    assert ranking.chance_any_hit(skewed, per_prevalence, 3) == pytest.approx(0.878, abs=5e-4)
    assert ranking.chance_any_hit(skewed, per_prevalence, 5) == pytest.approx(0.948, abs=5e-4)
    assert ranking.chance_precision(skewed, np.array(["zebra", "a"])) == 0
    assert ranking.chance_precision(np.array([], dtype=str), queries) == 0


def test_bootstrap_interval() -> None:
    assert ranking.bootstrap_interval(np.full(10, 0.7), seed=1) == pytest.approx((0.7, 0.7))
    values = np.array([0.0] * 50 + [1.0] * 50)
    low, high = ranking.bootstrap_interval(values, seed=1)
    # The mean of 100 fair coins: 0.5 with a standard error of 0.05.
    assert (low, high) == pytest.approx((0.402, 0.598), abs=0.015)
    assert ranking.bootstrap_interval(values, seed=1) == (low, high)
    assert all(math.isnan(bound) for bound in ranking.bootstrap_interval(np.array([]), seed=0))


@pytest.mark.parametrize("k", [0, 6])
def test_k_beyond_the_lists_is_refused(k: int) -> None:
    with pytest.raises(UsageError, match="5 places"):
        ranking.precision_at_k(HITS, TRUTH, k)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_relations_that_always_hold(seed: int, k: int) -> None:
    draws = np.random.default_rng(seed)
    hits, truth = draws.integers(0, 3, (6, 8)), draws.integers(0, 3, 6)
    precision, any_hit = ranking.precision_at_k(hits, truth, k), ranking.hits_at_k(hits, truth, k)
    relevant = np.maximum((hits == truth[:, None]).sum(axis=1), 1)
    average = ranking.average_precision_at_k(hits, truth, relevant, k)
    assert np.array_equal(any_hit, precision > 0)
    assert ((average >= 0) & (average <= 1 + 1e-12)).all()
    vote = ranking.majority_vote(hits, k)
    for row, winner in zip(hits[:, :k], vote, strict=True):
        counts = np.bincount(row, minlength=3)
        assert counts[winner] == counts.max()


def test_recall_by_hand() -> None:
    neighbours, truth = np.array([[1, 2, 1, 1], [2, 2, 1, 1]]), np.array([1, 2])
    relevant = np.array([6, 2])
    assert ranking.recall_at_k(neighbours, truth, relevant, 4).tolist() == [0.5, 1.0]
    assert ranking.pool_limited_recall_at_k(neighbours, truth, relevant, 4).tolist() == [0.75, 1.0]
    assert ranking.recall_at_k(neighbours, truth, np.array([0, 2]), 1).tolist() == [0.0, 0.5]


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_pool_limited_recall_is_precision_where_the_archive_holds_enough(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    neighbours, truth = rng.integers(0, 3, (5, 6)), rng.integers(0, 3, 5)
    pooled = ranking.pool_limited_recall_at_k(neighbours, truth, rng.integers(k, 99, 5), k)
    assert np.allclose(pooled, ranking.precision_at_k(neighbours, truth, k))


def test_groups_widen_the_interval_of_queries_that_are_alike() -> None:
    values = np.repeat(np.random.default_rng(0).integers(0, 2, 20).astype(np.float64), 30)
    groups = np.repeat(np.arange(20), 30)
    alone, together = (ranking.bootstrap_interval(values, 1, groups=g) for g in (None, groups))
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])
    of_means = ranking.bootstrap_interval(values[::30], 1)
    assert together == pytest.approx(of_means)
