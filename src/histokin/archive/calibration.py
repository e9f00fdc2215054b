"""Is there anything like the query in the archive? Measured against the archive's own nearest neighbors."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Bool, Float64

from histokin.archive.counts import Counts
from histokin.archive.counts_search import search_counts
from histokin.archive.exact import search
from histokin.archive.snapshot import Snapshot

THRESHOLD_PERCENTILE = 95.0
MOST_ROWS = 2000
MOST_ROWS_OF_ONE = 512
"""In an archive of one slide every patch needs a filter of its own, so fewer are asked for."""

MOST_ROWS_OF_COUNTS = 256
FEW_ROWS = 64
FLOPS = 2e11
"""What calibration may cost: some seconds on two cores, once per version of the archive."""


@final
@dataclass(frozen=True)
class Alike:
    """Is there anything like the query in the archive?

    ``value`` is the distance from the query to its nearest neighbor, ``threshold`` the distance that 95 % of the
    archive's own patches stay below when they look for a neighbor outside their own slide, ``percentile`` where
    ``value`` stands among those. None where there is nothing to compare with.
    """

    value: float | None
    threshold: float | None
    percentile: float | None

    @classmethod
    def of(cls, value: float, own: Float64[np.ndarray, "c"]) -> "Alike":
        """Compare with :func:`own_distances`; without any, there is nothing to say."""
        if not len(own):
            return cls(value, None, None)
        threshold = float(np.percentile(own, THRESHOLD_PERCENTILE))
        return cls(value, threshold, 100.0 * float(np.searchsorted(own, value, side="right")) / len(own))

    @property
    def nothing_alike(self) -> bool:
        """True when the nearest neighbor is farther than the threshold."""
        return self.value is not None and self.threshold is not None and self.value > self.threshold


def own_distances(snapshot: Snapshot, *, seed: int = 0) -> Float64[np.ndarray, "c"]:
    """Distances of a sample of the archive's patches to their nearest neighbor outside their own source, sorted.

    An archive of one slide leaves out overlapping and adjacent patches instead. Kept beside the snapshot.
    """
    kept = snapshot.folder / f"own-distances-{seed}.npy"
    own = _kept(kept)
    if own is None:
        own = _measure(snapshot, seed)
        _keep(kept, own)
    return own


def _kept(path: Path) -> Float64[np.ndarray, "c"] | None:
    try:
        stored: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # not there, or damaged: measured again
        return None
    return stored if stored.ndim == 1 and stored.dtype == np.float64 else None


def _measure(snapshot: Snapshot, seed: int) -> Float64[np.ndarray, "c"]:
    rows, dim = snapshot.vectors.shape
    if rows < 2:
        return np.empty(0)
    if snapshot.counts is not None:
        return _measure_counts(snapshot, snapshot.counts, seed)
    affordable = int(FLOPS / (2.0 * rows * dim))
    several = len(snapshot.sources) > 1
    count = min(rows, max(FEW_ROWS, min(MOST_ROWS if several else MOST_ROWS_OF_ONE, affordable)))
    sample = np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))
    if several:
        distances = _to_other_sources(snapshot, sample)
    else:
        distances = np.array([_to_apart(snapshot, int(row)) for row in sample])
    own: Float64[np.ndarray, "c"] = np.sort(distances[np.isfinite(distances)])
    return own


def _measure_counts(snapshot: Snapshot, counts: Counts, seed: int) -> Float64[np.ndarray, "c"]:
    """As for vectors, on a smaller sample: a search ranks every row."""
    rows = len(counts)
    sample = np.sort(np.random.default_rng(seed).choice(rows, min(rows, MOST_ROWS_OF_COUNTS), replace=False))
    several = len(snapshot.sources) > 1
    found = []
    for row in sample.tolist():
        apart = snapshot.source_index != snapshot.source_index[row] if several else _apart(snapshot, row)
        near = search_counts(snapshot, counts.rows(np.array([row])), 1, rows=np.asarray(apart))
        found.append(float(near.distances[0, 0]))
    own: Float64[np.ndarray, "c"] = np.sort(np.array(found)[np.isfinite(found)])
    return own


def _to_other_sources(snapshot: Snapshot, sample: np.ndarray) -> np.ndarray:
    mine = np.ascontiguousarray(snapshot.source_index[sample])
    found = search(
        snapshot.vectors,
        snapshot.norms,
        np.ascontiguousarray(snapshot.vectors[sample]),
        1,
        metric=snapshot.metric,
        exclude=(snapshot.source_index, mine),
    )
    return found.distances[:, 0]


def _to_apart(snapshot: Snapshot, row: int) -> float:
    """Distance to the nearest patch of the same slide that neither overlaps nor touches."""
    query = np.ascontiguousarray(snapshot.vectors[row : row + 1])
    found = search(snapshot.vectors, snapshot.norms, query, 1, metric=snapshot.metric, rows=_apart(snapshot, row))
    return float(found.distances[0, 0])


def _apart(snapshot: Snapshot, row: int) -> Bool[np.ndarray, "n"]:
    boxes = snapshot.boxes.astype(np.int64)
    x, y, width, height = boxes[row]
    flags: Bool[np.ndarray, "n"] = (abs(boxes[:, 0] - x) > width + 2) | (abs(boxes[:, 1] - y) > height + 2)
    return flags


def _keep(path: Path, own: Float64[np.ndarray, "c"]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as handle:
            np.save(handle, own)
        partial.replace(path)
    except OSError:
        return  # a read-only archive measures again next time
