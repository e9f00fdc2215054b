"""Exact search: known answers, then everything against a brute-force search in double precision."""

from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.archive.exact import exact_distances, nearest_per_group, search

Metric = Literal["euclidean", "cosine"]
METRICS: tuple[Metric, ...] = ("euclidean", "cosine")


def norms(vectors: np.ndarray) -> np.ndarray:
    squared: np.ndarray = (vectors.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)
    return squared


def brute(vectors: np.ndarray, queries: np.ndarray, metric: Metric) -> np.ndarray:
    x, q = vectors.astype(np.float64), queries.astype(np.float64)
    if metric == "euclidean":
        gaps: np.ndarray = np.sqrt(((q[:, None] - x[None]) ** 2).sum(axis=2))
        return gaps
    lengths = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(x, axis=1)[None]
    products = np.einsum("md,nd->mn", q, x)
    apart: np.ndarray = np.maximum(1 - np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0), 0)
    return apart


def test_a_known_answer() -> None:
    vectors = np.array([[0, 0], [3, 4], [0, 1], [0, 1]], np.float32)
    found = search(vectors, norms(vectors), np.zeros((1, 2), np.float32), 3, metric="euclidean")
    assert found.rows.tolist() == [[0, 2, 3]]
    assert found.distances.tolist() == [[0.0, 1.0, 1.0]]


def test_a_known_cosine() -> None:
    vectors = np.array([[2, 0], [0, 5], [-1, 0], [0, 0]], np.float32)
    found = search(vectors, norms(vectors), np.array([[1, 0]], np.float32), 4, metric="cosine")
    assert found.rows.tolist() == [[0, 1, 3, 2]]
    assert found.distances.tolist() == [[0.0, 1.0, 1.0, 2.0]]


def test_fewer_rows_than_asked_for() -> None:
    vectors = np.eye(2, dtype=np.float32)
    found = search(vectors, norms(vectors), vectors[:1], 4, metric="euclidean")
    assert found.rows.tolist() == [[0, 1, -1, -1]]
    assert np.isinf(found.distances[0, 2:]).all()


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_to_search(metric: Metric) -> None:
    empty = np.empty((0, 3), np.float32)
    found = search(empty, norms(empty), np.ones((2, 3), np.float32), 2, metric=metric)
    assert (found.rows == -1).all()
    some = np.ones((5, 3), np.float32)
    none = search(some, norms(some), some[:2], 2, metric=metric, rows=np.zeros(5, bool))
    assert (none.rows == -1).all()
    assert search(some, norms(some), some[:0], 2, metric=metric).rows.shape == (0, 2)


CASE = {
    "seed": st.integers(0, 2**32 - 1),
    "n": st.integers(1, 90),
    "d": st.integers(1, 6),
    "m": st.integers(1, 5),
    "metric": st.sampled_from(METRICS),
    "block": st.integers(1, 60),
}


def draw(seed: int, n: int, d: int, m: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """Vectors on a coarse grid, so that exact ties are common."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-3, 4, (n, d)).astype(np.float32)
    return rng, vectors, rng.integers(-3, 4, (m, d)).astype(np.float32)


@settings(max_examples=250, deadline=None)
@given(**CASE, k=st.integers(1, 100), masked=st.sampled_from(["no", "scattered", "ranges"]), excluding=st.booleans())
def test_equals_brute_force(
    seed: int, n: int, d: int, m: int, metric: Metric, block: int, k: int, masked: str, excluding: bool
) -> None:
    rng, vectors, queries = draw(seed, n, d, m)
    rows = {"no": None, "scattered": rng.random(n) < rng.random(), "ranges": np.arange(n) % 40 < rng.integers(40)}[
        masked
    ]
    groups = (rng.integers(0, 3, n), rng.integers(0, 3, m)) if excluding else None
    found = search(vectors, norms(vectors), queries, k, metric=metric, rows=rows, exclude=groups, block=block)

    true = brute(vectors, queries, metric)
    may = np.ones((m, n), bool) if rows is None else np.tile(rows, (m, 1))
    if groups is not None:
        may &= groups[0][None] != groups[1][:, None]
    for query in range(m):
        allowed = np.flatnonzero(may[query])
        # Cosines of parallel vectors differ in their last digits: what is equal to nine digits counts as a tie.
        order = allowed[np.lexsort((allowed, true[query, allowed].round(9)))][:k]
        got = found.rows[query][found.rows[query] >= 0]
        assert len(got) == len(order)
        np.testing.assert_allclose(found.distances[query, : len(got)], true[query, order], atol=1e-7)
        np.testing.assert_allclose(true[query, got], found.distances[query, : len(got)], atol=1e-7)
        assert may[query, got].all()
        assert len(set(got.tolist())) == len(got)
        if metric == "euclidean":
            assert got.tolist() == order.tolist(), "ties go to the lower row"
        assert (found.rows[query, len(got) :] == -1).all()
        assert np.isinf(found.distances[query, len(got) :]).all()

    whole = search(vectors, norms(vectors), queries, k, metric=metric, rows=rows, exclude=groups)
    assert np.array_equal(whole.rows, found.rows)
    assert np.array_equal(whole.distances, found.distances)


@settings(max_examples=150, deadline=None)
@given(**CASE, chosen=st.booleans())
def test_nearest_per_group_equals_brute_force(
    seed: int, n: int, d: int, m: int, metric: Metric, block: int, chosen: bool
) -> None:
    rng, vectors, queries = draw(seed, n, d, m)
    inner = np.sort(rng.integers(0, n + 1, rng.integers(0, 12)))
    starts = np.concatenate([[0], inner, [n]]).astype(np.int64)
    groups = rng.random(len(starts) - 1) < 0.6 if chosen else None
    distances, rows = nearest_per_group(
        vectors, norms(vectors), queries, starts, metric=metric, groups=groups, block=block
    )
    true = brute(vectors, queries, metric)
    for group, (first, last) in enumerate(pairwise(starts)):
        if first == last or (groups is not None and not groups[group]):
            assert (rows[:, group] == -1).all()
            assert np.isinf(distances[:, group]).all()
            continue
        assert ((rows[:, group] >= first) & (rows[:, group] < last)).all()
        np.testing.assert_allclose(distances[:, group], true[:, first:last].min(axis=1), atol=2e-3)
        picked = true[np.arange(m), rows[:, group]]
        np.testing.assert_allclose(picked, true[:, first:last].min(axis=1), atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("offset", "spread"), [(0.0, 1.0), (100.0, 1e-2), (0.0, 1e-4)])
def test_near_neighbors_that_single_precision_cannot_tell_apart(metric: Metric, offset: float, spread: float) -> None:
    rng = np.random.default_rng(3)
    vectors = (offset + spread * rng.normal(size=(6000, 192))).astype(np.float32)
    queries = vectors[rng.choice(6000, 7, replace=False)]
    found = search(vectors, norms(vectors), queries, 10, metric=metric, block=777)
    for query in range(len(queries)):
        true = exact_distances(vectors, np.arange(6000), queries[query], metric)
        assert found.rows[query].tolist() == np.lexsort((np.arange(6000), true))[:10].tolist()
    assert found.distances[:, 0].max() <= 1e-6


@pytest.mark.parametrize("metric", METRICS)
def test_a_crowd_of_equals(metric: Metric) -> None:
    vectors = np.ones((20_000, 4), np.float32)
    found = search(vectors, norms(vectors), vectors[:2], 5, metric=metric, block=1000)
    assert found.rows.tolist() == [[0, 1, 2, 3, 4]] * 2
    assert found.distances.max() <= 1e-6


def test_lengths_of_very_different_size() -> None:
    rng = np.random.default_rng(5)
    vectors = (rng.normal(size=(3000, 16)) * 10.0 ** rng.uniform(-3, 3, (3000, 1))).astype(np.float32)
    queries = vectors[::300]
    found = search(vectors, norms(vectors), queries, 8, metric="euclidean", block=100)
    true = brute(vectors, queries, "euclidean")
    for query in range(len(queries)):
        assert found.rows[query].tolist() == np.lexsort((np.arange(3000), true[query]))[:8].tolist()


def test_the_number_of_queries_changes_nothing() -> None:
    rng = np.random.default_rng(6)
    vectors = rng.normal(size=(2000, 24)).astype(np.float32)
    together = search(vectors, norms(vectors), vectors[:300], 5, metric="cosine")
    for query in (0, 255, 256, 299):
        alone = search(vectors, norms(vectors), vectors[query : query + 1], 5, metric="cosine")
        assert np.array_equal(alone.rows[0], together.rows[query])
        assert np.array_equal(alone.distances[0], together.distances[query])
