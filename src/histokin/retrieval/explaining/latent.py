"""An answer among the archive's vectors: where query and hits lie in the plane that shows most of the archive."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float64

from histokin.archive.snapshot import Snapshot
from histokin.retrieval.answer import Match
from histokin.retrieval.explaining.projection import Plane, sample_rows
from histokin.types import Vectors

Points = Float64[np.ndarray, "_ 2"]


@final
@dataclass(frozen=True, eq=False)
class LatentMap:
    """``points`` of a sample of the archive's patches with their labels, of the query's patches, of the hits.

    ``hits`` and ``ranks`` go together. ``shares`` of the sample's variance lie along the two axes; ``shown`` is the
    share of the squared query-hit distances that the plane shows; ``patches`` counts the archive's.
    """

    points: Points
    labels: tuple[str | None, ...]
    query: Points
    hits: Points
    ranks: tuple[int, ...]
    shares: tuple[float, float]
    shown: float
    patches: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the sample's points."""
        return {
            "shares": list(self.shares),
            "shown": self.shown,
            "patches": self.patches,
            "sampled": len(self.points),
            "query": np.round(self.query, 6).tolist(),
            "hits": [
                {"hit": rank, "at": at} for rank, at in zip(self.ranks, np.round(self.hits, 6).tolist(), strict=True)
            ],
        }


def latent_map(snapshot: Snapshot, vectors: Vectors, matches: Sequence[Match]) -> LatentMap:
    """The map for a query's ``vectors`` and its best match per hit."""
    rows = sample_rows(len(snapshot.source_index))
    sample = np.asarray(snapshot.vectors[rows], np.float32)
    plane = Plane.fit(sample, snapshot.metric)
    found = np.asarray(snapshot.vectors[np.array([match.row for match in matches], np.int64)], np.float32)
    asked = np.asarray(vectors[np.array([match.query for match in matches], np.int64)], np.float32)
    return LatentMap(
        points=plane.place(sample),
        labels=tuple(snapshot.sources[int(place)].label for place in snapshot.source_index[rows]),
        query=plane.place(vectors),
        hits=plane.place(found),
        ranks=tuple(match.hit for match in matches),
        shares=plane.shares,
        shown=plane.shown(asked, found),
        patches=len(snapshot.source_index),
    )
