"""The search itself: each query's nearest rows among those that may answer it, and how long one query takes."""

import time
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, Shaped

from histokin.archive.exact import Metric, search
from histokin.evaluation.protocols import Task
from histokin.retrieval.preparing import spread
from histokin.types import Vectors

TOGETHER = 512
TIMED = 100
"""Queries asked one by one for the times, spread evenly."""


@final
@dataclass(frozen=True, eq=False)
class Ranked:
    """Each query's hits, nearest first.

    ``rows`` are rows of the task's archive, -1 where fewer may answer than were asked for; ``labels`` theirs (the
    empty text there).
    """

    rows: Int64[np.ndarray, "q k"]
    distances: Float64[np.ndarray, "q k"]
    labels: Shaped[np.ndarray, "q k"]

    @property
    def found(self) -> Bool[np.ndarray, "q k"]:
        """Where there is a hit."""
        there: Bool[np.ndarray, "q k"] = self.rows >= 0
        return there


@final
@dataclass(frozen=True)
class QueryTime:
    """Milliseconds of one exact search, its vector known: the median and the 95th percentile."""

    p50_ms: float
    p95_ms: float
    queries: int


def rank(
    archive: Vectors,
    queries: Float32[np.ndarray, "q d"],
    labels: Shaped[np.ndarray, "n"],
    task: Task,
    k: int,
    metric: Metric,
) -> Ranked:
    """The ``k`` nearest of the task's archive rows for each of its queries, exactly.

    ``archive`` and ``labels`` are of the archive's rows, ``queries`` of the queries, in the task's order.
    """
    norms = squares(archive)
    rows, distances = np.empty((len(queries), k), np.int64), np.empty((len(queries), k))
    for start in range(0, len(queries), TOGETHER):
        part = slice(start, start + TOGETHER)
        exclude = None if task.apart is None else (task.apart[0], task.apart[1][part])
        found = search(archive, norms, queries[part], k, metric=metric, exclude=exclude)
        rows[part], distances[part] = found.rows, found.distances
    return Ranked(rows, distances, np.where(rows >= 0, labels[rows], ""))


def query_time(archive: Vectors, queries: Float32[np.ndarray, "q d"], task: Task, k: int, metric: Metric) -> QueryTime:
    """Ask up to a hundred queries one by one, as users do, on an archive that is in memory."""
    norms = squares(archive)
    times = []
    chosen = spread(range(len(queries)), TIMED)
    for place in (chosen[0], *chosen):
        one = slice(place, place + 1)
        exclude = None if task.apart is None else (task.apart[0], task.apart[1][one])
        began = time.perf_counter()
        search(archive, norms, queries[one], k, metric=metric, exclude=exclude)
        times.append(1000 * (time.perf_counter() - began))
    middle, late = np.quantile(times[1:], [0.5, 0.95])  # the first only warms up
    return QueryTime(float(middle), float(late), len(chosen))


def squares(vectors: Vectors) -> Shaped[np.ndarray, "n"]:
    """Squared lengths, float32, as the search takes them."""
    lengths = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), 1 << 14):
        part = vectors[start : start + (1 << 14)].astype(np.float64)
        lengths[start : start + len(part)] = (part**2).sum(axis=1)
    return lengths
