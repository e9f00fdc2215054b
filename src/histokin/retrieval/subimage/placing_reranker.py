"""Re-ranking by how well the query's picture can be placed in each hit, turned and shifted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from histokin.errors import UsageError
from histokin.retrieval.answer import Seen
from histokin.retrieval.subimage.base import Context, Reranker
from histokin.retrieval.subimage.placing import RANKING, Placement, Sweep, place_in_all
from histokin.types import Hit, Place, Region


@final
@dataclass(frozen=True)
class PlacingReranker(Reranker):
    """Orders hits by the score of the query's best place in them, which is told with its turn.

    Parameters
    ----------
    first : how many hits are looked at.
    max_turn : degrees either way by which the query may be turned, 180 for all round.
    """

    first: int = 30
    max_turn: float | int = 30

    def __post_init__(self) -> None:
        if self.first < 1:
            raise UsageError(f"cannot re-rank {self.first} hits", remedy="Give at least 1")
        self._sweep  # noqa: B018 - refuses turns that make no sense

    @property
    def depth(self) -> int:
        return self.first

    def most(self, images: int) -> int:
        """All: a place is found by the pixels, not by what makes the first hits alike."""
        return images

    def rerank(self, query: Seen, hits: Sequence[Hit], context: Context) -> list[Hit]:
        """As :meth:`Reranker.rerank`; ties keep their order."""
        pictures = [np.asarray(context.picture(hit)) for hit in hits]
        found = place_in_all(np.asarray(query.mapped), pictures, self._sweep)
        order = sorted(range(len(hits)), key=lambda number: -found[number].score)
        height, width = query.mapped.shape[:2]
        return [
            replace(hits[number], rank=rank, place=_place(found[number], width, height, hits[number], context))
            for rank, number in enumerate(order, start=1)
        ]

    @property
    def _sweep(self) -> Sweep:
        return replace(RANKING, max_turn=self.max_turn)


def _place(found: Placement, width: int, height: int, hit: Hit, context: Context) -> Place:
    corner = round(found.x - (width - 1) / 2), round(found.y - (height - 1) / 2)
    return Place(context.place(hit, Region(*corner, width, height)), found.angle, found.score)
