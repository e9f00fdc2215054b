"""The two Lance tables of a store, and their rows."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

from histokin.archive.counts import Counts
from histokin.archive.records import PatchBatch, Source
from histokin.errors import ArchiveError, HistokinError

os.environ.setdefault("LANCE_LOG", "error")  # or Lance warns once a query

import lance
import pyarrow as pa

SLIDE_FIELDS = (
    ("id", pa.string()),
    ("key", pa.string()),
    ("added", pa.int64()),
    ("patches", pa.int64()),
    ("kind", pa.string()),
    ("path", pa.string()),
    ("name", pa.string()),
    ("digest", pa.string()),
    ("size", pa.int64()),
    ("mtime_ns", pa.int64()),
    ("width", pa.int64()),
    ("height", pa.int64()),
    ("mpp", pa.float64()),
    ("label", pa.string()),
    ("columns", pa.string()),
    ("group", pa.string()),
    ("appearance", pa.string()),
    ("counts", pa.string()),
    ("thumbnail", pa.binary()),
)
SLIDE_SCHEMA = pa.schema(SLIDE_FIELDS)
AS_JSON = ("columns", "appearance", "counts")


def patch_schema(dim: int, counts: bool = False) -> pa.Schema:
    """Schema of the patch table for vectors of ``dim`` numbers, or for counts of so many words, kept sparsely."""
    vector = [("vector", pa.list_(pa.float32(), dim))]
    sparse = [("words", pa.list_(pa.int32())), ("values", pa.list_(pa.float32()))]
    return pa.schema(
        [
            ("key", pa.string()),
            ("place", pa.int32()),
            ("x", pa.int32()),
            ("y", pa.int32()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("tissue", pa.float32()),
            ("flags", pa.string()),
            *(sparse if counts else vector),
            ("crop", pa.binary()),
        ]
    )


def make_empty(uri: Path, schema: pa.Schema) -> None:
    """Create a table without rows."""
    lance.write_dataset(schema.empty_table(), str(uri), mode="create")


def open_table(uri: Path, version: int | None = None) -> Any:
    """A table at a version, or as it is now. Raises :class:`ArchiveError` when its files are damaged."""
    with reading(uri):
        return lance.dataset(str(uri), version=version)


@contextmanager
def reading(uri: Path) -> Iterator[None]:
    """What Lance raises for damaged files, as :class:`ArchiveError`."""
    remedy = "Restore the folder from a backup, or index into a new archive"
    with _as_ours("the table cannot be read", remedy, uri):
        yield


@contextmanager
def writing(uri: Path) -> Iterator[None]:
    """What Lance raises for a full disk and the like, as :class:`ArchiveError`."""
    remedy = "Check free disk space and permissions; what was committed before is kept"
    with _as_ours("cannot be written", remedy, uri):
        yield


@contextmanager
def _as_ours(reason: str, remedy: str, uri: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if not _lances_own(error):
            raise
        raise ArchiveError(f"{reason} ({_first_line(error)})", remedy=remedy, path=uri) from None


def _lances_own(error: BaseException) -> bool:
    """Not ours, not an interrupt; a panic in Lance's native code is no ``Exception``."""
    if isinstance(error, Exception):
        return not isinstance(error, HistokinError | MemoryError)
    return type(error).__name__ == "PanicException"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def slide_table(sources: Sequence[Source], keys: Sequence[str], counts: Sequence[int], added: int) -> pa.Table:
    """Slide rows of one commit."""
    rows = []
    for place, (source, key, patches) in enumerate(zip(sources, keys, counts, strict=True)):
        row = {name: getattr(source, name, None) for name, _ in SLIDE_FIELDS}
        row |= {name: json.dumps(row[name], sort_keys=True) for name in AS_JSON}
        rows.append({**row, "key": key, "patches": patches, "added": added + place})
    return pa.Table.from_pylist(rows, schema=SLIDE_SCHEMA)


def source_of(row: dict[str, Any]) -> Source:
    """A source from its row; JSON fields may be decoded already."""
    decoded = {name: json.loads(row[name]) if isinstance(row[name], str) else row[name] for name in AS_JSON}
    fields = {name: row.get(name) for name in Source.__dataclass_fields__}
    return Source(**{**fields, **decoded})


class PatchStream:
    """Patch batches as Arrow record batches; counts rows per source and keeps an exception of the caller's.

    Lance reports what goes wrong in a reader as an error of its own; ``error`` holds the original.
    """

    def __init__(self, batches: Iterable[PatchBatch], keys: Sequence[str], dim: int, counts: bool = False) -> None:
        self.schema = patch_schema(dim, counts)
        self._counts = counts
        self._batches = batches
        self._keys = np.array(keys, dtype=object)
        self._dim = dim
        self.counts = np.zeros(len(keys), np.int64)
        self.error: BaseException | None = None

    def reader(self) -> pa.RecordBatchReader:
        """For Lance to pull from."""
        return pa.RecordBatchReader.from_batches(self.schema, self._records())

    def _records(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._batches:
                if len(batch.source):
                    yield self._record(batch)
        except GeneratorExit:  # Lance gave up: its own error says why
            raise
        except BaseException as error:
            self.error = error
            raise

    def _record(self, batch: PatchBatch) -> pa.RecordBatch:
        crops: list[bytes | None] = [*batch.crops] if batch.crops else [None] * len(batch.source)
        arrays = [
            pa.array(self._keys[batch.source], pa.string()),
            pa.array(self._places(batch.source), pa.int32()),
            *(pa.array(np.ascontiguousarray(batch.boxes[:, i]), pa.int32()) for i in range(4)),
            pa.array(batch.tissue, pa.float32()),
            pa.array(batch.flags, pa.string()),
            *self._vectors(batch.vectors),
            pa.array(crops, pa.binary()),
        ]
        return pa.record_batch(arrays, schema=self.schema)

    def _vectors(self, vectors: Float32[np.ndarray, "n d"] | Counts) -> list[pa.Array]:
        """The columns that hold the vectors. Raises :class:`ArchiveError` for others than the archive's."""
        counts = isinstance(vectors, Counts)
        dim = vectors.dim if isinstance(vectors, Counts) else vectors.shape[1]
        if dim != self._dim or counts != self._counts:
            wanted = str(self._dim) if counts == self._counts else _spoken(self._dim, self._counts)
            raise ArchiveError(
                f"{_spoken(dim, counts)} do not fit an archive of {wanted}",
                remedy="Use the encoder that the archive was made with",
            )
        if isinstance(vectors, Counts):
            vectors.check()
            starts = pa.array(vectors.starts, pa.int32())
            lists = ((vectors.words, pa.int32()), (vectors.values, pa.float32()))
            return [pa.ListArray.from_arrays(starts, pa.array(np.ascontiguousarray(v), kind)) for v, kind in lists]
        with np.errstate(over="ignore", invalid="ignore"):
            squared = np.einsum("ij,ij->i", vectors, vectors)
        if not np.isfinite(squared).all():
            raise ArchiveError("the encoder made a vector without a finite length", remedy="Check the encoder")
        flat = pa.array(np.ascontiguousarray(vectors).ravel(), pa.float32())
        return [pa.FixedSizeListArray.from_arrays(flat, self._dim)]

    def _places(self, source: Int32[np.ndarray, "n"]) -> Int32[np.ndarray, "n"]:
        """Running number of each patch within its source."""
        places = np.empty(len(source), np.int32)
        for one in np.unique(source):
            mine = np.flatnonzero(source == one)
            places[mine] = np.arange(self.counts[one], self.counts[one] + len(mine))
            self.counts[one] += len(mine)
        return places


def _spoken(dim: int, counts: bool) -> str:
    return f"counts of {dim} words" if counts else f"vectors of {dim} numbers"


def append(uri: Path, stream: PatchStream) -> None:
    """Write the stream as new fragments and commit them. After an error ``stream.error`` may hold its cause."""
    table = open_table(uri)
    fragments = lance.fragment.write_fragments(stream.reader(), str(uri), schema=stream.schema)
    if fragments:
        lance.LanceDataset.commit(str(uri), lance.LanceOperation.Append(fragments), read_version=table.version)


def upsert(uri: Path, rows: pa.Table) -> None:
    """Insert slide rows in one atomic commit; what had one of their paths or ids gives way to them."""
    merge = open_table(uri).merge_insert("path").when_matched_update_all().when_not_matched_insert_all()
    merge.when_not_matched_by_source_delete(any_of("id", rows["id"].to_pylist())).execute(rows)


def any_of(column: str, values: Sequence[str]) -> str:
    """``column IN (...)`` with quotes doubled."""
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"{column} IN ({listed})"
