"""The archive as a user meets it: a store together with its recipe."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from histokin.archive.store import Store
from histokin.retrieval.answer import Answer
from histokin.retrieval.indexing import index_paths
from histokin.retrieval.learning import learn, needs_learning
from histokin.retrieval.queries import (
    ExcludeRule,
    Options,
    PatchQuery,
    Query,
    RegionQuery,
    SlideQuery,
)
from histokin.retrieval.recipe import Prepared, Recipe
from histokin.retrieval.report import IndexReport, Progress, Silent
from histokin.retrieval.scale import archive_scale
from histokin.retrieval.searching import Searcher
from histokin.retrieval.sources import Describer
from histokin.slides.labels import Labels, read_labels
from histokin.types import Image


@final
class Archive:
    """Slides, patches and vectors on disk, made and searched by one recipe.

    Use :meth:`create` or :meth:`open`.
    """

    def __init__(self, store: Store, prepared: Prepared) -> None:
        self.store = store
        self.prepared = prepared
        self._searcher: Searcher | None = None
        self._searcher_version: object = None

    @classmethod
    def create(
        cls,
        path: str | Path,
        recipe: Recipe | None = None,
        *,
        learn_from: str | Path | Iterable[str | Path] = (),
        labels: str | Path | Labels | None = None,
        mpp: float | None = None,
        progress: Progress | None = None,
    ) -> "Archive":
        """Make an empty archive in a new folder.

        An encoder that learns, such as ``bag-of-words`` without a ``path``, learns from the loose images under
        ``learn_from`` and is kept in the folder; ``labels`` and ``mpp`` are those of :meth:`index`. A creation that
        was killed is repeated by calling this again.

        Raises
        ------
        ArchiveExists
            when there is an archive already.
        UnknownName
            when the recipe names a normalizer or an encoder that is not registered.
        UsageError
            when an encoder is to learn and there is nothing to learn from.
        """
        wanted = recipe or Recipe()
        if needs_learning(wanted):
            describer = Describer(as_labels(labels), mpp)
            prepared = learn(Path(path), wanted, absolute_paths(learn_from), describer, progress or Silent())
        else:
            prepared = wanted.prepare()
        spec = prepared.encoder.spec
        kind: Literal["dense", "counts"] = "counts" if spec.kind == "counts" else "dense"
        store = Store.create(Path(path), prepared.to_dict(), dim=spec.dim, metric=spec.metric, kind=kind)
        return cls(store, prepared)

    @classmethod
    def open(cls, path: str | Path) -> "Archive":
        """Open an archive, with the recipe it was made by, whatever today's defaults are.

        Raises
        ------
        ArchiveMissing, ArchiveFormat
            when there is none, or it cannot be read by this version.
        NotComparable
            when this installation's encoder or normalizer is not the archive's.
        """
        store = Store.open(Path(path))
        return cls(store, Prepared.from_dict(store.recipe, store.path))

    def index(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        labels: str | Path | Labels | None = None,
        mpp: float | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> IndexReport:
        """Index slides and image folders; what is there already is left alone, failures are in the report.

        Parameters
        ----------
        paths : files and folders.
        labels : CSV table with a column ``slide`` and any others, or what :func:`read_labels` returned.
        mpp : microns per pixel of all ``paths``, overriding the files.
        threads : reading threads; default one per core.
        """
        report = index_paths(
            self.store,
            self.prepared,
            absolute_paths(paths),
            labels=as_labels(labels),
            mpp=mpp,
            threads=threads,
            progress=progress,
        )
        if report.slides or report.relinked:
            self.searcher().warm_up()
        return report

    def search(
        self,
        query: Query | Image | str | Path,
        k: int = 5,
        *,
        exclude: ExcludeRule | Sequence[ExcludeRule] = (),
        where: str | Mapping[str, str] | None = None,
        one_per: Literal["slide", "patient"] | None = None,
        min_separation: float = 1.0,
        label: str | None = None,
        method: str | None = None,
        rerank: int | None = None,
        vocabulary: Literal["reuse", "rebuild"] | None = None,
    ) -> Answer:
        """The tissue most like the query.

        Parameters
        ----------
        query : an image file, an array "h w c" (``uint8`` RGB for most archives), or one of :class:`PatchQuery`,
            :class:`RegionQuery`, :class:`SlideQuery`, :class:`CaseQuery`.
        k, exclude, where, one_per, min_separation, label, method, rerank, vocabulary : see :class:`Options`. Without
            ``exclude``, a patch or region leaves out what overlaps it, a slide itself, a case its patient.

        Raises
        ------
        InputError, UsageError, NotComparable
        """
        rules = (exclude,) if isinstance(exclude, str) else tuple(exclude)
        options = Options(
            k=k,
            exclude=rules,
            where=dict(where) if isinstance(where, Mapping) else where,
            one_per=one_per,
            min_separation=min_separation,
            label=label,
            method=method,
            rerank=rerank,
            vocabulary=vocabulary,
        )
        return self.searcher().search(as_query(query), options)

    def searcher(self) -> Searcher:
        """A view of the archive as it is now; kept until the archive changes."""
        if self._searcher is None or self._searcher_version != self.store.version:
            self._searcher_version = self.store.version
            self._searcher = Searcher(self.store, self.prepared)
        return self._searcher

    def info(self) -> dict[str, Any]:
        """What the archive holds and how it was made, JSON-ready."""
        sources = self.store.sources()
        counts: dict[str, int] = {}
        labels: dict[str, int] = {}
        columns: set[str] = set()
        for source in sources:
            for key, value in source.counts.items():
                counts[key] = counts.get(key, 0) + value
            if source.label is not None:
                labels[source.label] = labels.get(source.label, 0) + 1
            columns |= set(source.columns)
        return {
            "path": str(self.store.path),
            "slides": sum(source.kind == "slide" for source in sources),
            "images": sum(source.kind == "image" for source in sources),
            "patches": counts.get("kept", 0),
            "scale": archive_scale(sources),
            "labels": dict(sorted(labels.items())),
            "columns": sorted(columns),
            "counts": counts,
            "recipe": self.prepared.describe(),
            "bytes": _bytes_under(self.store.path),
            "missing_files": [source.path for source in sources if not Path(source.path).exists()],
        }


def absolute_paths(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """One path or several, absolute."""
    return [Path(path).absolute() for path in ([paths] if isinstance(paths, str | Path) else paths)]


def as_labels(labels: str | Path | Labels | None) -> Labels | None:
    """A table that may have been read already."""
    return labels if isinstance(labels, Labels) or labels is None else read_labels(Path(labels))


def as_query(query: Query | Image | str | Path) -> Query:
    """An image file or array as a patch query; anything else as it is."""
    if isinstance(query, str | Path):
        return PatchQuery(Path(query).absolute())
    if isinstance(query, np.ndarray):
        return PatchQuery(query)
    if isinstance(query, PatchQuery) and isinstance(query.image, Path):
        return replace(query, image=query.image.absolute())
    if isinstance(query, RegionQuery):
        return replace(query, slide=query.slide.absolute())
    if isinstance(query, SlideQuery) and query.slide.exists():
        return replace(query, slide=query.slide.absolute())
    return query


def _bytes_under(path: Path) -> int:
    total = 0
    for file in path.rglob("*"):
        with suppress(FileNotFoundError):  # a writer may be joining files meanwhile
            total += file.stat().st_size if file.is_file() else 0
    return total
