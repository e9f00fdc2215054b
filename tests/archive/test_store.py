"""What goes into a store comes out again: all of an item or none of it."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histokin.archive import tables
from histokin.archive.records import PATCHES, SLIDES, PatchBatch
from histokin.archive.snapshot import ARRAYS
from histokin.archive.store import Store
from histokin.errors import ArchiveBusy, ArchiveError, ArchiveExists, ArchiveFormat

Make = Callable[..., Any]


def content(store: Store) -> list[tuple[str, str, list[list[float]]]]:
    """Path, label and vectors of every source, through a store opened anew."""
    snapshot = Store.open(store.path).snapshot()
    return [
        (s.path, str(s.label), snapshot.vectors[snapshot.starts[i] : snapshot.starts[i + 1]].tolist())
        for i, s in enumerate(snapshot.sources)
    ]


def test_a_commit_comes_out_as_it_went_in(store: Store, make_source: Make, make_batch: Make) -> None:
    sources = [make_source("a"), make_source("b"), make_source("empty")]
    with store.writer():
        assert store.commit(sources, iter([make_batch([0, 1, 0]), make_batch([1, 0], 2.0)])) == 5
    snapshot = store.snapshot()
    assert [s.path for s in snapshot.sources] == ["/data/a", "/data/b", "/data/empty"]
    assert snapshot.starts.tolist() == [0, 3, 5, 5]
    assert snapshot.source_index.tolist() == [0, 0, 0, 1, 1]
    assert snapshot.vectors[:, :2].tolist() == [[1, 0], [1, 2], [2, 1], [1, 1], [2, 0]]
    assert snapshot.norms.tolist() == [1, 5, 5, 2, 4]
    assert [snapshot.flag_names[i] for i in snapshot.flags] == ["", "", "blur", "blur", ""]
    assert snapshot.boxes[2].tolist() == [1, 1, 9, 9]
    assert snapshot.tissue.tolist() == [0.75] * 5
    assert store.crops(np.array([4, 0, 4])) == [b"crop 2.0 0", b"crop 1.0 0", b"crop 2.0 0"]
    assert store.thumbnail("id-b") == b"jpeg of b"
    assert store.thumbnail("nobody") is None
    assert store.sources()[0].columns == {"organ": "colon"}
    assert not snapshot.vectors.flags.writeable


def test_a_new_store_is_empty(store: Store) -> None:
    snapshot = store.snapshot()
    assert snapshot.vectors.shape == (0, 4)
    assert snapshot.starts.tolist() == [0]
    assert store.sources() == []
    assert store.crops(np.empty(0, np.int64)) == []


def test_the_same_path_replaces(store: Store, make_source: Make, make_batch: Make) -> None:
    store.commit([make_source("a"), make_source("b")], [make_batch([0, 1])])
    store.commit([make_source("a", identity="other", label="new")], [make_batch([0, 0], 7.0)])
    assert content(store) == [
        ("/data/b", "None", [[1, 1, 0, 0]]),
        ("/data/a", "new", [[7, 0, 0, 0], [7, 1, 0, 0]]),
    ]


def test_the_same_id_replaces(store: Store, make_source: Make, make_batch: Make) -> None:
    store.commit([make_source("a", identity="x")], [make_batch([0])])
    store.commit([make_source("b", identity="x")], [make_batch([0], 2.0)])
    assert content(store) == [("/data/b", "None", [[2, 0, 0, 0]])]


@pytest.mark.parametrize("same", ["path", "id"])
def test_two_of_one_commit_may_not_share(same: str, store: Store, make_source: Make, make_batch: Make) -> None:
    twins = {"path": [make_source("a"), make_source("a", identity="x")]}
    twins["id"] = [make_source("a", identity="x"), make_source("b", identity="x")]
    with pytest.raises(ArchiveError, match=f"have the {same}"):
        store.commit(twins[same], [make_batch([0, 1])])
    assert content(store) == []


def test_relink_moves_a_source(store: Store, make_source: Make, make_batch: Make) -> None:
    store.commit([make_source("a"), make_source("b")], [make_batch([0, 1])])
    store.relink("id-a", "/else/where.svs", 77)
    (moved, _) = store.sources()
    assert (moved.id, moved.path, moved.name, moved.mtime_ns) == ("id-a", "/else/where.svs", "where.svs", 77)
    assert store.thumbnail("id-a") == b"jpeg of a"
    assert [path for path, _, _ in content(store)] == ["/else/where.svs", "/data/b"]


def test_relink_onto_a_path_that_is_taken(store: Store, make_source: Make, make_batch: Make) -> None:
    store.commit([make_source("a"), make_source("b"), make_source("c")], [make_batch([0, 1, 2])])
    store.relink("id-a", "/data/b", 1)
    assert [(s.id, s.path) for s in store.sources()] == [("id-a", "/data/b"), ("id-c", "/data/c")]
    assert content(store)[0] == ("/data/b", "None", [[1, 0, 0, 0]])
    with pytest.raises(ArchiveError, match="no source id-b"):
        store.relink("id-b", "/data/x", 1)


def test_labels_and_columns_change_and_nothing_else(store: Store, make_source: Make, make_batch: Make) -> None:
    store.commit([make_source("a"), make_source("b")], [make_batch([0, 1])])
    store.update_columns("id-a", "tumor", {"organ": 'it\'s; -- "x"'})
    first, second = store.sources()
    assert (first.label, first.columns) == ("tumor", {"organ": 'it\'s; -- "x"'})
    assert second.label is None
    assert store.thumbnail("id-a") == b"jpeg of a"


def test_remove(store: Store, make_source: Make, make_batch: Make) -> None:
    store.commit([make_source("a'b"), make_source("b")], [make_batch([0, 1])])
    store.remove(["id-a'b", "nobody"])
    version = store.version
    store.remove([])
    assert store.version == version
    assert content(store) == [("/data/b", "None", [[1, 1, 0, 0]])]


@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt, ArchiveError, OSError])
def test_an_exception_in_the_batches_leaves_nothing(
    kind: type[BaseException], store: Store, make_source: Make, make_batch: Make
) -> None:
    raised = kind("mine")

    def batches() -> Iterator[PatchBatch]:
        yield make_batch([0] * 3000)
        raise raised

    with pytest.raises(kind) as caught:
        store.commit([make_source("a")], batches())
    assert caught.value is raised
    assert content(store) == []
    store.commit([make_source("a")], [make_batch([0])])
    assert len(content(store)) == 1


def test_wrong_vectors_are_refused(store: Store, make_source: Make, make_batch: Make) -> None:
    with pytest.raises(ArchiveError, match="5 numbers do not fit an archive of 4"):
        store.commit([make_source("a")], [make_batch([0], dim=5)])
    for bad in (np.nan, np.inf, 1e30):
        with pytest.raises(ArchiveError, match="finite length"):
            store.commit([make_source("a")], [make_batch([0], bad)])
    assert content(store) == []


def files(store: Store) -> set[Path]:
    return {path for path in store.path.rglob("*.lance") if path.is_file()}


def test_compact_sweeps_what_nobody_counts(store: Store, make_source: Make, make_batch: Make) -> None:
    import lance

    from histokin.archive import tables

    store.commit([make_source("a")], [make_batch([0, 0])])
    # A process killed before its slide row, and one killed before its patch table changed.
    stream = tables.PatchStream([make_batch([0])], ["dead:a"], 4)
    tables.append(store.path / PATCHES, stream)
    loose = tables.PatchStream([make_batch([0])], ["loose:a"], 4)
    uri = str(store.path / PATCHES)
    lance.fragment.write_fragments(loose.reader(), uri, schema=tables.patch_schema(4))
    before, size = content(store), len(files(store))
    with store.writer():
        store.compact(keep=timedelta(0))
    assert content(store) == before
    assert tables.open_table(store.path / PATCHES).count_rows() == 2
    assert len(files(store)) < size


def test_many_small_commits_then_compact(store: Store, make_source: Make, make_batch: Make) -> None:
    from histokin.archive import tables

    with store.writer():
        for i in range(200):
            store.commit([make_source(f"s{i}")], [make_batch([0, 0], float(i))])
        before = store.snapshot()
        kept = {name: getattr(before, name).tobytes() for name in ARRAYS}
        store.maybe_compact()
    after = store.snapshot()
    assert after.version > before.version
    assert after.sources == before.sources
    assert after.keys == before.keys
    assert {name: getattr(after, name).tobytes() for name in ARRAYS} == kept
    assert {name: getattr(before, name).tobytes() for name in ARRAYS} == kept
    assert len(tables.open_table(store.path / PATCHES).get_fragments()) < 10
    assert store.crops(np.array([399])) == [b"crop 199.0 1"]


def test_a_view_stays_as_it_was(store: Store, make_source: Make, make_batch: Make) -> None:
    store.commit([make_source("a"), make_source("b")], [make_batch([0, 1])])
    view = Store.open(store.path).snapshot()
    vectors = view.vectors.tolist()
    with store.writer():
        store.remove(["id-a"])
        store.compact(keep=timedelta(0))
    assert len(content(store)) == 1
    assert view.vectors.tolist() == vectors
    assert [p.name for p in (store.path / "cache").iterdir()] == [str(store.version)]


def test_crops_by_the_rows_of_an_older_view(store: Store, make_source: Make, make_batch: Make) -> None:
    store.commit([make_source("a"), make_source("b")], [make_batch([0, 1])])
    view = store.snapshot()
    store.remove(["id-a"])
    assert store.crops(np.array([1]), view) == [b"crop 1.0 1"]
    assert store.crops(np.array([0])) == [b"crop 1.0 1"]


def test_a_view_is_of_one_version(
    store: Store, make_source: Make, make_batch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer replaces a source and compacts while a reader is between the two tables."""
    store.commit([make_source("a")], [make_batch([0])])
    reader = Store.open(store.path)
    rows = reader.snapshot_rows
    calls = []

    def slow(version: int | None = None) -> Any:
        answer = rows(version)
        calls.append(version)
        if len(calls) == 1:
            store.commit([make_source("a")], [make_batch([0, 0], 9.0)])
            store.compact(keep=timedelta(0))
        return answer

    monkeypatch.setattr(reader, "snapshot_rows", slow)
    snapshot = reader.snapshot()
    assert snapshot.vectors[:, 0].tolist() == [9, 9]
    assert snapshot.version == store.version
    assert len(calls) == 2


def test_one_writer_at_a_time(store: Store) -> None:
    busy = pytest.raises(ArchiveBusy, match=f"process {os.getpid()} on ")
    with store.writer(), busy as caught, Store.open(store.path).writer():
        pass
    assert caught.value.path == str(store.path)
    with store.writer():
        pass


def test_no_archive_over_another_or_over_files(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ArchiveExists):
        Store.create(store.path, {}, dim=4, metric="cosine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    with pytest.raises(ArchiveExists, match="not an empty folder"):
        Store.create(tmp_path / "full", {}, dim=4, metric="cosine")
    with pytest.raises(ArchiveExists):
        Store.create(tmp_path / "full" / "file", {}, dim=4, metric="cosine")


class Killed(BaseException):
    pass


def test_a_creation_killed_at_any_moment_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_source: Make, make_batch: Make
) -> None:
    left = 0

    def dying(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return original(*args, **options)

        return call

    moment = 0
    killed = True
    while killed:
        archive = tmp_path / f"archive{moment}"
        with monkeypatch.context() as patch:
            left = moment
            for owner, name in ((os, "fsync"), (Path, "mkdir"), (Path, "replace"), (tables, "make_empty")):
                patch.setattr(owner, name, dying(getattr(owner, name)))
            try:
                Store.create(archive, {}, dim=4, metric="cosine")
                killed = False
            except Killed:
                moment += 1
        whole = (archive / "archive.json").exists()
        again = Store.open(archive) if whole else Store.create(archive, {}, dim=4, metric="cosine")
        with again.writer():
            again.commit([make_source("a")], [make_batch([0])])
        assert len(content(again)) == 1
        assert not list(archive.glob(".*"))
    assert moment > 10


@pytest.mark.parametrize("folder", [True, False])
def test_a_half_made_table_is_made_again(folder: bool, store: Store, make_source: Make, make_batch: Make) -> None:
    (store.path / "archive.json").unlink()
    for manifest in (store.path / SLIDES / "_versions").iterdir():
        manifest.unlink()
    if not folder:
        (store.path / SLIDES / "_versions").rmdir()
    again = Store.create(store.path, {}, dim=4, metric="cosine")
    again.commit([make_source("a")], [make_batch([0])])
    assert len(content(again)) == 1


def test_patches_that_lost_their_description_are_kept(store: Store, make_source: Make, make_batch: Make) -> None:
    store.commit([make_source("a")], [make_batch([0])])
    about = (store.path / "archive.json").read_text()
    (store.path / "archive.json").unlink()
    with pytest.raises(ArchiveFormat, match=r"without its archive\.json"):
        Store.create(store.path, {}, dim=4, metric="cosine")
    (store.path / "archive.json").write_text(about)
    assert len(content(Store.open(store.path))) == 1
