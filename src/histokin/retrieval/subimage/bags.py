"""Re-ranking by a bag of words of the parts of the nearest images, as published.

Each of the first images is cut into pictures of the query's size; these alone make a small index, and an image is
placed by the best of its parts (Breznik et al., Cross-modality sub-image retrieval, Scientific Reports 14, 2024).
The paper learns a new vocabulary for every query; that of the archive can be used again, which costs seconds instead of
minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, final

from histokin.encoders.base import FittableEncoder
from histokin.errors import UsageError
from histokin.retrieval.answer import Seen
from histokin.retrieval.recipe import Counter, counter
from histokin.retrieval.subimage.base import Context, Reranker
from histokin.retrieval.subimage.splitting import split
from histokin.types import Hit, Image, Images, Place, Region

MOST_WORDS = 1000
"""Words of a vocabulary rebuilt for one query; the published 20,000 take most of an hour on a CPU."""


@final
@dataclass(frozen=True)
class BagReranker(Reranker):
    """Re-ranks by the best part of each image.

    Parameters
    ----------
    first : how many hits are looked at (15 and 30 as published).
    vocabulary : "reuse" the archive's words, or "rebuild" at most ``words`` from the parts of these hits.
    seed : of the k-means of a rebuilt vocabulary.
    """

    first: int = 15
    vocabulary: Literal["reuse", "rebuild"] = "reuse"
    words: int = MOST_WORDS
    seed: int = 0

    def __post_init__(self) -> None:
        if self.first < 1 or not 1 <= self.words <= MOST_WORDS or self.vocabulary not in ("reuse", "rebuild"):
            raise UsageError(
                f"cannot re-rank {self.first} hits by {self.words} words ({self.vocabulary})",
                remedy=f"Give at least 1 hit, 1 to {MOST_WORDS} words, and vocabulary reuse or rebuild",
            )

    @property
    def depth(self) -> int:
        return self.first

    def rerank(self, query: Seen, hits: Sequence[Hit], context: Context) -> list[Hit]:
        """As :meth:`Reranker.rerank`. An image of whose parts none shares a word keeps its place after the others."""
        height, width = query.mapped.shape[:2]
        parts: list[tuple[int, Region]] = []
        patches: list[Image] = []
        for number, hit in enumerate(hits):
            image = context.picture(hit)
            for part in split(image.shape[1], image.shape[0], width, height):
                parts.append((number, part))
                patches.append(image[part.y : part.y + part.height, part.x : part.x + part.width])
        order = _ranked(self._counter(patches, context), patches, query.mapped)
        placed: dict[int, Hit] = {}
        for row, similarity in order:
            number, part = parts[row]
            if number not in placed:  # the first occurrence is the best
                place = Place(context.place(hits[number], part), 0.0, similarity)
                placed[number] = replace(hits[number], place=place)
        left = [hit for number, hit in enumerate(hits) if number not in placed]
        return [replace(hit, rank=rank) for rank, hit in enumerate([*placed.values(), *left], start=1)]

    def _counter(self, patches: Images, context: Context) -> Counter:
        """What counts the words: the archive's encoder, or one that learns from these patches."""
        features = context.features
        if self.vocabulary == "reuse":
            return counter(context.prepared.encoder)
        from histokin.encoders.bag_of_words import BagOfWords

        described = max(len(features.describe(patch)) for patch in patches[:8]) * len(patches)
        words = max(1, min(self.words, described // 10))
        learner: FittableEncoder = BagOfWords(features, words=words, seed=self.seed)
        return counter(learner.fit(list(patches)))


def _ranked(words: Counter, patches: Images, query: Image) -> list[tuple[int, float]]:
    """Rows of the patches from most to least similar, with the similarity; those that share too little left out."""
    from histokin.archive.inverted import InvertedIndex

    found = InvertedIndex(words.counts(list(patches))).search(words.counts([query]), len(patches))
    pairs = zip(found.rows[0].tolist(), found.similarity[0].tolist(), strict=True)
    return [(row, similarity) for row, similarity in pairs if row >= 0]
