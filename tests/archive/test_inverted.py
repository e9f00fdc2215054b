"""The index of visual words: weights and cosines by hand, filters, ties, and against a dense form."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.archive import inverted
from histokin.archive.inverted import InvertedIndex
from histokin.errors import UsageError

TOY = np.array(
    [
        [2, 0, 1, 1],
        [0, 3, 1, 0],
        [1, 1, 1, 0],
        [0, 0, 4, 0],
    ],
    np.float32,
)
WHOLE = (0.0, 1.0)


def _random(images: int, words: int, seed: int, density: float = 0.3) -> np.ndarray:
    draws = np.random.default_rng(seed)
    counts = draws.integers(1, 6, (images, words)) * (draws.random((images, words)) < density)
    return counts.astype(np.float32)


def _dense(index: InvertedIndex, counts: np.ndarray) -> np.ndarray:
    weights = counts.astype(float) / np.maximum(counts.sum(axis=1, keepdims=True), 1) * index.idf
    length = np.linalg.norm(weights, axis=1, keepdims=True)
    return np.asarray(np.divide(weights, length, out=np.zeros_like(weights), where=length > 0))


def test_weights_and_cosines_by_hand() -> None:
    """Of four images, words 0 and 1 are in two, word 2 in all, word 3 in one."""
    index = InvertedIndex(sp.csr_matrix(TOY), word_freq_range=WHOLE, match_threshold=0.0)
    two, four = np.log(2), np.log(4)
    np.testing.assert_allclose(index.idf, [two, two, 0, four])
    # The query holds words 0 and 1 once each: (ln 2, ln 2) / (sqrt 2 ln 2).
    query = sp.csr_matrix(np.array([[1, 1, 0, 0]], np.float32))
    found = index.search(query, 4)
    # Image 0: (2 ln 2, 0, 0, ln 4) has two equal parts, of which one is met: 1/2. Image 1: 1/sqrt 2. Image 2: 1.
    np.testing.assert_array_equal(found.rows, [[2, 1, 0, 3]])
    np.testing.assert_allclose(found.similarity, [[1, np.sqrt(0.5), 0.5, 0]], atol=1e-9)
    np.testing.assert_allclose(found.distances, 1 - found.similarity)


def test_cosines_by_hand_without_idf_and_sublinear() -> None:
    query = sp.csr_matrix(np.array([[1, 0, 1, 0]], np.float32))
    plain = InvertedIndex(sp.csr_matrix(TOY), idf=False, word_freq_range=WHOLE, match_threshold=0.0)
    expected = [3 / np.sqrt(12), 1 / np.sqrt(20), 2 / np.sqrt(6), 4 / np.sqrt(32)]
    np.testing.assert_allclose(plain.similarities(query)[0], expected, atol=1e-6)
    logs = InvertedIndex(sp.csr_matrix(TOY), idf=False, word_freq_range=WHOLE, match_threshold=0.0, sublinear=True)
    more = 1 + np.log(2)
    np.testing.assert_allclose(logs.similarities(query)[0, 0], (more + 1) / np.sqrt(2 * (more**2 + 2)), atol=1e-6)


def test_a_word_in_all_images_weighs_nothing() -> None:
    index = InvertedIndex(sp.csr_matrix(TOY), word_freq_range=WHOLE, match_threshold=0.0)
    assert index.idf[2] == 0
    only = sp.csr_matrix(np.array([[0, 0, 7, 0]], np.float32))
    np.testing.assert_array_equal(index.similarities(only), np.zeros((1, 4)))


def test_frequency_range_ignores_rare_and_common_words() -> None:
    """200 images: words in 1 (0.5 %), 2 (1 %), 180 (90 %), and 181 of them."""
    counts = np.zeros((200, 5), np.float32)
    for word, held in enumerate((1, 2, 180, 181, 0)):
        counts[:held, word] = 1
    index = InvertedIndex(sp.csr_matrix(counts))
    np.testing.assert_array_equal(index.used, [False, True, True, False, False])
    assert int(InvertedIndex(sp.csr_matrix(counts), word_freq_range=WHOLE).used.sum()) == 4


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), idf=st.booleans(), sublinear=st.booleans())
def test_an_indexed_image_finds_itself_with_similarity_one(seed: int, idf: bool, sublinear: bool) -> None:
    counts = sp.csr_matrix(_random(30, 80, seed))
    found = InvertedIndex(counts, idf=idf, sublinear=sublinear).search(counts, 1)
    np.testing.assert_array_equal(found.rows[:, 0], np.arange(30))
    np.testing.assert_allclose(found.similarity, 1, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 60))
def test_search_is_that_of_dense_matrices(seed: int, k: int) -> None:
    counts, asked = _random(40, 60, seed), _random(5, 60, seed + 1, 0.2)
    index = InvertedIndex(sp.csr_matrix(counts), match_threshold=0.0)
    expected = np.clip(_dense(index, asked) @ _dense(index, counts).T, 0, 1)
    order = np.argsort(-np.round(expected, 10), axis=1, kind="stable")[:, :k]
    found = index.search(sp.csr_matrix(asked), k)
    np.testing.assert_array_equal(found.rows[:, :40], order)
    np.testing.assert_allclose(found.similarity[:, :40], np.take_along_axis(expected, order, axis=1), atol=1e-9)
    np.testing.assert_allclose(index.similarities(sp.csr_matrix(asked)), expected, atol=1e-5)
    assert (found.rows[:, 40:] == -1).all()


@pytest.mark.parametrize("frequent", [0.0, 0.2, 1.0])
def test_where_words_lie_changes_no_answer(frequent: float, monkeypatch: pytest.MonkeyPatch) -> None:
    counts, asked = sp.csr_matrix(_random(60, 90, 2, 0.2)), sp.csr_matrix(_random(4, 90, 3))
    expected = InvertedIndex(counts).search(asked, 60)
    monkeypatch.setattr(inverted, "FREQUENT", frequent)
    found = InvertedIndex(counts).search(asked, 60)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.similarity, expected.similarity)


def test_ties_go_to_the_lower_row_also_where_only_the_scale_differs() -> None:
    base = _random(1, 50, 3)
    other = _random(4, 50, 4)
    counts = np.concatenate([other[:1], base * 3, other[1:2], base, base * 7, other[2:]])
    found = InvertedIndex(sp.csr_matrix(counts), word_freq_range=WHOLE).search(sp.csr_matrix(base * 2), 3)
    np.testing.assert_array_equal(found.rows, [[1, 3, 4]])
    assert len(np.unique(found.similarity)) == 1


def test_images_that_share_too_few_words_do_not_answer() -> None:
    """The query has ten words; the images hold 10, 5, 1 and 0 of them."""
    counts = np.zeros((5, 12), np.float32)
    counts[0, :10] = 1
    counts[1, :5] = 1
    counts[2, :1] = 50
    counts[3, 10] = 1
    counts[4, 11] = 1
    query = sp.csr_matrix((np.arange(12) < 10).astype(np.float32)[None])
    answers = {0.0: [0, 1, 2, 3, 4], 0.1: [0, 1, 2], 0.11: [0, 1], 0.5: [0, 1], 0.51: [0]}
    for threshold, rows in answers.items():
        index = InvertedIndex(sp.csr_matrix(counts), word_freq_range=WHOLE, match_threshold=threshold)
        found = index.search(query, 5)
        np.testing.assert_array_equal(found.rows[0], rows + [-1] * (5 - len(rows)))
        assert np.isinf(found.distances[0, len(rows) :]).all()
        np.testing.assert_array_equal(index.search(query, 1).rows, [rows[:1]])


def test_a_matching_image_is_found_behind_many_that_do_not_match() -> None:
    """One word, of great weight, is all that the first hundred share with the query."""
    counts = np.zeros((121, 60), np.float32)
    counts[:100, 0] = 100
    counts[100, 1:31] = 1
    counts[101:, 40:] = np.eye(20)
    query = np.zeros((1, 60), np.float32)
    query[0, 0], query[0, 1:31] = 1000, 1
    index = InvertedIndex(sp.csr_matrix(counts), idf=False, word_freq_range=WHOLE, match_threshold=0.5)
    assert index.similarities(sp.csr_matrix(query))[0, :100].min() > index.similarities(sp.csr_matrix(query))[0, 100]
    np.testing.assert_array_equal(index.search(sp.csr_matrix(query), 2).rows, [[100, -1]])


def test_only_allowed_rows_answer() -> None:
    counts = sp.csr_matrix(_random(30, 80, 1))
    index = InvertedIndex(counts, match_threshold=0.0)
    allowed = np.arange(30) % 3 == 0
    everything, some = index.search(counts[7], 30), index.search(counts[7], 30, rows=allowed)
    expected = [row for row in everything.rows[0] if allowed[row]]
    np.testing.assert_array_equal(some.rows[0], expected + [-1] * 20)
    assert (index.search(counts[7], 2, rows=np.zeros(30, bool)).rows == -1).all()


def test_the_order_of_images_and_of_explicit_zeros_changes_nothing() -> None:
    counts = _random(25, 40, 8)
    shuffled = np.random.default_rng(0).permutation(25)
    one = InvertedIndex(sp.csr_matrix(counts)).similarities(sp.csr_matrix(counts[:3]))
    other = InvertedIndex(sp.csr_matrix(counts[shuffled])).similarities(sp.csr_matrix(counts[:3]))
    np.testing.assert_allclose(other, one[:, shuffled], atol=1e-6)
    stored = sp.csr_matrix(counts)
    rows, columns = (part.ravel() for part in np.indices(counts.shape))
    padded = sp.csr_matrix((counts.ravel(), (rows, columns)), shape=counts.shape)
    assert padded.nnz > stored.nnz
    assert (InvertedIndex(padded).idf == InvertedIndex(stored).idf).all()
    assert padded.nnz == counts.size


def test_empty_images_and_queries_match_nothing() -> None:
    counts = np.concatenate([_random(10, 20, 0), np.zeros((1, 20), np.float32)])
    index = InvertedIndex(sp.csr_matrix(counts))
    assert 10 not in index.search(sp.csr_matrix(counts[:2]), 11).rows
    np.testing.assert_array_equal(index.similarities(sp.csr_matrix(counts[10:])), np.zeros((1, 11)))
    empty = InvertedIndex(sp.csr_matrix((0, 20), dtype=np.float32))
    assert (empty.search(sp.csr_matrix(counts[:1]), 3).rows == -1).all()
    assert index.search(sp.csr_matrix((0, 20), dtype=np.float32), 3).rows.shape == (0, 3)


def test_wrong_counts_and_options_are_refused() -> None:
    with pytest.raises(UsageError, match="negative or not finite"):
        InvertedIndex(sp.csr_matrix(-TOY))
    with pytest.raises(UsageError, match="negative or not finite"):
        InvertedIndex(sp.csr_matrix(TOY * np.float32(np.nan)))
    with pytest.raises(UsageError, match="word frequencies"):
        InvertedIndex(sp.csr_matrix(TOY), word_freq_range=(0.9, 0.1))
    with pytest.raises(UsageError, match="match threshold"):
        InvertedIndex(sp.csr_matrix(TOY), match_threshold=2.0)
    with pytest.raises(UsageError, match="the index of 4"):
        InvertedIndex(sp.csr_matrix(TOY)).search(sp.csr_matrix(TOY[:, :3]), 1)
