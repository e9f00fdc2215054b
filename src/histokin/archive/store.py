"""The durable store: slides, patches and vectors in two Lance tables, committed one item at a time.

A patch row carries the key of the commit that wrote it; it counts only once the slide row with that key is there.
Writing the slide rows is therefore the commit: whatever happens before it leaves nothing to see.
"""

import json
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Int

from histokin._version import __version__
from histokin.archive.durable import files_of, flush, write_text
from histokin.archive.lock import writer_lock
from histokin.archive.records import PATCHES, SLIDES, PatchBatch, Source
from histokin.archive.snapshot import Shape, Snapshot, open_snapshot
from histokin.errors import ArchiveError, ArchiveExists, ArchiveFormat, ArchiveMissing

FORMATS = {"dense": 1, "counts": 2}
"""The format on disk of archives of vectors, and of word counts: a histokin that knows the first only says so."""

ABOUT = "archive.json"
LEARNED = "learned-encoder"
"""Folder of an encoder that was learned from the archive's own images, before the archive was there."""

LEARNED_FROM = "learned-from.json"
"""In that folder: what it was learned from. Written last, so that a folder with this file is complete."""

LOCK = "lock"
NEWEST = (1 << 64) - 1
"""Lance names the manifest of version v by this number less v, so that the newest sorts first."""

MANY_FRAGMENTS = 100
KEEP_OLD_VERSIONS = timedelta(hours=1)


@final
class Store:
    """A folder on disk. Use :meth:`create` or :meth:`open`; write inside :meth:`writer`."""

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        self.recipe: dict[str, Any] = about["recipe"]
        self.dim: int = about["dim"]
        self.metric: Literal["euclidean", "cosine"] = about["metric"]
        self.counts: bool = about["format"] == FORMATS["counts"]
        self._snapshot: Snapshot | None = None

    @classmethod
    def create(
        cls, path: Path, recipe: Mapping[str, Any], *, dim: int, metric: str, kind: Literal["dense", "counts"] = "dense"
    ) -> "Store":
        """Make an empty store. Raises :class:`ArchiveExists`, or :class:`ArchiveError` if it cannot be written.

        Of kind ``counts``, patches have word counts, kept sparsely, in place of vectors of ``dim`` numbers.
        What a creation that was killed left behind is removed first. :class:`ArchiveBusy` says that one is going on,
        :class:`ArchiveFormat` that patches are there which a lost file described.
        """
        require_room(path)
        about = {
            "format": FORMATS[kind],
            "histokin": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "dim": dim,
            "metric": metric,
            "recipe": dict(recipe),
        }
        try:
            path.mkdir(parents=True, exist_ok=True)
            with writer_lock(path / LOCK):
                require_room(path)  # again: another process may have made one since
                _make(path, about)
        except OSError as error:
            raise ArchiveError(
                f"cannot be made ({error.strerror or error})", remedy="Choose a folder you may write to", path=path
            ) from None
        return cls(path, about)

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Open a store. Raises :class:`ArchiveMissing` or :class:`ArchiveFormat`."""
        file = path / ABOUT
        try:
            about = json.loads(file.read_text(encoding="utf-8"))
            found = about["format"]
        except (FileNotFoundError, NotADirectoryError):
            raise ArchiveMissing(
                "no archive there", remedy="Make one with 'histokin index PATH... --archive FOLDER'", path=path
            ) from None
        except PermissionError as error:
            raise ArchiveError("may not be read", remedy="Check permissions", path=error.filename) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArchiveFormat(f"is damaged ({error})", remedy="Restore it from a backup", path=file) from None
        if found not in FORMATS.values():
            known = " and ".join(map(str, FORMATS.values()))
            raise ArchiveFormat(
                f"written in format {found}, this version of histokin reads formats {known}",
                remedy="Install the histokin that wrote it, or index again",
                path=path,
            )
        missing = [name for name in (SLIDES, PATCHES) if not (path / name / "_versions").is_dir()]
        if missing or not _complete(about):
            raise ArchiveFormat(
                f"is damaged: {missing[0] if missing else ABOUT} is incomplete",
                remedy="Restore the folder from a backup, or index again",
                path=path,
            )
        return cls(path, about)

    @property
    def version(self) -> int:
        """Grows with every change of the slide table."""
        names = [p.name.partition(".")[0] for p in (self.path / SLIDES / "_versions").glob("*.manifest")]
        numbers = [int(name) for name in names if name.isdigit()]
        if not numbers:
            raise ArchiveFormat("is damaged: it has no version", remedy="Restore it from a backup", path=self.path)
        newest = min(numbers)
        return NEWEST - newest if newest > NEWEST // 2 else max(numbers)

    @contextmanager
    def writer(self) -> Iterator[None]:
        """Hold the right to write. Raises :class:`ArchiveBusy` while another process does."""
        with writer_lock(self.path / LOCK):
            yield

    def commit(self, sources: Sequence[Source], batches: Iterable[PatchBatch]) -> int:
        """Add sources and their patches: all of them or none. Returns the number of patches.

        Batches are streamed, so a slide may have more patches than memory holds; the sources are written after the
        last batch, so their ``counts`` may be filled meanwhile. A source whose path is there already replaces it.
        What ``batches`` raises is raised, and nothing is added.
        """
        from histokin.archive import tables

        _require_distinct(sources, self.path)
        mark = uuid.uuid4().hex[:12]
        keys = [f"{mark}:{source.id}" for source in sources]
        stream = tables.PatchStream(batches, keys, self.dim, self.counts)
        try:
            with self._flushed(PATCHES):
                tables.append(self.path / PATCHES, stream)
        except BaseException:
            if stream.error is not None:
                raise stream.error from None
            raise
        rows = tables.slide_table(sources, keys, stream.counts.tolist(), time.time_ns())
        with self._flushed(SLIDES):
            tables.upsert(self.path / SLIDES, rows)
        return int(stream.counts.sum())

    def relink(self, identity: str, path: str, mtime_ns: int) -> None:
        """A source's file is now at ``path``; a source that was there before is no more."""
        self._update(identity, path=path, name=Path(path).name, mtime_ns=mtime_ns)

    def update_columns(self, identity: str, label: str | None, columns: Mapping[str, str]) -> None:
        """A source has another label or other columns."""
        self._update(identity, label=label, columns=dict(columns))

    def remove(self, identities: Sequence[str]) -> None:
        """Take sources and their patches out: one commit."""
        from histokin.archive import tables

        if not identities:
            return
        with self._flushed(SLIDES):
            tables.open_table(self.path / SLIDES).delete(tables.any_of("id", identities))

    def sources(self) -> list[Source]:
        """All sources in the order they were added, without thumbnails."""
        return list(self.snapshot_rows()[0])

    def snapshot_rows(self, version: int | None = None) -> tuple[list[Source], list[str], list[int]]:
        """Sources, the keys of their patches, and how many each has; at a version, or now."""
        from histokin.archive import tables

        names = [name for name, _ in tables.SLIDE_FIELDS if name != "thumbnail"]
        with tables.reading(self.path / SLIDES):
            rows = tables.open_table(self.path / SLIDES, version).to_table(columns=names).to_pylist()
            rows.sort(key=lambda row: row["added"])
            return [tables.source_of(row) for row in rows], [r["key"] for r in rows], [r["patches"] for r in rows]

    def thumbnail(self, identity: str) -> bytes | None:
        """The JPEG of a whole slide, where one is stored."""
        from histokin.archive import tables

        with tables.reading(self.path / SLIDES):
            table = tables.open_table(self.path / SLIDES)
            found = table.to_table(columns=["thumbnail"], filter=tables.any_of("id", [identity])).to_pylist()
        return found[0]["thumbnail"] if found else None

    def crops(self, rows: Int[np.ndarray, "r"], snapshot: Snapshot | None = None) -> list[bytes | None]:
        """The stored JPEGs of patches, by their rows in a snapshot (the newest if None)."""
        from histokin.archive import tables

        if not len(rows):
            return []
        snapshot = snapshot or self.snapshot()
        wanted = [snapshot.place(int(row)) for row in rows]
        by_key: dict[str, set[int]] = {}
        for key, place in wanted:
            by_key.setdefault(key, set()).add(place)
        condition = " OR ".join(
            f"({tables.any_of('key', [key])} AND place IN ({', '.join(map(str, sorted(places)))}))"
            for key, places in by_key.items()
        )
        with tables.reading(self.path / PATCHES):
            table = tables.open_table(self.path / PATCHES)
            found = table.to_table(columns=["key", "place", "crop"], filter=condition).to_pylist()
        crops = {(row["key"], row["place"]): row["crop"] or None for row in found}
        return [crops.get(key_place) for key_place in wanted]

    def snapshot(self) -> Snapshot:
        """A consistent view for searching, kept until the store changes."""
        version = self.version
        while self._snapshot is None or self._snapshot.version != version:
            rows = partial(self.snapshot_rows, version)
            try:
                self._snapshot = open_snapshot(self.path, version, Shape(self.dim, self.metric, self.counts), rows)
            except ArchiveError:
                # A writer that went on meanwhile may have cleared away what was being read.
                if self.version == version:
                    raise
                version = self.version
        return self._snapshot

    def maybe_compact(self) -> None:
        """Compact when scans would be slow: many small commits."""
        from histokin.archive import tables

        if len(tables.open_table(self.path / PATCHES).get_fragments()) > MANY_FRAGMENTS:
            self.compact()

    def compact(self, keep: timedelta = KEEP_OLD_VERSIONS) -> None:
        """Join small files, drop patches that no slide row counts, and old versions. Needs :meth:`writer`."""
        from histokin.archive import tables

        live = set(self.snapshot_rows()[1])
        with self._flushed(PATCHES):
            table = tables.open_table(self.path / PATCHES)
            written: set[str] = set()
            for batch in table.scanner(columns=["key"]).to_batches():
                written.update(batch["key"].unique().to_pylist())
            dead = sorted(written - live)
            for start in range(0, len(dead), 500):
                table.delete(tables.any_of("key", dead[start : start + 500]))
        for name in (PATCHES, SLIDES):
            with self._flushed(name):
                tables.open_table(self.path / name).optimize.compact_files()
            with tables.writing(self.path / name):
                # Files of no version are what a killed writer left; nobody else writes while the lock is held.
                tables.open_table(self.path / name).cleanup_old_versions(older_than=keep, delete_unverified=True)

    def _update(self, identity: str, **changes: Any) -> None:
        from histokin.archive import tables

        with tables.reading(self.path / SLIDES):
            table = tables.open_table(self.path / SLIDES)
            found = table.to_table(filter=tables.any_of("id", [identity])).to_pylist()
        if not found:
            raise ArchiveError(f"has no source {identity}", remedy="Open the archive again", path=self.path)
        row = found[0]
        source = replace(tables.source_of(row), **changes)
        rows = tables.slide_table([source], [row["key"]], [row["patches"]], row["added"])
        with self._flushed(SLIDES):
            tables.upsert(self.path / SLIDES, rows)

    @contextmanager
    def _flushed(self, name: str) -> Iterator[None]:
        """Write what the block adds to a table through to the disk. Errors of Lance's become ours."""
        from histokin.archive import tables

        table = self.path / name
        before = files_of(table)
        with tables.writing(table):
            yield
        flush(files_of(table) - before, table)


def _complete(about: Mapping[str, Any]) -> bool:
    dim = about.get("dim")
    whole = isinstance(dim, int) and dim > 0 and isinstance(about.get("recipe"), dict)
    return whole and about.get("metric") in {"euclidean", "cosine"}


def _require_distinct(sources: Sequence[Source], path: Path) -> None:
    """Sources of one commit may share neither a path nor an id: one would silently take the other's place."""
    for what in ("path", "id"):
        seen: set[str] = set()
        for source in sources:
            value = getattr(source, what)
            if value in seen:
                raise ArchiveError(
                    f"two sources of one commit have the {what} {value}", remedy="Add each file once", path=path
                )
            seen.add(value)


def require_room(path: Path) -> None:
    """Raises :class:`ArchiveExists` where there is an archive, or anything else that is not ours to replace."""
    if (path / ABOUT).exists():
        raise ArchiveExists("there is an archive already", remedy="Open it, or choose another folder", path=path)
    if path.exists() and not _leftover(path):
        raise ArchiveExists("is not an empty folder", remedy="Choose a new folder for the archive", path=path)


def _leftover(path: Path) -> bool:
    """True for an empty folder, or one in which a creation was cut off: our files and nothing else."""
    ours = {SLIDES, PATCHES, LOCK}
    return path.is_dir() and all(
        child.name in ours or _unfinished(child) or (child.name == LEARNED and (child / LEARNED_FROM).is_file())
        for child in path.iterdir()
    )


def _unfinished(file: Path) -> bool:
    return file.name.startswith((f".{ABOUT}.", f".{LEARNED}."))


def _make(path: Path, about: Mapping[str, Any]) -> None:
    """Write an empty store, in place of what a creation that was cut off had written."""
    from histokin.archive import tables

    for child in path.iterdir():
        if _unfinished(child):
            shutil.rmtree(child) if child.is_dir() else child.unlink()
    patches = tables.patch_schema(about["dim"], about["format"] == FORMATS["counts"])
    for name, schema in ((SLIDES, tables.SLIDE_SCHEMA), (PATCHES, patches)):
        if any((path / name / "_versions").glob("*.manifest")) and tables.open_table(path / name).count_rows():
            remedy = f"Restore {ABOUT} from a backup, or choose a new folder"
            raise ArchiveFormat(f"holds an archive without its {ABOUT}", remedy=remedy, path=path)
        if (path / name).exists():
            shutil.rmtree(path / name)  # perhaps without its first version
        tables.make_empty(path / name, schema)
        flush(files_of(path / name), path / name)
    # Last: a folder with this file is a complete archive.
    write_text(path / ABOUT, json.dumps(about, indent=2, sort_keys=True))
