"""Archives of word counts: sparse on disk, whole or not at all, searched by weights of their version."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from histokin.archive import store as store_module
from histokin.archive.calibration import own_distances
from histokin.archive.counts import Counts
from histokin.archive.counts_search import search_counts
from histokin.archive.records import PatchBatch
from histokin.archive.store import Store
from histokin.errors import ArchiveError, ArchiveFormat

Make = Callable[..., Any]
WORDS = 5


@pytest.fixture
def bags(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "bags", {"encoder": "e"}, dim=WORDS, metric="cosine", kind="counts")


def rows(*given_rows: Sequence[int]) -> Counts:
    return Counts.of(csr_matrix(np.array(given_rows, np.float32).reshape(-1, WORDS)))


def batch(source: Sequence[int], counts: Counts) -> PatchBatch:
    count = len(source)
    boxes = np.stack([np.arange(count), np.arange(count), np.full(count, 9), np.full(count, 9)], axis=1)
    tissue = np.ones(count, np.float32)
    return PatchBatch(np.array(source, np.int32), boxes.astype(np.int32), tissue, [""] * count, counts, None)


def dense(counts: Counts | None) -> list[list[float]]:
    assert counts is not None
    found: list[list[float]] = counts.matrix().toarray().tolist()
    return found


def test_rows_of_counts_known_answer() -> None:
    counts = rows([0, 2, 0, 0, 1], [0, 0, 0, 0, 0], [3, 0, 0, 0, 0])
    assert counts.starts.tolist() == [0, 2, 2, 3]
    assert counts.words.tolist() == [1, 4, 0]
    assert counts.values.tolist() == [2, 1, 3]
    picked = counts.rows(np.array([2, 0, 2, 1]))
    assert dense(picked) == [[3, 0, 0, 0, 0], [0, 2, 0, 0, 1], [3, 0, 0, 0, 0], [0] * 5]
    assert dense(Counts.join([picked, counts], WORDS)) == dense(picked) + dense(counts)
    assert len(Counts.join([], WORDS)) == 0


@given(st.lists(st.lists(st.integers(0, 3), min_size=WORDS, max_size=WORDS), max_size=8), st.randoms())
@settings(deadline=None, max_examples=30)
def test_any_rows_come_back_in_any_order(table: list[list[int]], random: Any) -> None:
    counts = rows(*table)
    counts.check()
    order = list(range(len(table)))
    random.shuffle(order)
    assert dense(counts.rows(np.array(order, np.int64))) == [table[i] for i in order]


@pytest.mark.parametrize(
    ("starts", "words", "values"),
    [
        ([0, 1], [5], [1]),
        ([0, 1], [-1], [1]),
        ([0, 2], [1, 1], [1, 1]),
        ([0, 2], [2, 1], [1, 1]),
        ([0, 1], [1], [0]),
        ([0, 1], [1], [-1]),
        ([0, 1], [1], [np.nan]),
        ([0, 2], [1], [1]),
        ([1, 1], [1], [1]),
        ([0, 2, 1], [1, 2], [1, 1]),
    ],
)
def test_what_is_no_count_is_refused(starts: list[int], words: list[int], values: list[float]) -> None:
    made = Counts(np.array(starts, np.int64), np.array(words, np.int32), np.array(values, np.float32), WORDS)
    with pytest.raises(ArchiveError):
        made.check()


def test_words_may_fall_from_one_row_to_the_next() -> None:
    rows([0, 0, 0, 0, 1], [0] * 5, [1, 0, 0, 0, 0], [1, 1, 0, 0, 0]).check()


def test_counts_come_out_as_they_went_in(bags: Store, make_source: Make) -> None:
    sources = [make_source("a"), make_source("b"), make_source("empty")]
    first, second = rows([1, 0, 0, 0, 0], [0, 2, 0, 0, 0], [0, 0, 3, 0, 0]), rows([0] * 5, [0, 0, 0, 4, 5])
    with bags.writer():
        assert bags.commit(sources, iter([batch([0, 1, 0], first), batch([1, 0], second)])) == 5
    snapshot = Store.open(bags.path).snapshot()
    assert snapshot.starts.tolist() == [0, 3, 5, 5]
    assert dense(snapshot.counts) == [
        [1, 0, 0, 0, 0],
        [0, 0, 3, 0, 0],
        [0, 0, 0, 4, 5],
        [0, 2, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert snapshot.vectors.shape == (5, 0)
    assert Store.open(bags.path).snapshot().folder == snapshot.folder


def test_an_empty_store_of_counts(bags: Store) -> None:
    snapshot = bags.snapshot()
    assert dense(snapshot.counts) == []
    found = search_counts(snapshot, rows([1, 0, 0, 0, 0]), 3)
    assert found.rows.tolist() == [[-1, -1, -1]]
    assert len(own_distances(snapshot)) == 0


def test_replaced_removed_and_compacted(bags: Store, make_source: Make) -> None:
    bags.commit([make_source("a"), make_source("b")], [batch([0, 1], rows([1, 0, 0, 0, 0], [0, 1, 0, 0, 0]))])
    bags.commit([make_source("a", label="new")], [batch([0], rows([0, 0, 0, 7, 0]))])
    assert dense(bags.snapshot().counts) == [[0, 1, 0, 0, 0], [0, 0, 0, 7, 0]]
    with bags.writer():
        bags.compact()
        bags.remove(["id-b"])
    assert dense(Store.open(bags.path).snapshot().counts) == [[0, 0, 0, 7, 0]]


def test_a_commit_that_breaks_off_leaves_nothing(bags: Store, make_source: Make) -> None:
    def broken() -> Iterator[PatchBatch]:
        yield batch([0], rows([1, 0, 0, 0, 0]))
        raise KeyError("encoder")

    with pytest.raises(KeyError, match="encoder"):
        bags.commit([make_source("a")], broken())
    assert Store.open(bags.path).sources() == []
    bags.commit([make_source("a")], [batch([0], rows([0, 1, 0, 0, 0]))])
    assert dense(bags.snapshot().counts) == [[0, 1, 0, 0, 0]]


def test_vectors_and_counts_do_not_mix(bags: Store, store: Store, make_source: Make, make_batch: Make) -> None:
    with pytest.raises(ArchiveError, match="vectors of 5 numbers do not fit an archive of counts of 5 words"):
        bags.commit([make_source("a")], [make_batch([0], dim=WORDS)])
    with pytest.raises(ArchiveError, match="counts of 5 words do not fit an archive of vectors of 4 numbers"):
        store.commit([make_source("a")], [batch([0], rows([1, 0, 0, 0, 0]))])
    other = Counts.of(csr_matrix(np.ones((1, 6), np.float32)))
    with pytest.raises(ArchiveError, match="counts of 6 words do not fit an archive of 5"):
        bags.commit([make_source("a")], [batch([0], other)])
    assert bags.sources() == store.sources() == []
    with pytest.raises(ArchiveError, match="no word counts"):
        _ = store.snapshot().inverted


def test_the_format_tells_old_versions_apart(bags: Store, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads((store.path / "archive.json").read_text())["format"] == 1
    assert json.loads((bags.path / "archive.json").read_text())["format"] == 2
    monkeypatch.setattr(store_module, "FORMATS", {"dense": 1})
    with pytest.raises(ArchiveFormat, match="written in format 2, this version of histokin reads format"):
        Store.open(bags.path)


@pytest.mark.parametrize("name", ["count_starts", "count_words", "count_values"])
@pytest.mark.parametrize("damage", ["gone", "short"])
def test_a_damaged_cache_is_made_again(name: str, damage: str, bags: Store, make_source: Make) -> None:
    bags.commit([make_source("a")], [batch([0, 0], rows([1, 0, 0, 0, 2], [0, 1, 0, 0, 0]))])
    file = bags.snapshot().folder / f"{name}.npy"
    if damage == "gone":
        file.unlink()
    else:
        np.save(file, np.load(file)[:-1])
    assert dense(Store.open(bags.path).snapshot().counts) == [[1, 0, 0, 0, 2], [0, 1, 0, 0, 0]]


def test_search_known_answer(bags: Store, make_source: Make) -> None:
    table = rows([4, 0, 0, 1, 0], [4, 0, 1, 0, 0], [4, 1, 0, 0, 0], [4, 1, 1, 0, 0])
    bags.commit([make_source(name) for name in "abcd"], [batch([0, 1, 2, 3], table)])
    snapshot = bags.snapshot()
    found = search_counts(snapshot, rows([9, 0, 0, 2, 0], [0, 1, 0, 0, 0]), 4)
    # Word 0 is in every image and says nothing; what shares no word comes last, in order, at distance 1.
    assert found.rows.tolist() == [[0, 1, 2, 3], [2, 3, 0, 1]]
    assert found.distances[0].tolist() == [0, 1, 1, 1]
    assert found.distances[1, 0] == 0
    # Words 1 and 2 weigh the same in image d: the angle to word 1 alone is 45 degrees.
    assert abs(found.distances[1, 1] - (1 - np.sqrt(0.5))) < 1e-6
    some = search_counts(snapshot, rows([0, 1, 0, 0, 0]), 4, rows=np.array([True, False, False, True]))
    assert some.rows.tolist() == [[3, 0, -1, -1]]
    assert np.isinf(some.distances[0, 2:]).all()


def test_own_distances_leave_the_own_source_out(bags: Store, make_source: Make) -> None:
    one = [0, 1, 0, 0, 0]
    bags.commit(
        [make_source(name) for name in "abc"],
        [batch([0, 0, 1, 2], rows(one, one, [0, 0, 1, 0, 0], [0, 0, 0, 0, 1]))],
    )
    # Each is unlike what the other sources hold, though the two of the first are the same.
    assert own_distances(bags.snapshot()).tolist() == [1, 1, 1, 1]
