"""Indexing: every input ends as indexed, unchanged, relinked or a named failure; none ends the run."""

import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, final

from histokin.archive.records import Source
from histokin.archive.store import Store
from histokin.cores import usable_cores
from histokin.errors import ArchiveError, HistokinError, MissingStyle, UnreadableFile
from histokin.retrieval.index_images import (
    BATCH,
    LooseImage,
    few_pixels_warning,
    fit_folder,
    index_images,
)
from histokin.retrieval.index_slide import index_slide
from histokin.retrieval.known import Known, Standing
from histokin.retrieval.preparing import chunks
from histokin.retrieval.recipe import BRIGHTFIELD, Prepared
from histokin.retrieval.report import IndexReport, Progress, Silent
from histokin.retrieval.scale import Scale, archive_scale, require_same_scale, scale_of
from histokin.retrieval.sources import Described, Describer
from histokin.slides.discover import ImageFolder, discover
from histokin.slides.labels import Labels
from histokin.stain.base import Appearance
from histokin.stain.registry import map_from_dict
from histokin.types import ImageMap

COMPACT_EVERY = 64
"""Commits after which small files are joined, so that the ten-thousandth slide commits as fast as the first."""


def default_threads() -> int:
    """Reading threads: one per core, at most eight."""
    return min(8, usable_cores())


@final
class Indexer:
    """One run over many inputs, into one archive. Use :func:`index_paths`."""

    def __init__(
        self, store: Store, prepared: Prepared, describer: Describer, threads: int, progress: Progress
    ) -> None:
        self.store = store
        self.prepared = prepared
        self.describer = describer
        self.threads = threads
        self.progress = progress
        self.report = IndexReport()
        self.commits = 0
        sources = store.sources()
        self.known = Known(sources)
        self.scale: Scale | None = archive_scale(sources)

    def run(self, paths: Sequence[Path]) -> IndexReport:
        """Index everything found under ``paths``."""
        began = time.monotonic()
        found = discover(paths)
        for failure in found.failures:
            self.report.fail(failure, "")
        inputs = [*found.slides, *(image for folder in found.folders for image in folder.images)]
        if self.describer.labels is not None:
            self.describer.labels.check(inputs)
        self.report.ignored = [str(path) for path in found.ignored]
        self.progress.start(len(inputs))
        for path in found.slides:
            self._slide(path)
        for folder in found.folders:
            self._folder(folder)
        self._unused_labels(inputs)
        self.store.maybe_compact()
        self.report.seconds = time.monotonic() - began
        return self.report

    def _slide(self, path: Path) -> None:
        outcome = "failed"
        try:
            outcome = self._index_slide(path)
        except (ArchiveError, MemoryError):
            raise
        except Exception as error:  # a reader's surprise must not end a run of a thousand
            self._fail(error, path)
        self.progress.finish(path.name, 1, outcome)

    def _index_slide(self, path: Path) -> str:
        standing = self.known.standing(path)
        said = self.describer.describe(path, None)
        again = self._changed(standing, said)
        if standing.source is not None and not again:
            return self._already(standing, standing.source, path, said)
        source = index_slide(
            self.store,
            self.prepared,
            path,
            standing.digest,
            said,
            archived=self.scale,
            threads=self.threads,
            progress=self.progress,
        )
        self.scale = scale_of(source.mpp)
        self._added([source], {str(path)} if again else set())
        if source.counts["bad"]:
            self.report.warnings.append(f"{path}: {source.counts['bad']} patches do not decode and were left out")
        return "indexed"

    def _folder(self, folder: ImageFolder) -> None:
        by_style: dict[str | None, list[tuple[LooseImage, bool]]] = {}
        for image, replaces in self._new_images(folder):
            by_style.setdefault(image.said.style, []).append((image, replaces))
        together: list[tuple[LooseImage, bool]] = []
        for style, new in by_style.items():
            try:
                appearance = self.prepared.appearance.for_style(style)
            except MissingStyle as error:
                for image, _ in new:
                    self._fail(error, image.path)
                    self.progress.finish(image.path.name, 1, "failed")
                continue
            if appearance is self.prepared.appearance:
                together += new
            else:
                self._fitted_together(new, [image.path for image, _ in new], f"{folder.path} ({style})", appearance)
        if together:
            self._fitted_together(together, folder.images, str(folder.path), self.prepared.appearance)

    def _fitted_together(
        self, new: list[tuple[LooseImage, bool]], sample: Sequence[Path], group: str, appearance: Appearance
    ) -> None:
        """Index images that share one map."""
        fitted, stored = self._fit(sample, group, appearance)
        for batch in chunks(new, BATCH):
            self._batch(batch, group, fitted, stored)

    def _new_images(self, folder: ImageFolder) -> list[tuple[LooseImage, bool]]:
        """The folder's images that have to be encoded, each with whether it replaces an older one."""
        new: list[tuple[LooseImage, bool]] = []
        for path in folder.images:
            try:
                standing = self.known.standing(path)
                said = self.describer.describe(path, folder.label)
                again = self._changed(standing, said)
                if standing.source is not None and not again:
                    self._already(standing, standing.source, path, said)
                    self.progress.finish(path.name, 1, standing.state)
                    continue
                require_same_scale(self.scale, scale_of(said.mpp), self.prepared.grid, path)
            except ArchiveError:
                raise
            except HistokinError as error:
                self._fail(error, path)
                self.progress.finish(path.name, 1, "failed")
                continue
            new.append((LooseImage(path, standing.digest, said), again))
        return new

    def _changed(self, standing: Standing, said: Described) -> bool:
        """True for a source that is to be indexed again: its content, or the weights for its centre, are others."""
        if standing.source is None or standing.state == "changed":
            return standing.source is not None
        before = standing.source.columns.get("centre") or None
        if self.describer.labels is None or standing.state == "moved" or before == said.style:
            return False
        whole = self.prepared.appearance
        return whole.for_style(said.style) is not whole

    def _fit(self, sample: Sequence[Path], group: str, appearance: Appearance) -> tuple[ImageMap, dict[str, Any]]:
        """The group's map: the one it was given before, so that added images match, or a new fit."""
        before = self.known.group(group)
        if before is not None:
            return map_from_dict(before.appearance), before.appearance
        described = partial(self.describer.describe, folder_label=None)
        fitted, pixels = fit_folder(sample, described, appearance, self.prepared)
        warning = few_pixels_warning(group, pixels, appearance)
        if warning and self.prepared.modality == BRIGHTFIELD:
            self.report.warnings.append(warning)
        if not fitted.status.ok:
            self.report.warnings.append(f"{group}: colors left as they are: {fitted.status.reason}")
        return fitted, fitted.to_dict()

    def _batch(
        self, batch: list[tuple[LooseImage, bool]], group: str, fitted: ImageMap, stored: dict[str, Any]
    ) -> None:
        images = [image for image, _ in batch]
        try:
            sources = index_images(
                self.store,
                self.prepared,
                images,
                group=group,
                fitted=fitted,
                stored_map=stored,
                progress=self.progress,
                on_failure=self._fail,
            )
        except (ArchiveError, MemoryError):
            raise
        except Exception as error:
            for image in images:
                self._fail(error, image.path)
            sources = []
        if sources:
            self.scale = scale_of(sources[0].mpp)
        self._added(sources, {str(image.path) for image, replaces in batch if replaces})
        self.progress.finish(group, len(images), "indexed")

    def _already(self, standing: Standing, source: Source, path: Path, said: Described) -> str:
        """Nothing to encode: relink a moved source, refresh what the label table says."""
        if standing.state in ("moved", "touched"):
            self.store.relink(source.id, str(path), path.stat().st_mtime_ns)
        if standing.state == "moved":
            self.known.take(source)
            self.report.relinked.append(f"{source.path} -> {path}")
        given = self.describer.labels is not None or standing.state == "moved"
        if given and (source.label, source.columns) != (said.label, said.columns):
            self.store.update_columns(source.id, said.label, said.columns)
        self.report.unchanged += 1
        return standing.state

    def _added(self, sources: Sequence[Source], replaced: set[str]) -> None:
        self.commits += bool(sources)
        if self.commits % COMPACT_EVERY == 0:
            self.store.maybe_compact()
        for source in sources:
            self.report.slides += 1
            self.report.patches += source.counts["kept"]
            self.report.count(source.counts)
            if source.path in replaced:
                self.report.changed.append(source.path)

    def _fail(self, error: Exception, path: Path) -> None:
        if not isinstance(error, HistokinError):
            error = UnreadableFile(
                f"unexpected {type(error).__name__}: {error}",
                remedy="Please report this with the file's origin; the other inputs were indexed",
                path=path,
            )
        self.report.fail(error, str(path))

    def _unused_labels(self, paths: Iterable[Path]) -> None:
        if self.describer.labels is None:
            return
        unused = self.describer.labels.unused(list(paths))
        if unused:
            names = ", ".join(unused[:5]) + (", ..." if len(unused) > 5 else "")
            self.report.warnings.append(f"{len(unused)} rows of the label table match no input: {names}")


def index_paths(
    store: Store,
    prepared: Prepared,
    paths: Sequence[Path],
    *,
    labels: Labels | None = None,
    mpp: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> IndexReport:
    """Index slides and image folders into a store, resuming where an earlier run stopped.

    Parameters
    ----------
    paths : files and folders; folders are searched through.
    labels : table of label and other columns, attached by file name.
    mpp : microns per pixel, overriding what the files say.

    Raises
    ------
    ArchiveBusy
        while another process writes to the archive.
    """
    with store.writer():
        indexer = Indexer(store, prepared, Describer(labels, mpp), threads or default_threads(), progress or Silent())
        return indexer.run(paths)
