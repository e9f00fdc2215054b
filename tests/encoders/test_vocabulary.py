"""Visual words: k-means and nearest words."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.encoders.vocabulary import learn_vocabulary, nearest_words
from histokin.errors import EncoderError, UsageError


def _clusters(centers: np.ndarray, each: int, spread: float = 0.05, seed: int = 0) -> np.ndarray:
    draws = np.random.default_rng(seed)
    points = np.repeat(centers, each, axis=0) + draws.normal(0, spread, (len(centers) * each, centers.shape[1]))
    return np.asarray(draws.permutation(points), np.float32)


def test_separate_clusters_become_the_words() -> None:
    centers = np.array([[0, 0, 0], [5, 0, 0], [0, 5, 0]], float)
    words = learn_vocabulary(_clusters(centers, 200), 3, seed=1, per_word=1000)
    gaps = np.linalg.norm(words[:, None] - centers[None], axis=2)
    assert sorted(gaps.argmin(axis=1).tolist()) == [0, 1, 2]
    assert gaps.min(axis=1).max() < 0.02


def test_more_passes_fit_better_than_one() -> None:
    points = np.random.default_rng(0).normal(size=(4000, 16)).astype(np.float32)

    def misfit(iterations: int) -> float:
        words = learn_vocabulary(points, 50, seed=3, iterations=iterations, per_word=80)
        return float(((points - words[nearest_words(points, words)]) ** 2).sum(axis=1).mean())

    assert misfit(10) < misfit(1)


def test_who_watches_is_told_of_every_pass_and_gets_the_same_words() -> None:
    descriptors = np.random.default_rng(2).normal(size=(400, 8)).astype(np.float32)
    told: list[tuple[int, int]] = []
    watched = learn_vocabulary(descriptors, 30, iterations=4, watch=lambda done, planned: told.append((done, planned)))
    assert told == [(done, 4) for done in range(5)]
    np.testing.assert_array_equal(watched, learn_vocabulary(descriptors, 30, iterations=4))


def test_a_vocabulary_is_not_larger_than_its_descriptors() -> None:
    points = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    np.testing.assert_array_equal(learn_vocabulary(points, 20_000), points)
    assert learn_vocabulary(points, 3).shape == (3, 4)


def test_the_same_seed_gives_the_same_words_and_another_seed_others() -> None:
    points = np.random.default_rng(0).normal(size=(3000, 8)).astype(np.float32)
    one, again, other = (learn_vocabulary(points, 20, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 700), words=st.integers(1, 300))
def test_nearest_words_are_the_nearest(seed: int, count: int, words: int) -> None:
    draws = np.random.default_rng(seed)
    points, centers = draws.normal(size=(count, 8)).astype(np.float32), draws.normal(size=(words, 8)).astype(np.float32)
    gaps = np.linalg.norm(points[:, None].astype(float) - centers[None].astype(float), axis=2)
    found = nearest_words(points, centers)
    np.testing.assert_allclose(gaps[np.arange(count), found], gaps.min(axis=1), atol=1e-5)


def test_of_equal_words_the_first_is_taken() -> None:
    words = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    np.testing.assert_array_equal(nearest_words(words, words), [0, 1, 0])


def test_nothing_to_learn_from_is_refused() -> None:
    for points in (np.empty((0, 4), np.float32), np.full((3, 4), np.nan, np.float32)):
        with pytest.raises(UsageError, match="no vocabulary"):
            learn_vocabulary(points, 3)
    with pytest.raises(UsageError, match="at least one word"):
        learn_vocabulary(np.ones((3, 4), np.float32), 0)


def test_a_missing_faiss_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(EncoderError, match=r"faiss.*histokin\[subimage\]"):
        learn_vocabulary(np.ones((3, 4), np.float32), 2)
