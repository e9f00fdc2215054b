"""Re-ranking of the first answers by their parts, in the form that measures many queries: parts are described once."""

from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from histokin.encoders.vocabulary import learn_vocabulary, nearest_words
from histokin.evaluation.cross_modality.bags import BagIndex, BagMatcher, cosine
from histokin.evaluation.cross_modality.matching import Indexed, Matcher
from histokin.evaluation.cross_modality.scoring import order_of
from histokin.retrieval.subimage.splitting import split

Pixels = UInt8[np.ndarray, "_ _ _"]
Vocabulary = Literal["reused", "rebuilt"]

MOST_WORDS = 1000
"""Of a vocabulary that is learned for one query; the published 20,000 cost 42 minutes a query on a CPU."""


def depths(items: int) -> tuple[int, ...]:
    """How many answers are re-ranked in place of the published 15 and 30 of 134: below half of the repository."""
    most = max(1, (items - 1) // 2)
    if items >= 62:
        return 15, 30
    return tuple(sorted({max(1, most // 2), most}))


def parts(image: Pixels, side: int) -> list[Pixels]:
    """Squares of ``side`` that cover the image; the image itself where it is no larger."""
    return [
        np.ascontiguousarray(image[part.y : part.y + part.height, part.x : part.x + part.width])
        for part in split(image.shape[1], image.shape[0], side, side)
    ]


def reordered(
    similarity: Float32[np.ndarray, "n"], head: Int64[np.ndarray, "m"], fresh: Float32[np.ndarray, "m"]
) -> Float32[np.ndarray, "n"]:
    """Scores by which ``head`` comes first, ordered by ``fresh``, and all others follow in their order.

    Ties within the head keep the order that it had.
    """
    order = order_of(similarity)
    within = head[np.argsort(-fresh, kind="stable")]
    rest = order[~np.isin(order, head)]
    scores = np.empty(len(similarity), np.float32)
    scores[np.concatenate([within, rest])] = -np.arange(len(similarity), dtype=np.float32)
    return scores


@final
class RerankIndex(Indexed):
    """A bag's answers, the first of which are ordered anew by the best of their query-sized parts."""

    def __init__(
        self, first: BagIndex, matcher: BagMatcher, repository: Sequence[Pixels], side: int, depth: int, way: Vocabulary
    ) -> None:
        self._first, self._matcher, self._depth, self._way = first, matcher, min(depth, len(repository)), way
        cuts = [parts(image, side) for image in repository]
        self._owner = np.repeat(np.arange(len(cuts)), [len(own) for own in cuts])
        flat = [part for own in cuts for part in own]
        features = matcher.vocabularies.features
        self._counts: Any = first.bag.parts(side, flat) if way == "reused" else None
        described = [] if way == "reused" else [features.describe(part) for part in flat]
        self._described = [points.descriptors for points in described]
        self._strength = [points.strength for points in described]

    def similarity(self, image: Pixels) -> Float32[np.ndarray, "n"]:
        before = self._first.similarity(image)
        head = order_of(before)[: self._depth]
        chosen = np.flatnonzero(np.isin(self._owner, head))
        values = self._reused(image, chosen) if self._way == "reused" else self._rebuilt(image, chosen)
        fresh = np.array([values[self._owner[chosen] == item].max() for item in head], np.float32)
        return reordered(before, head, fresh)

    def _reused(self, image: Pixels, chosen: Int64[np.ndarray, "p"]) -> Float32[np.ndarray, "p"]:
        index = self._first.weights.index(self._counts[chosen])
        return cosine(index, self._first.bag.row(image), len(chosen))

    def _rebuilt(self, image: Pixels, chosen: Int64[np.ndarray, "p"]) -> Float32[np.ndarray, "p"]:
        source = self._matcher.vocabularies
        own = [self._described[i] for i in chosen]
        everything, strength = np.concatenate(own), np.concatenate([self._strength[i] for i in chosen])
        keep = max(1, round(source.strongest * len(everything)))
        strongest = np.sort(np.argsort(-strength, kind="stable")[:keep])
        words = max(1, min(MOST_WORDS, source.words, len(strongest) // 10))
        vocabulary = learn_vocabulary(everything[strongest], words, source.seed)
        asked = source.features.describe(image).descriptors
        counts = counted([*own, asked], vocabulary)
        return cosine(self._first.weights.index(counts[:-1]), counts[-1:], len(chosen))


@final
class RerankMatcher(Matcher):
    """A bag with re-ranking of its first ``depth`` answers."""

    def __init__(self, name: str, bag: BagMatcher, depth: int, way: Vocabulary, size: int | None = None) -> None:
        self.name, self._bag, self._depth, self._way, self._size = name, bag, depth, way, size

    @property
    def identity(self) -> dict[str, Any]:
        return {**self._bag.identity, "depth": self._depth, "vocabulary": self._way}

    def sized(self, size: int) -> "RerankMatcher":
        return RerankMatcher(self.name, self._bag, self._depth, self._way, size)

    def index(self, repository: Sequence[Pixels], modality: int) -> Indexed:
        side = self._size or min(repository[0].shape[:2])
        first = self._bag.index(repository, modality)
        if not isinstance(first, BagIndex):
            return first
        return RerankIndex(first, self._bag, repository, side, self._depth, self._way)


def counted(groups: Sequence[Float32[np.ndarray, "_ d"]], vocabulary: Float32[np.ndarray, "k d"]) -> Any:
    """Word counts of every group of descriptors, sparse."""
    from scipy.sparse import csr_matrix

    rows = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    words = nearest_words(np.concatenate(groups), vocabulary)
    ones = np.ones(len(words), np.float32)
    matrix = csr_matrix((ones, (rows, words)), shape=(len(groups), len(vocabulary)))
    matrix.sum_duplicates()
    return matrix
