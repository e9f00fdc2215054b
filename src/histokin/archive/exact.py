"""Exact nearest neighbors as one blocked matrix product, the filter applied first.

Squared distances are compared as ``|x|² - 2 q·x`` in single precision, which a matrix product delivers at the speed
of memory; every row that could be among the nearest given the rounding of that product is then measured again in
double precision. Distances are therefore exact, ties go to the lower row, and nothing depends on the block size.
"""

from collections.abc import Iterator
from typing import Literal, final

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int64, Integer

from histokin.archive.records import Neighbours

BLOCK = 1 << 14
SCORES = 1 << 18
"""Scores of one block: what a core's cache holds."""

CROWDED = 4096
"""Candidates of one query from which exact ties are settled at once, to bound memory."""

Metric = Literal["euclidean", "cosine"]
Part = slice | Int[np.ndarray, "r"]


def search(
    vectors: Float32[np.ndarray, "n d"],
    norms: Float32[np.ndarray, "n"],
    queries: Float32[np.ndarray, "m d"],
    k: int,
    *,
    metric: Metric,
    rows: Bool[np.ndarray, "n"] | None = None,
    exclude: tuple[Integer[np.ndarray, "n"], Integer[np.ndarray, "m"]] | None = None,
    block: int = BLOCK,
) -> Neighbours:
    """The ``k`` nearest rows of every query.

    Parameters
    ----------
    vectors, norms : the archive's rows and their squared lengths.
    rows : rows that may answer; None for all. Applied before the search.
    exclude : a group per row and a group per query; a row of the query's group does not answer it.
    metric : ``euclidean`` (not squared) or ``cosine`` (1 - cosine of the angle; 1 for a vector of zeros).
    block : rows multiplied at once; it changes the memory used, never the answer.

    Returns
    -------
    Neighbours
        from near to far; -1 and infinity where fewer than ``k`` rows may answer.
    """
    vectors, norms, queries = np.asarray(vectors), np.asarray(norms), np.asarray(queries)
    asked = _folded(queries, metric)
    nearest = _Nearest(vectors, queries, k, metric)
    for part, out in _parts(len(vectors), rows, block, len(queries)):
        scores = _scores(_take(vectors, part), _take(norms, part), asked, metric)
        if out is not None:
            scores[:, out] = np.inf
        if exclude is not None:
            scores[exclude[0][part][None, :] == exclude[1][:, None]] = np.inf
        nearest.offer(part, scores)
    return nearest.answer()


def exact_distances(
    vectors: Float32[np.ndarray, "n d"], rows: Int[np.ndarray, "r"], query: Float32[np.ndarray, "*#q d"], metric: Metric
) -> Float64[np.ndarray, "r"]:
    """Distances of some rows to one query, or of each row to a query of its own, in double precision."""
    picked = vectors[rows].astype(np.float64)
    asked = query.astype(np.float64)
    if metric == "euclidean":
        gaps: Float64[np.ndarray, "r"] = np.sqrt(((picked - asked) ** 2).sum(axis=1))
        return gaps
    lengths = np.sqrt((picked**2).sum(axis=1)) * np.sqrt((asked**2).sum(axis=-1))
    cosines: np.ndarray = np.divide((picked * asked).sum(axis=1), lengths, out=np.zeros(len(picked)), where=lengths > 0)
    apart: Float64[np.ndarray, "r"] = np.maximum(1.0 - cosines, 0.0)
    return apart


def nearest_per_group(
    vectors: Float32[np.ndarray, "n d"],
    norms: Float32[np.ndarray, "n"],
    queries: Float32[np.ndarray, "m d"],
    starts: Int64[np.ndarray, "g1"],
    *,
    metric: Metric,
    groups: Bool[np.ndarray, "g"] | None = None,
    block: int = BLOCK,
) -> tuple[Float64[np.ndarray, "m g"], Int64[np.ndarray, "m g"]]:
    """For every query and every contiguous group of rows (a slide): the nearest row and its distance.

    ``starts`` holds the first row of each group and, at the end, the number of rows; ``groups`` which of them may
    answer. Infinity and -1 for the others and for empty groups. Distances carry the rounding of single precision:
    measure those that matter again with :func:`exact_distances`.
    """
    count = len(starts) - 1
    vectors, norms, queries = np.asarray(vectors), np.asarray(norms), np.asarray(queries)
    best = np.full((len(queries), count), np.inf, np.float32)
    where = np.full((len(queries), count), -1, np.int64)
    group_of = np.repeat(np.arange(count), np.diff(starts))
    allowed = None if groups is None or groups.all() else groups[group_of]
    asked = _folded(queries, metric)
    for part, out in _parts(len(vectors), allowed, block, len(queries)):
        scores = _scores(_take(vectors, part), _take(norms, part), asked, metric)
        if out is not None:
            scores[:, out] = np.inf
        here = group_of[part]
        first = np.flatnonzero(np.diff(here, prepend=-1))
        lowest, at = _lowest(scores, first)
        found = _run(here[first])
        closer = lowest < best[:, found]
        best[:, found] = np.where(closer, lowest, best[:, found])
        where[:, found] = np.where(closer, _numbers(part)[at], where[:, found])
    return _as_distances(best, queries, metric), where


def _run(places: Int[np.ndarray, "g"]) -> Part:
    """Ascending places, as a slice where none is left out: a view is quicker than a copy."""
    if len(places) and places[-1] - places[0] + 1 == len(places):
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


def _lowest(
    scores: Float32[np.ndarray, "m b"], first: Int[np.ndarray, "g"]
) -> tuple[Float32[np.ndarray, "m g"], Int[np.ndarray, "#m g"]]:
    """Lowest score of each run of columns that begins at ``first``, and the first column that has it."""
    width = scores.shape[1]
    if len(first) == width:
        return scores, np.arange(width)[None, :]
    if len(first) * 64 < width:
        ends = [*first[1:].tolist(), width]
        at = np.stack([scores[:, a:b].argmin(axis=1) + a for a, b in zip(first.tolist(), ends, strict=True)], axis=1)
        return np.take_along_axis(scores, at, axis=1), at
    lowest = np.minimum.reduceat(scores, first, axis=1)
    tops = scores == np.repeat(lowest, np.diff(first, append=width), axis=1)
    return lowest, np.minimum.reduceat(np.where(tops, np.arange(width), width), first, axis=1)


def _as_distances(
    scores: Float32[np.ndarray, "m g"], queries: Float32[np.ndarray, "m d"], metric: Metric
) -> Float64[np.ndarray, "m g"]:
    wide = scores.astype(np.float64)
    squared = (queries.astype(np.float64) ** 2).sum(axis=1)[:, None]
    if metric == "euclidean":
        gaps: Float64[np.ndarray, "m g"] = np.sqrt(np.maximum(wide + squared, 0.0))
        return gaps
    cosines = np.divide(wide, np.sqrt(squared), out=np.where(np.isinf(wide), wide, 0.0), where=squared > 0)
    apart: Float64[np.ndarray, "m g"] = np.maximum(1.0 + cosines, 0.0)
    return apart


def _folded(queries: Float32[np.ndarray, "m d"], metric: Metric) -> Float32[np.ndarray, "m d"]:
    """Queries times what the product would be multiplied by."""
    asked: Float32[np.ndarray, "m d"] = queries * np.float32(-2.0 if metric == "euclidean" else -1.0)
    return asked


def _scores(
    part: Float32[np.ndarray, "b d"],
    norms: Float32[np.ndarray, "b"],
    asked: Float32[np.ndarray, "m d"],
    metric: Metric,
) -> Float32[np.ndarray, "m b"]:
    """Smaller is nearer; equal to the distance up to a constant of the query and a monotone function."""
    scores: np.ndarray = asked @ part.T
    if metric == "euclidean":
        scores += norms
        return scores
    scores *= np.divide(1.0, np.sqrt(norms), out=np.zeros_like(norms), where=norms > 0)
    return scores


def _take(array: np.ndarray, part: Part) -> np.ndarray:
    return array[part] if isinstance(part, slice) else np.take(array, part, axis=0)


def _numbers(part: Part) -> Int[np.ndarray, "r"]:
    return np.arange(part.start, part.stop) if isinstance(part, slice) else part


def _parts(
    count: int, rows: Bool[np.ndarray, "n"] | None, block: int, queries: int
) -> Iterator[tuple[Part, Bool[np.ndarray, "b"] | None]]:
    """Blocks of rows, each with the rows in it that may not answer.

    Slices where the allowed rows lie together; where they are scattered, lists of rows, or, if they are many,
    slices with the others struck out: copying rows costs more than multiplying them by a few queries.
    """
    width = max(1, min(block, max(1024, SCORES // max(queries, 1))))
    if rows is None or rows.all():
        yield from ((part, None) for part in _slices(0, count, width))
        return
    edges = np.flatnonzero(np.diff(rows, prepend=False, append=False))
    first, last = edges[::2], edges[1::2]
    allowed = int((last - first).sum())
    if len(first) * 256 <= allowed:
        for begin, end in zip(first.tolist(), last.tolist(), strict=True):
            yield from ((part, None) for part in _slices(begin, end, width))
    elif 3 * allowed > (1 if queries <= 8 else 2) * count:
        yield from ((part, ~rows[part]) for part in _slices(0, count, width))
    else:
        numbers = np.flatnonzero(rows)
        yield from ((numbers[part], None) for part in _slices(0, allowed, width))


def _slices(begin: int, end: int, width: int) -> Iterator[slice]:
    return (slice(start, min(start + width, end)) for start in range(begin, end, width))


@final
class _Nearest:
    """Candidates: for every query, each row whose score could, given rounding, be among the k smallest."""

    def __init__(
        self, vectors: Float32[np.ndarray, "n d"], queries: Float32[np.ndarray, "m d"], k: int, metric: Metric
    ) -> None:
        self.vectors, self.queries, self.k, self.metric = vectors, queries, k, metric
        self.squared = (queries.astype(np.float64) ** 2).sum(axis=1)
        # Of a single-precision product of d numbers, as a share of the lengths; sums in blocks err like a random walk.
        self.rounding = float(np.finfo(np.float32).eps) * (16.0 + 2.0 * np.sqrt(vectors.shape[1]))
        self.limits = np.full(len(queries), np.inf, np.float32)
        self.which: list[Int64[np.ndarray, "c"]] = []
        self.rows: list[Int64[np.ndarray, "c"]] = []
        self.scores: list[Float32[np.ndarray, "c"]] = []
        self.held = 0

    def offer(self, part: Part, scores: Float32[np.ndarray, "m b"]) -> None:
        """Take the rows of one block that may count."""
        width = scores.shape[1]
        if 0 < self.k <= width and np.isinf(self.limits).any():
            self._tighten(np.partition(scores, self.k - 1, axis=1)[:, self.k - 1])
        near = np.flatnonzero(scores <= self.limits[:, None])
        if not len(near):
            return
        picked = scores.ravel()[near]
        near, picked = near[picked < np.inf], picked[picked < np.inf]
        which, column = np.divmod(near, width)
        self.which.append(which)
        self.rows.append(column + part.start if isinstance(part, slice) else part[column])
        self.scores.append(picked)
        self.held += len(near)
        if self.held > len(self.queries) * (2 * self.k + 256):
            self._prune()

    def answer(self) -> Neighbours:
        """The k nearest, measured exactly; padded with -1 and infinity."""
        shape = (len(self.queries), self.k)
        rows, distances = np.full(shape, -1, np.int64), np.full(shape, np.inf)
        for query, (candidates, _) in enumerate(self._by_query()):
            nearest, measured = self._measured(query, candidates)
            rows[query, : len(nearest)], distances[query, : len(nearest)] = nearest, measured
        return Neighbours(rows, distances)

    def _by_query(self) -> list[tuple[Int64[np.ndarray, "c"], Float32[np.ndarray, "c"]]]:
        """Rows and scores of each query's candidates, those beyond the limit left out."""
        if not self.rows:
            return []
        which, rows, scores = np.concatenate(self.which), np.concatenate(self.rows), np.concatenate(self.scores)
        order = np.lexsort((scores, which))
        which, rows, scores = which[order], rows[order], scores[order]
        ends = np.cumsum(np.bincount(which, minlength=len(self.queries)))
        begins = np.concatenate([[0], ends[:-1]])
        enough = (ends - begins >= self.k) & (self.k > 0)
        worst = np.full(len(self.queries), np.inf, np.float32)
        worst[enough] = scores[begins[enough] + self.k - 1]
        self._tighten(worst)
        listed = []
        for begin, end, limit in zip(begins.tolist(), ends.tolist(), self.limits, strict=True):
            stop = begin + int(np.searchsorted(scores[begin:end], limit, side="right"))
            listed.append((rows[begin:stop], scores[begin:stop]))
        return listed

    def _prune(self) -> None:
        listed = self._by_query()
        for query, (rows, scores) in enumerate(listed):
            if len(rows) > CROWDED + self.k:
                kept, _ = self._measured(query, rows)
                at = np.isin(rows, kept)
                listed[query] = rows[at], scores[at]
        counts = [len(rows) for rows, _ in listed]
        self.which = [np.repeat(np.arange(len(listed)), counts)]
        self.rows, self.scores = [rows for rows, _ in listed], [scores for _, scores in listed]
        self.held = sum(counts)

    def _tighten(self, worst: Float32[np.ndarray, "m"]) -> None:
        """Lower the limits, given the k-th smallest score so far: what rounding could hide stays within them."""
        length = np.sqrt(self.squared)
        if self.metric == "euclidean":
            # The longest that a row as near as the k-th can be.
            reach = length + np.sqrt(np.maximum(worst + self.squared, 0.0))
            slack = 2 * self.rounding * (self.squared + reach**2)
        else:
            slack = 2 * self.rounding * length
        self.limits = np.minimum(self.limits, np.nextafter((worst + slack).astype(np.float32), np.float32(np.inf)))

    def _measured(
        self, query: int, rows: Int64[np.ndarray, "c"]
    ) -> tuple[Int64[np.ndarray, "r"], Float64[np.ndarray, "r"]]:
        distances = exact_distances(self.vectors, rows, self.queries[query], self.metric)
        order = np.lexsort((rows, distances))[: self.k]
        return rows[order], distances[order]
