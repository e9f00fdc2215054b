"""Answering a query: filter, exact search, aggregation, evidence."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from histokin.archive.calibration import Alike, own_distances
from histokin.archive.counts import Counts
from histokin.archive.counts_search import search_counts
from histokin.archive.exact import exact_distances, nearest_per_group, search
from histokin.archive.records import Neighbours
from histokin.archive.snapshot import Snapshot
from histokin.archive.store import Store
from histokin.errors import UsageError
from histokin.retrieval.answer import Answer, Match
from histokin.retrieval.asked import Asked
from histokin.retrieval.asking import Asker
from histokin.retrieval.queries import CaseQuery, ExcludeRule, Options, Query, SlideQuery
from histokin.retrieval.ranking import allowed_rows, allowed_sources, choose, group_key, make_hit
from histokin.retrieval.recipe import Prepared
from histokin.retrieval.scale import archive_scale
from histokin.retrieval.subimage.again import again
from histokin.types import Hit

MATCHES_PER_SLIDE = 8
"""Pairs of patches shown as the reason why a whole slide was found."""

DEFAULT_EXCLUDE: dict[str, tuple[ExcludeRule, ...]] = {
    "patch": ("overlap",),
    "region": ("overlap",),
    "slide": ("slide",),
    "case": ("slide", "patient"),
}


@final
class Searcher:
    """Answers queries from one consistent view of an archive."""

    def __init__(self, store: Store, prepared: Prepared) -> None:
        self.store = store
        self.prepared = prepared
        self.snapshot: Snapshot = store.snapshot()
        scale = archive_scale(self.snapshot.sources)
        self.asker = Asker(prepared, self.snapshot, scale)

    def warm_up(self) -> None:
        """Do now what the first search would have to: the view exists, its own distances are measured and kept."""
        _ = self._own_distances

    @cached_property
    def _own_distances(self) -> Float64[np.ndarray, "c"]:
        return own_distances(self.snapshot)

    def search(self, query: Query, options: Options) -> Answer:
        """Ranked hits for a query; see :class:`~histokin.retrieval.queries.Options`."""
        if options.k < 1:
            raise UsageError(f"k is {options.k}", remedy="Ask for at least one hit")
        began = time.monotonic()
        asked = self.asker.ask(query, options.label)
        rules = options.exclude or DEFAULT_EXCLUDE[query.kind]
        sources = allowed_sources(self.snapshot, asked, options, rules)
        notes: tuple[str, ...] = ()
        if isinstance(query, SlideQuery | CaseQuery):
            _refuse_again(options)
            hits, matches, nearest = self._slides(asked, sources, options)
        else:
            hits, matches, nearest, notes = self._patches(asked, sources, options, rules)
        return Answer(
            kind=query.kind,
            query=asked.info,
            recipe=self.prepared.describe(),
            hits=tuple(hits),
            matches=tuple(matches),
            alike=self._alike(nearest, judged=self._judged(asked, options)),
            warnings=asked.warnings + notes + _not_known(asked, rules),
            seconds=time.monotonic() - began,
            vectors=None if isinstance(asked.vectors, Counts) else asked.vectors,
            fitted=asked.fitted,
            seen=asked.seen,
        )

    def _patches(
        self,
        asked: Asked,
        sources: Bool[np.ndarray, "s"],
        options: Options,
        rules: tuple[ExcludeRule, ...],
    ) -> tuple[list[Hit], list[Match], Float64[np.ndarray, "m"], tuple[str, ...]]:
        """Rank patches by their distance to the nearest query patch; then look at the first again, where asked to."""
        snapshot = self.snapshot
        rows = allowed_rows(snapshot, asked, sources, rules)
        available = int(rows.sum())
        second = again(options, self.prepared, snapshot, available)
        wanted = options if second is None else replace(options, k=max(options.k, second.depth))
        depth = max(64, 8 * wanted.k)
        while True:
            found = self._nearest(asked, min(depth, max(available, 1)), rows)
            merged, distances, which = _merge(found.rows, found.distances, depth)
            hits = choose(snapshot, merged, distances, wanted)
            if len(hits) == wanted.k or depth >= available:
                break
            depth *= 4
        if second is not None:
            hits = second.rerank(asked, hits)[: options.k]
        query_of = dict(zip(merged, which, strict=True))
        matches = [
            Match(query_of[hit.row], hit.rank, hit.distance, hit.place.region if hit.place else hit.region, hit.row)
            for hit in hits
            if hit.row is not None and hit.region is not None
        ]
        nearest = found.distances[:, 0] if available else np.empty(0)
        notes = second.notes if second else ()
        if isinstance(asked.vectors, Counts) and available and nearest.min() >= 1.0:
            notes += ("the query shares no word that tells images apart with any of them: the order says nothing",)
        return hits, matches, nearest[np.isfinite(nearest)], notes

    def _nearest(self, asked: Asked, count: int, rows: Bool[np.ndarray, "n"]) -> Neighbours:
        """The nearest allowed rows of each query vector, exactly."""
        snapshot = self.snapshot
        if isinstance(asked.vectors, Counts):
            return search_counts(snapshot, asked.vectors, count, rows=rows)
        return search(snapshot.vectors, snapshot.norms, asked.vectors, count, metric=snapshot.metric, rows=rows)

    def _slides(
        self, asked: Asked, sources: Bool[np.ndarray, "s"], options: Options
    ) -> tuple[list[Hit], list[Match], Float64[np.ndarray, "m"]]:
        """Rank slides by the weighted mean, over the query's patches, of the distance to their nearest patch."""
        snapshot = self.snapshot
        distances, rows = nearest_per_group(
            snapshot.vectors,
            snapshot.norms,
            asked.numbers,
            snapshot.starts,
            metric=snapshot.metric,
            groups=sources,
        )
        score = _weighted(asked.weights, distances)
        # Single precision finds the slides worth measuring; these are measured exactly.
        for place in np.argsort(score, kind="stable")[: 4 * options.k + 16]:
            if np.isfinite(score[place]):
                distances[:, place] = exact_distances(snapshot.vectors, rows[:, place], asked.numbers, snapshot.metric)
        score = _weighted(asked.weights, distances)
        hits: list[Hit] = []
        matches: list[Match] = []
        taken: set[str] = set()
        for place in np.argsort(score, kind="stable"):
            if not np.isfinite(score[place]) or len(hits) == options.k:
                break
            source = snapshot.sources[int(place)]
            key = group_key(source, options.one_per) or source.id
            if key in taken:
                continue
            taken.add(key)
            hit = make_hit(source, None, len(hits) + 1, float(score[place]), None)
            hits.append(hit)
            matches.extend(self._reasons(hit, distances[:, place], rows[:, place]))
        allowed = distances[:, sources]
        return hits, matches, allowed.min(axis=1) if allowed.size else np.empty(0)

    def _reasons(
        self,
        hit: Hit,
        distances: Float64[np.ndarray, "m"],
        rows: Int64[np.ndarray, "m"],
    ) -> list[Match]:
        """The closest pairs of patches, each patch of the hit once."""
        matches: list[Match] = []
        seen: set[int] = set()
        for query in np.argsort(distances, kind="stable"):
            row = int(rows[query])
            if row in seen:
                continue
            seen.add(row)
            region = self.snapshot.region(row)
            matches.append(Match(int(query), hit.rank, float(distances[query]), region, row))
            if len(matches) == MATCHES_PER_SLIDE:
                break
        return matches

    def _alike(self, nearest: Float64[np.ndarray, "m"], *, judged: bool) -> Alike:
        """The median over the query's patches, held against the archive's own distances where it may be judged."""
        if not len(nearest):
            return Alike(None, None, None)
        return Alike.of(float(np.median(nearest)), self._own_distances if judged else np.empty(0))

    def _judged(self, asked: Asked, options: Options) -> bool:
        """Whether the archive's own distances are a measure: not for another microscope, nor for parts of images."""
        same = asked.seen is None or asked.seen.modality == self.prepared.modality
        return same and options.method is None and not options.rerank


def _refuse_again(options: Options) -> None:
    if options.method or options.rerank or options.vocabulary:
        raise UsageError("slides and cases are not ranked again", remedy="Leave --method, --rerank, --vocabulary out")


def _not_known(asked: Asked, rules: Sequence[ExcludeRule]) -> tuple[str, ...]:
    """A query from outside the archive has no patient or centre there to leave out: say so."""
    if asked.own:
        return ()
    return tuple(
        f"the archive does not know the query's {rule}, so nothing was left out by it; --where can, by its name"
        for rule in rules
        if rule in ("patient", "centre")
    )


def _weighted(weights: Float64[np.ndarray, "m"], distances: Float64[np.ndarray, "m s"]) -> Float64[np.ndarray, "s"]:
    """Weighted mean distance per slide; infinity for slides that may not answer."""
    finite = np.isfinite(distances).all(axis=0)
    score: Float64[np.ndarray, "s"] = np.where(finite, weights @ np.where(finite, distances, 0.0), np.inf)
    return score


def _merge(
    rows: Int64[np.ndarray, "m k"],
    distances: Float64[np.ndarray, "m k"],
    depth: int,
) -> tuple[list[int], list[float], list[int]]:
    """Rows from near to far by their distance to the nearest query vector, each once, at most ``depth``.

    The first ``depth`` are exact: a row among the nearest ``depth`` overall is among the nearest ``depth`` of
    the query vector that it is nearest to.
    """
    flat_rows, flat = rows.ravel(), distances.ravel()
    which = np.repeat(np.arange(rows.shape[0]), rows.shape[1])
    order = np.lexsort((flat_rows, flat))
    order = order[flat_rows[order] >= 0]
    _, first = np.unique(flat_rows[order], return_index=True)
    order = order[np.sort(first)][:depth]
    return flat_rows[order].tolist(), flat[order].tolist(), which[order].tolist()
