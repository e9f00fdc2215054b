"""Feature files into an archive: every file ends as imported or as a named failure; none ends the run."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np

from histokin.archive.records import PatchBatch, Source
from histokin.archive.store import Store
from histokin.errors import (
    ArchiveError,
    ArchiveMissing,
    EncoderError,
    HistokinError,
    InputError,
    NotComparable,
    UnreadableFile,
    UnsupportedFormat,
    UsageError,
)
from histokin.retrieval.archive import Archive
from histokin.retrieval.features.base import Asked, Chunk, Entry, FeatureFile, FeatureFormat
from histokin.retrieval.features.naming import Named, prepare, require_same
from histokin.retrieval.features.originals import Originals, source_of
from histokin.retrieval.features.registry import BY_SUFFIX, feature_format, format_of
from histokin.retrieval.features.stream import Stream
from histokin.retrieval.indexing import COMPACT_EVERY
from histokin.retrieval.report import IndexReport, Progress, Silent
from histokin.retrieval.scale import Scale, archive_scale, require_same_scale, scale_of
from histokin.retrieval.sources import Describer
from histokin.slides.grid import Grid
from histokin.slides.labels import Labels
from histokin.stain.unchanged import Unchanged

ENTRIES = 512
"""Slides or images of one file that are committed together."""

FIELD_TOLERANCE = 1.12
"""Patches whose fields of view differ by more than this factor are refused beside each other. Scanners of one nominal
magnification differ by up to 11 %; 224 and 256 pixels by 14 %."""


@final
@dataclass(frozen=True)
class Wanted:
    """What stands in for what files do not say, and what is attached to their slides.

    ``format`` is a registered name, or None to go by each file's ending; ``slides`` a folder in which to look for the
    slides or images themselves; ``labels`` a table of label and other columns.
    """

    format: str | None = None
    named: Named = field(default_factory=Named)
    asked: Asked = field(default_factory=Asked)
    slides: Path | None = None
    labels: Labels | None = None


def import_features(
    files: Sequence[Path], archive: Path, wanted: Wanted | None = None, *, progress: Progress | None = None
) -> IndexReport:
    """Take the vectors of feature files into an archive, which is made where there is none.

    What cannot be used is in the report's ``failed``, everything else is imported. A slide that is in the archive is
    replaced and named in ``changed``. An archive is made only once there is something to put into it.

    Parameters
    ----------
    files : feature files, and folders of them.

    Raises
    ------
    UsageError
        nothing says which encoder made the vectors, or an option is wrong.
    EncoderError
        the folder given as encoder holds none.
    NotComparable
        the archive's own encoder is not the one of this installation.
    ArchiveError
        the archive cannot be written, or another process is writing.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        run = _Importer(archive.absolute(), wanted or Wanted(), progress or Silent(), stack)
        run.files(files)
        if run.archive is not None and run.report.slides:
            run.archive.store.maybe_compact()
            run.archive.searcher().warm_up()
    run.report.seconds = time.monotonic() - began
    return run.report


@final
class _Importer:
    """One run over many files, into one archive."""

    def __init__(self, path: Path, wanted: Wanted, progress: Progress, stack: ExitStack) -> None:
        self.path = path
        self.wanted = wanted
        self.progress = progress
        self.report = IndexReport()
        self.archive: Archive | None = None
        self._stack = stack
        self._originals = Originals(wanted.slides)
        self._describer = Describer(wanted.labels, wanted.asked.mpp)
        self._format = feature_format(wanted.format) if wanted.format else None
        self._known: set[str] = set()
        self._scale: Scale | None = None
        self._taken: dict[str, Path] = {}
        self._commits = 0
        with suppress(ArchiveMissing):
            self._open(Archive.open(path))

    def files(self, given: Sequence[Path]) -> None:
        """Every file in turn; those that cannot be used are recorded."""
        files = self._listed(given)
        self.progress.start(len(files))
        for path in files:
            try:
                self._file(path)
            except (ArchiveError, EncoderError, UsageError, MemoryError):
                raise
            except HistokinError as error:
                self.report.fail(error, str(path))
            except Exception as error:  # a reader's surprise with one file must not take the others along
                self.report.fail(_unexpected(error, path), str(path))
            self.progress.finish(path.name, 1, "done")
        if self.wanted.labels is not None:
            unused = self.wanted.labels.unused([Path(path) for path in self._taken])
            if unused:
                named = ", ".join(unused[:5]) + (", ..." if len(unused) > 5 else "")
                self.report.warnings.append(f"{len(unused)} rows of the label table match no slide: {named}")

    def _listed(self, given: Sequence[Path]) -> list[Path]:
        """Files as they are, folders by the feature files in them."""
        suffixes = self._format.suffixes if self._format else tuple(BY_SUFFIX)
        files: list[Path] = []
        for path in given:
            if not path.is_dir():
                files.append(path.absolute())
                continue
            inside = (p for p in path.rglob("*") if p.suffix.lower() in suffixes and not p.name.startswith("."))
            found = sorted(p.absolute() for p in inside if p.is_file())
            if not found:
                wanted = ", ".join(suffixes)
                error = UnsupportedFormat(
                    f"the folder holds no file that ends in {wanted}", remedy="Check the path", path=path
                )
                self.report.fail(error, str(path))
            files += found
        return list(dict.fromkeys(files))

    def _file(self, path: Path) -> None:
        """Look through one file, then take in its slides and images."""
        shown = str(path).encode(errors="backslashreplace").decode()
        if shown != str(path):
            raise UnreadableFile("its name is not valid UTF-8", remedy="Rename it", path=shown)
        features = _reader(self._format, path).read(path, self.wanted.asked)
        self.progress.begin(path.name, sum(entry.patches for entry in features.entries))
        if self.archive is not None:
            require_same(features.head, self.wanted.named, self.archive.prepared, path)
        rows = [self._row(entry, features, path) for entry in features.entries]
        if self.archive is None or not any(rows):
            return
        stream = Stream(features.chunks())
        for start in range(0, len(rows), ENTRIES):
            group = rows[start : start + ENTRIES]
            batches = self._batches(stream.upto(start + len(group)), group, start)
            sources = [row for row in group if row is not None]
            if sources:
                self.archive.store.commit(sources, batches)
                self._added(sources)
            else:
                for _ in batches:
                    pass

    def _row(self, entry: Entry, features: FeatureFile, path: Path) -> Source | None:
        """The archive's row, or None where this slide cannot be taken; the first one fixes a new archive's recipe."""
        try:
            original = self._originals.find(entry.file, path.parent)
            source = source_of(entry, original, path, self._describer, Unchanged("raw").to_dict())
            if source.path in self._taken:
                raise InputError(
                    f"the features of {source.path} are in {self._taken[source.path]} too",
                    remedy="Import the features of each slide once",
                    path=path,
                )
            archive = self.archive or self._created(features, _grid(entry, source), path)
            self._fits(entry, source, archive.prepared.grid, path)
        except (InputError, NotComparable) as error:
            self.report.fail(error, str(path))
            return None
        self._taken[source.path] = path
        return source

    def _created(self, features: FeatureFile, grid: Grid | None, path: Path) -> Archive:
        prepared, warnings = prepare(features.head, self.wanted.named, grid, path)
        self.report.warnings += warnings
        spec = prepared.encoder.spec
        return self._open(
            Archive(Store.create(self.path, prepared.to_dict(), dim=spec.dim, metric=spec.metric), prepared)
        )

    def _open(self, archive: Archive) -> Archive:
        if archive.prepared.whole:
            raise NotComparable(
                "the file holds vectors of RGB patches, the archive word counts, or a representation of images",
                remedy="Import into another archive",
                path=self.path,
            )
        self._stack.enter_context(archive.store.writer())
        sources = archive.store.sources()
        self._known = {source.path for source in sources}
        self._scale = archive_scale(sources)
        self.archive = archive
        return archive

    def _fits(self, entry: Entry, source: Source, grid: Grid, path: Path) -> None:
        """Raises :class:`NotComparable` or ``MissingScale`` for patches of another scale."""
        require_same_scale(self._scale, scale_of(source.mpp), grid, path)
        self._scale = scale_of(source.mpp)
        if source.mpp is None or entry.side is None:
            return
        field_of_view, ours = entry.side * source.mpp, grid.patch_px * grid.mpp
        if not 1 / FIELD_TOLERANCE <= field_of_view / ours <= FIELD_TOLERANCE:
            raise NotComparable(
                f"its patches span {field_of_view:.4g} µm, the archive's {ours:.4g} µm",
                remedy="Import it into another archive, or check --mpp and --patch-size",
                path=path,
            )

    def _batches(self, chunks: Iterator[Chunk], group: Sequence[Source | None], start: int) -> Iterator[PatchBatch]:
        """The store's form of rows; those of entries that are not taken are left out."""
        places = np.cumsum([row is not None for row in group]).astype(np.int32) - 1
        taken = np.array([row is not None for row in group])
        for chunk in chunks:
            mine = taken[chunk.entry - start]
            entry = chunk.entry[mine] - start
            boxes = chunk.boxes[mine]
            for row in np.flatnonzero(boxes[:, 2] == 0).tolist():
                whole = group[int(entry[row])]
                boxes[row] = (0, 0, max(1, whole.width), max(1, whole.height)) if whole is not None else boxes[row]
            yield PatchBatch(
                source=places[entry],
                boxes=boxes,
                tissue=np.full(len(entry), np.nan, np.float32),
                flags=[""] * len(entry),
                vectors=chunk.vectors[mine],
                crops=None,
            )
            self.progress.advance(len(chunk.entry))

    def _added(self, sources: Sequence[Source]) -> None:
        self._commits += 1
        if self._commits % COMPACT_EVERY == 0 and self.archive is not None:
            self.archive.store.maybe_compact()
        self.report.slides += len(sources)
        for source in sources:
            self.report.patches += source.counts["kept"]
            self.report.count({"kept": source.counts["kept"]})
            if source.path in self._known:
                self.report.changed.append(source.path)


def _reader(asked: FeatureFormat | None, path: Path) -> FeatureFormat:
    if asked is not None:
        return asked
    try:
        return format_of(path)
    except UsageError as error:
        raise UnsupportedFormat(error.reason, remedy=error.remedy, path=path) from None


def _grid(entry: Entry, source: Source) -> Grid | None:
    """The grid that a slide's patches lie on; None where their scale is not known."""
    if source.mpp is None or entry.side is None:
        return None
    px = entry.patch_px or 224
    return Grid(mpp=entry.side * source.mpp / px, patch_px=max(8, px), overlap=0.0, min_tissue=0.0)


def _unexpected(error: Exception, path: Path) -> UnreadableFile:
    return UnreadableFile(
        f"unexpected {type(error).__name__}: {error}",
        remedy="Please report this with the file's origin; the other files were imported",
        path=path,
    )
