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
ROUNDING = 4e-6
"""Bound on the rounding of a single-precision product, as a share of the squared lengths."""

CROWDED = 4096
"""Candidates of one query from which exact ties are settled at once, to bound memory."""

Metric = Literal["euclidean", "cosine"]


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
    found = [_Nearest(vectors, norms, query, k, metric) for query in queries]
    for part in _parts(len(vectors), rows, block):
        scores = _scores(vectors[part], norms[part], queries, metric)
        if exclude is not None:
            scores[exclude[0][part][None, :] == exclude[1][:, None]] = np.inf
        numbers = np.arange(part.start, part.stop) if isinstance(part, slice) else part
        for nearest, score in zip(found, scores, strict=True):
            nearest.offer(numbers, score)
    answers = [nearest.answer() for nearest in found]
    shape = (len(queries), k)
    return Neighbours(
        np.array([a[0] for a in answers], np.int64).reshape(shape),
        np.array([a[1] for a in answers], np.float64).reshape(shape),
    )


def exact_distances(
    vectors: Float32[np.ndarray, "n d"], rows: Int[np.ndarray, "r"], query: Float32[np.ndarray, "d"], metric: Metric
) -> Float64[np.ndarray, "r"]:
    """Distances of some rows to one query, in double precision."""
    picked = vectors[rows].astype(np.float64)
    asked = query.astype(np.float64)
    if metric == "euclidean":
        gaps: Float64[np.ndarray, "r"] = np.sqrt(((picked - asked) ** 2).sum(axis=1))
        return gaps
    lengths = np.sqrt((picked**2).sum(axis=1)) * np.sqrt((asked**2).sum())
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
    best = np.full((len(queries), count), np.inf, np.float32)
    where = np.full((len(queries), count), -1, np.int64)
    allowed = np.ones(count, bool) if groups is None else groups
    for group, first, last in _group_parts(starts, allowed, block):
        scores = _scores(vectors[first:last], norms[first:last], queries, metric)
        nearest = scores.argmin(axis=1)
        score = scores[np.arange(len(queries)), nearest]
        closer = score < best[:, group]
        best[closer, group] = score[closer]
        where[closer, group] = first + nearest[closer]
    return _as_distances(best, queries, metric), where


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


def _group_parts(
    starts: Int64[np.ndarray, "g1"], allowed: Bool[np.ndarray, "g"], block: int
) -> Iterator[tuple[int, int, int]]:
    for group in np.flatnonzero(allowed):
        for first in range(int(starts[group]), int(starts[group + 1]), block):
            yield int(group), first, min(first + block, int(starts[group + 1]))


def _scores(
    part: Float32[np.ndarray, "b d"],
    norms: Float32[np.ndarray, "b"],
    queries: Float32[np.ndarray, "m d"],
    metric: Metric,
) -> Float32[np.ndarray, "m b"]:
    """Smaller is nearer; equal to the distance up to a constant of the query and a monotone function."""
    scores: np.ndarray = queries @ part.T
    if metric == "euclidean":
        scores *= -2.0
        scores += norms
        return scores
    lengths = np.sqrt(norms)
    np.divide(scores, -lengths, out=scores, where=lengths > 0)
    scores[:, lengths == 0] = 0.0
    return scores


def _parts(count: int, rows: Bool[np.ndarray, "n"] | None, block: int) -> Iterator[slice | Int[np.ndarray, "r"]]:
    """Blocks of rows: slices of the archive where the allowed rows lie together, lists of rows where scattered."""
    if rows is None or rows.all():
        for start in range(0, count, block):
            yield slice(start, min(start + block, count))
        return
    edges = np.flatnonzero(np.diff(rows, prepend=False, append=False))
    first, last = edges[::2], edges[1::2]
    allowed = int((last - first).sum())
    if len(first) * 256 > allowed:
        numbers = np.flatnonzero(rows)
        for start in range(0, allowed, block):
            yield numbers[start : start + block]
        return
    for begin, end in zip(first, last, strict=True):
        for start in range(int(begin), int(end), block):
            yield slice(start, min(start + block, int(end)))


@final
class _Nearest:
    """Candidates of one query: every row whose score could, given rounding, be among the k smallest."""

    def __init__(
        self,
        vectors: Float32[np.ndarray, "n d"],
        norms: Float32[np.ndarray, "n"],
        query: Float32[np.ndarray, "d"],
        k: int,
        metric: Metric,
    ) -> None:
        self.vectors, self.query, self.k, self.metric = vectors, query, k, metric
        self.length = float((query.astype(np.float64) ** 2).sum())
        self.norms = norms
        self.limit = np.float32(np.inf)
        self.rows: list[Int64[np.ndarray, "r"]] = []
        self.scores: list[Float32[np.ndarray, "r"]] = []
        self.held = 0

    def offer(self, rows: Int[np.ndarray, "b"], scores: Float32[np.ndarray, "b"]) -> None:
        """Take the rows of one block that may count."""
        near = np.flatnonzero((scores <= self.limit) & (scores < np.inf))
        if not len(near):
            return
        self.rows.append(rows[near].astype(np.int64))
        self.scores.append(scores[near])
        self.held += len(near)
        if self.held > 2 * self.k + 256:
            self._prune()

    def answer(self) -> tuple[list[int], list[float]]:
        """The k nearest, measured exactly; padded with -1 and infinity."""
        rows, distances = self._measured()
        missing = self.k - len(rows)
        return rows.tolist() + [-1] * missing, distances.tolist() + [np.inf] * missing

    def _prune(self) -> None:
        rows, scores = np.concatenate(self.rows), np.concatenate(self.scores)
        if len(rows) > self.k:
            worst = np.partition(scores, self.k - 1)[self.k - 1]
            self.limit = np.float32(min(float(self.limit), float(worst) + 2 * self._slack(rows)))
            near = scores <= self.limit
            rows, scores = rows[near], scores[near]
        self.rows, self.scores, self.held = [rows], [scores], len(rows)
        if self.held > CROWDED + self.k:
            kept, _ = self._measured()
            at = np.isin(rows, kept)
            self.rows, self.scores, self.held = [rows[at]], [scores[at]], int(at.sum())

    def _slack(self, rows: Int64[np.ndarray, "r"]) -> float:
        """How far rounding may move a score."""
        if self.metric == "cosine":
            return ROUNDING * float(np.sqrt(max(self.length, 1e-30)))
        return ROUNDING * (self.length + float(self.norms[rows].max()))

    def _measured(self) -> tuple[Int64[np.ndarray, "r"], Float64[np.ndarray, "r"]]:
        if not self.rows:
            return np.empty(0, np.int64), np.empty(0)
        rows = np.concatenate(self.rows)
        distances = exact_distances(self.vectors, rows, self.query, self.metric)
        order = np.lexsort((rows, distances))[: self.k]
        return rows[order], distances[order]
