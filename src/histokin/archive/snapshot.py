"""A consistent view of a store for searching: plain arrays, memory-mapped, made anew when the store has changed.

Opening a fresh one needs neither Lance nor Arrow, whose import takes longer than a search.
"""

import atexit
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt16

from histokin.archive.counts import Counts, Gathered
from histokin.archive.durable import flush, write_text
from histokin.archive.listing import pack, unpack
from histokin.archive.records import PATCHES, Source
from histokin.errors import ArchiveError
from histokin.types import Region

PLACES = ("source_index", "boxes", "tissue", "flags", "starts")
ARRAYS = ("vectors", "norms", *PLACES)
SPARSE = ("count_starts", "count_words", "count_values")
SCAN_ROWS = 8192

STALE = 86400.0
"""Seconds without a change after which a half-built snapshot is taken for a dead process's."""

Rows = Callable[[], tuple[list[Source], list[str], list[int]]]


@final
@dataclass(frozen=True)
class Shape:
    """What stands for a patch: ``dim`` numbers compared by ``metric``, or counts of so many words."""

    dim: int
    metric: Literal["euclidean", "cosine"]
    counts: bool = False

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays of a snapshot."""
        return (*SPARSE, *PLACES) if self.counts else ARRAYS


@final
@dataclass(frozen=True, eq=False)
class Snapshot:
    """Rows are patches, contiguous by source, in the order they were added; nothing here may be written to.

    ``norms`` are squared lengths of the vectors; ``boxes`` x, y, width, height in level-0 pixels; ``flags`` index
    into ``flag_names``; ``starts`` the first row of each source, with the number of rows at the end.
    """

    version: int
    metric: Literal["euclidean", "cosine"]
    folder: Path
    sources: list[Source]
    keys: list[str]
    flag_names: list[str]
    vectors: Float32[np.ndarray, "n d"]
    norms: Float32[np.ndarray, "n"]
    source_index: Int32[np.ndarray, "n"]
    boxes: Int32[np.ndarray, "n 4"]
    tissue: Float32[np.ndarray, "n"]
    flags: UInt16[np.ndarray, "n"]
    starts: Int64[np.ndarray, "s1"]
    counts: Counts | None = None

    @cached_property
    def inverted(self) -> Any:
        """The word counts ready for searching: an :class:`~histokin.archive.inverted.InvertedIndex`, kept in memory.

        Its weights belong to this version of the archive. Raises :class:`ArchiveError` for a store of vectors.
        """
        if self.counts is None:
            raise ArchiveError("holds vectors, no word counts", remedy="Search it by vectors", path=self.folder)
        from histokin.archive.inverted import InvertedIndex

        return InvertedIndex(self.counts.matrix())

    def region(self, row: int) -> Region:
        """Where a patch is in its source."""
        return Region(*self.boxes[row].tolist())

    def rows_of(self, source: int) -> slice:
        """The rows of a source, given its place in ``sources``."""
        return slice(int(self.starts[source]), int(self.starts[source + 1]))

    def place(self, row: int) -> tuple[str, int]:
        """Key of the commit and running number within the source: where a row is in the patch table."""
        source = int(self.source_index[row])
        return self.keys[source], row - int(self.starts[source])


def open_snapshot(root: Path, version: int, shape: Shape, rows: Rows) -> Snapshot:
    """The snapshot of this version, built first where there is none, or where it is damaged."""
    folder = root / "cache" / str(version)
    if folder.is_dir():
        try:
            return _load(folder, version, shape)
        except ArchiveError:
            # Made from the tables, so it can be made again; readers of the old files keep them.
            shutil.rmtree(folder, ignore_errors=True)
    try:
        folder = _build(root, folder, shape, rows)
    except OSError as error:
        raise ArchiveError(
            f"the search cache cannot be written ({error.strerror or error})",
            remedy="Check free disk space, there and in the folder for temporary files",
            path=folder,
        ) from None
    return _load(folder, version, shape)


def _load(folder: Path, version: int, shape: Shape) -> Snapshot:
    try:
        about = json.loads((folder / "sources.json").read_text(encoding="utf-8"))
        arrays = {name: _map(folder / f"{name}.npy") for name in shape.arrays}
        sources = unpack(about["sources"])
        if shape.counts:
            arrays = _check_counts(arrays, shape.dim)
        _check(arrays, len(sources), 0 if shape.counts else shape.dim)
        return Snapshot(version, shape.metric, folder, sources, about["keys"], about["flag_names"], **arrays)
    except (OSError, ValueError, EOFError, KeyError, IndexError, TypeError) as error:
        raise ArchiveError(
            f"the search cache is damaged ({error})", remedy="Delete this folder; it is made anew", path=folder
        ) from None


def _check_counts(arrays: dict[str, Any], dim: int) -> dict[str, Any]:
    """The arrays of a snapshot of word counts, with those put together and vectors of no numbers beside them."""
    starts, words, values = (arrays.pop(name) for name in SPARSE)
    counts = Counts(starts, words, values, dim)
    if (
        counts.starts.ndim != 1
        or int(counts.starts[-1]) != len(counts.words)
        or counts.words.shape != counts.values.shape
    ):
        raise ValueError("the word counts are of another length")
    rows = len(counts)
    return {**arrays, "vectors": np.empty((rows, 0), np.float32), "norms": np.zeros(rows, np.float32), "counts": counts}


def _check(arrays: dict[str, Any], sources: int, dim: int) -> None:
    starts = arrays["starts"]
    if starts.shape != (sources + 1,):
        raise ValueError("starts.npy is of another length")
    total = int(starts[-1])
    for name, array in arrays.items():
        inner = {"vectors": (dim,), "boxes": (4,)}.get(name, ())
        if name not in ("starts", "counts") and array.shape != (total, *inner):
            raise ValueError(f"{name}.npy is of another shape")


def _map(path: Path) -> Any:
    """A read-only array: memory-mapped, or read where it is empty (nothing to map)."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array if array.size else np.load(path, allow_pickle=False)


def _build(root: Path, folder: Path, shape: Shape, rows: Rows) -> Path:
    """Build beside the final place and move there; beside the archive's cache where that may not be written."""
    sources, keys, counts = rows()
    try:
        folder.parent.mkdir(exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    except OSError:
        partial = Path(tempfile.mkdtemp(prefix="histokin-cache-"))
        atexit.register(shutil.rmtree, partial, ignore_errors=True)
        folder = partial
    try:
        if folder != partial:  # a shared archive has readers other than its maker; a temporary folder has not
            partial.chmod(folder.parent.stat().st_mode & 0o777)
        _write(root, partial, shape, sources, keys, counts)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if folder == partial:
        return folder
    try:
        partial.rename(folder)
    except OSError:  # another reader was quicker
        shutil.rmtree(partial, ignore_errors=True)
    _drop_others(folder)
    return folder


def _drop_others(folder: Path) -> None:
    """Remove snapshots of older versions; who has one open keeps its files until it is done."""
    for other in folder.parent.iterdir():
        if other.name.isdigit():
            dead = int(other.name) < int(folder.name)
        else:
            dead = other.name.startswith(".building-") and _idle(other) > STALE
        if dead:
            shutil.rmtree(other, ignore_errors=True)


def _idle(folder: Path) -> float:
    """Seconds since a file of the folder changed."""
    try:
        return time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:  # finished meanwhile
        return 0.0


def _write(
    root: Path, folder: Path, shape: Shape, sources: Sequence[Source], keys: Sequence[str], counts: Sequence[int]
) -> None:
    starts = np.concatenate([[0], np.cumsum(np.array(counts, np.int64))]).astype(np.int64)
    first = {key: int(start) for key, start in zip(keys, starts, strict=False)}
    names = _copy_patches(root, folder, shape, first, starts)
    np.save(folder / "starts.npy", starts)
    np.save(folder / "source_index.npy", np.repeat(np.arange(len(sources), dtype=np.int32), counts))
    about = {"sources": pack(sources), "keys": list(keys), "flag_names": names}
    # Last, after the arrays are on the disk: a folder with this file is a complete snapshot.
    flush({path.name for path in folder.iterdir()}, folder)
    write_text(folder / "sources.json", json.dumps(about))


def _copy_patches(
    root: Path, folder: Path, shape: Shape, first: dict[str, int], starts: Int64[np.ndarray, "s1"]
) -> list[str]:
    """Stream the patch table into arrays, each row to its place; returns the names of the flags."""
    from histokin.archive import tables

    total = int(starts[-1])
    forms = {"boxes": ((total, 4), "i4"), "tissue": ((total,), "f4"), "flags": ((total,), "u2")}
    if not shape.counts:
        forms |= {"vectors": ((total, shape.dim), "f4"), "norms": ((total,), "f4")}
    out: dict[str, Any] = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=kind, shape=form)
        if total
        else np.zeros(form, kind)
        for name, (form, kind) in forms.items()
    }
    codes: dict[str, int] = {"": 0}
    columns = ["key", "place", "x", "y", "width", "height", "tissue", "flags"]
    columns += ["words", "values"] if shape.counts else ["vector"]
    filled = 0
    gathered = Gathered(shape.dim) if shape.counts else None
    with tables.reading(root / PATCHES):
        table = tables.open_table(root / PATCHES)
        for batch in table.scanner(columns=columns, batch_size=SCAN_ROWS, batch_readahead=4).to_batches():
            filled += _place(batch, first, codes, out, gathered, shape.dim)
    if filled != total:
        raise ArchiveError(
            f"{total - filled} of {total} patches are missing", remedy="Restore it from a backup", path=root
        )
    if gathered is not None:
        counts = gathered.counts()
        for name, array in zip(SPARSE, (counts.starts, counts.words, counts.values), strict=True):
            np.save(folder / f"{name}.npy", array)
    for name, array in out.items():
        if total:
            array.flush()
        else:
            np.save(folder / f"{name}.npy", array)
    return list(codes)


def _place(
    batch: Any, first: dict[str, int], codes: dict[str, int], out: dict[str, Any], gathered: Gathered | None, dim: int
) -> int:
    """Put one batch of rows where they belong; rows of commits that do not count are left out."""
    starts = np.array([first.get(key, -1) for key in batch["key"].to_pylist()], np.int64)
    live = starts >= 0
    if not live.any():
        return 0
    rows = (starts + batch["place"].to_numpy())[live]
    if gathered is None:
        vectors = batch["vector"].flatten().to_numpy().reshape(-1, dim)[live]
        out["vectors"][rows] = vectors
        out["norms"][rows] = (vectors.astype(np.float64) ** 2).sum(axis=1)
    else:
        kept = batch.filter(live)
        gathered.add(rows, kept["words"], kept["values"])
    boxes = [batch[name].to_numpy() for name in ("x", "y", "width", "height")]
    out["boxes"][rows] = np.stack(boxes, axis=1)[live]
    out["tissue"][rows] = batch["tissue"].to_numpy()[live]
    flags = [codes.setdefault(text, len(codes)) for text in batch["flags"].to_pylist()]
    out["flags"][rows] = np.array(flags, np.uint16)[live]
    return len(rows)
