"""Nearest neighbors among word counts, the filter applied as in an archive of vectors."""

import numpy as np
from jaxtyping import Bool

from histokin.archive.counts import Counts
from histokin.archive.records import Neighbours
from histokin.archive.snapshot import Snapshot


def search_counts(
    snapshot: Snapshot, queries: Counts, k: int, *, rows: Bool[np.ndarray, "n"] | None = None
) -> Neighbours:
    """The ``k`` nearest rows of every query by 1 - cosine similarity of weighted counts.

    ``rows`` are those that may answer; None for all. Rows that share too few words with a query come last, at
    distance 1, in their order in the archive: every row that may answer has its place.
    """
    total = len(snapshot.source_index)
    allowed = np.arange(total) if rows is None else np.flatnonzero(rows)
    out = np.full((len(queries), k), -1, np.int64)
    distances = np.full((len(queries), k), np.inf)
    if not len(allowed) or not len(queries):
        return Neighbours(out, distances)
    count = min(k, len(allowed))
    found = snapshot.inverted.search(queries.matrix(), count, rows=rows)
    for query in range(len(queries)):
        ranked = found.rows[query][found.rows[query] >= 0]
        unlike = np.setdiff1d(allowed, ranked)[: count - len(ranked)]
        out[query, :count] = np.concatenate([ranked, unlike])
        distances[query, :count] = 1.0
        distances[query, : len(ranked)] = 1.0 - found.similarity[query, : len(ranked)]
    return Neighbours(out, distances)
