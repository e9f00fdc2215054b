"""A query ready to be searched for."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float64

from histokin.archive.counts import Counts
from histokin.archive.records import Source
from histokin.retrieval.answer import QueryInfo, Seen
from histokin.types import ImageMap, Vectors


@final
@dataclass(frozen=True, eq=False)
class Asked:
    """A query ready to be searched for.

    ``own`` are the archive's sources that the query comes from; ``weights`` (one per vector) the share of the
    query that each vector stands for; ``fitted`` the map of a query from outside the archive (the archive holds
    those of its own); ``seen`` the picture of a query in one piece.
    """

    info: QueryInfo
    vectors: Vectors | Counts
    weights: Float64[np.ndarray, "n"]
    own: tuple[Source, ...] = ()
    warnings: tuple[str, ...] = ()
    fitted: ImageMap | None = None
    seen: Seen | None = None

    @property
    def numbers(self) -> Vectors:
        """The vectors of an archive of vectors; without columns where there are word counts."""
        return np.empty((len(self.vectors), 0), np.float32) if isinstance(self.vectors, Counts) else self.vectors
