"""Looking at the first hits again: how deep, in which order, and what is to be said of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from histokin.archive.snapshot import Snapshot
from histokin.errors import UsageError
from histokin.retrieval.asked import Asked
from histokin.retrieval.queries import Options
from histokin.retrieval.recipe import Prepared
from histokin.retrieval.subimage.base import Context, Reranker
from histokin.retrieval.subimage.registry import reranker
from histokin.types import Hit


@final
class Again:
    """The re-ranking that a search asked for, bound to the archive and to how many rows may answer."""

    def __init__(self, made: Reranker, prepared: Prepared, snapshot: Snapshot, images: int) -> None:
        self._made = made
        self._prepared = prepared
        self._sources = {source.id: source for source in snapshot.sources}
        self._images = images

    @property
    def depth(self) -> int:
        """How many hits are looked at again, see :meth:`Reranker.most`."""
        return min(self._made.depth, self._made.most(self._images))

    @property
    def notes(self) -> tuple[str, ...]:
        """Says so where that is less than what was asked for, though there are more hits."""
        if self.depth == min(self._made.depth, self._images):
            return ()
        reason = f"the archive has {self._images} that could answer, and fewer than half are looked at"
        return (f"{self.depth} hits were ranked again, not {self._made.depth}: {reason}",)

    def rerank(self, asked: Asked, hits: Sequence[Hit]) -> list[Hit]:
        """The first hits in their new order, then the others, with ranks given anew."""
        if not self.depth or asked.seen is None:
            return list(hits)
        first, others = list(hits[: self.depth]), hits[self.depth :]
        context = Context(self._prepared, self._sources, self._images)
        moved = self._made.rerank(asked.seen, first, context)
        return [replace(hit, rank=rank) for rank, hit in enumerate([*moved, *others], start=1)]


def again(options: Options, prepared: Prepared, snapshot: Snapshot, images: int) -> Again | None:
    """What a search asked for; None for nothing.

    Raises
    ------
    UnknownName, UsageError
        for a method there is not, or one that looks at pictures where the archive cuts images into patches.
    """
    if options.method is None and not options.rerank:
        if options.vocabulary is not None:
            raise UsageError("a vocabulary is for ranking again", remedy="Give --rerank N or --method paper with it")
        return None
    if not prepared.whole:
        raise UsageError(
            "the archive holds patches of images, none of them in one piece",
            remedy="Index with --encoder bag-of-words or a --representation to search for parts of images",
        )
    made = reranker(options.method or "paper", first=options.rerank, vocabulary=options.vocabulary)
    return Again(made, prepared, snapshot, images)
