"""Bags of words as a method: a vocabulary of the repository's images, tf-idf and cosine."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float32, UInt8

from histokin.archive.inverted import InvertedIndex
from histokin.encoders.bag_of_words import BagEncoder, BagOfWords
from histokin.encoders.base import LocalFeatures, Points
from histokin.evaluation.cross_modality.matching import Indexed, Matcher
from histokin.types import Image

Pixels = UInt8[np.ndarray, "_ _ _"]

ROWS = 1024
"""Queries whose counts are kept: those of a fold, with which one method after the other asks. Sparse, some 20 MB."""

REMEMBERED = 48
"""Described images that are kept: a repository and the query that both repositories are asked with."""


@final
class Remembered(LocalFeatures):
    """Features that do not describe an image twice while it is among the last ones seen."""

    def __init__(self, features: LocalFeatures, most: int = REMEMBERED) -> None:
        self._features, self._most = features, most
        self._known: OrderedDict[bytes, Points] = OrderedDict()

    @property
    def name(self) -> str:
        return self._features.name

    @property
    def space(self) -> str:
        return self._features.space

    @property
    def dim(self) -> int:
        return self._features.dim

    @property
    def options(self) -> dict[str, Any]:
        return self._features.options

    def describe(self, image: Image) -> Points:
        key = digest_of([image])
        if key not in self._known:
            self._known[key] = self._features.describe(image)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]


@final
@dataclass(frozen=True)
class Weights:
    """How counts are weighted; as published by default."""

    idf: bool = True
    word_freq_range: tuple[float, float] = (0.01, 0.9)
    sublinear: bool = False

    def index(self, counts: Any) -> InvertedIndex:
        """An index of these counts."""
        return InvertedIndex(counts, idf=self.idf, word_freq_range=self.word_freq_range, sublinear=self.sublinear)


PLAIN = Weights(idf=False, word_freq_range=(0.0, 1.0), sublinear=True)
"""All words, 1 + ln of their counts, no idf: where images are few, most words are in most of them."""


@final
class Bag:
    """A vocabulary learned from a repository, the repository's counts, and those of the last queries."""

    def __init__(self, encoder: BagEncoder, repository: Sequence[Pixels]) -> None:
        self._encoder = encoder
        self.documents = encoder.counts(repository)
        self._known: OrderedDict[bytes, Any] = OrderedDict()
        self._parts: dict[int, Any] = {}

    def parts(self, side: int, images: Sequence[Pixels]) -> Any:
        """Counts of the repository's parts of ``side`` px, which are counted once."""
        if side not in self._parts:
            self._parts[side] = self._encoder.counts(images)
        return self._parts[side]

    def row(self, image: Pixels) -> Any:
        """Counts of a query, which several methods ask with one after the other."""
        key = digest_of([image])
        if key not in self._known:
            self._known[key] = self._encoder.counts([image])
            while len(self._known) > ROWS:
                self._known.popitem(last=False)
        return self._known[key]


@final
class BagIndex(Indexed):
    """A bag and the inverted index of its repository."""

    def __init__(self, bag: Bag, weights: Weights) -> None:
        self.bag, self.weights = bag, weights
        self._index = weights.index(bag.documents)

    def similarity(self, image: Pixels) -> Float32[np.ndarray, "n"]:
        return cosine(self._index, self.bag.row(image), self.bag.documents.shape[0])


@final
class Blank(Indexed):
    """A repository in which there is nothing to describe: no item is more alike than another."""

    def __init__(self, count: int) -> None:
        self._count = count

    def similarity(self, image: Pixels) -> Float32[np.ndarray, "n"]:
        return np.zeros(self._count, np.float32)


@final
class Vocabularies:
    """Bags of one kind of features, learned when first asked for, by repository.

    Parameters
    ----------
    words : at most; never more than a tenth of the descriptors there are.
    iterations, per_word : of k-means.
    """

    def __init__(
        self,
        features: LocalFeatures,
        words: int,
        *,
        seed: int = 0,
        strongest: float = 0.8,
        iterations: int = 10,
        per_word: int = 20,
    ) -> None:
        self.features = Remembered(features)
        self.words, self.seed, self.strongest = words, seed, strongest
        self._iterations, self._per_word = iterations, per_word
        self._learned: dict[bytes, Bag] = {}

    @property
    def identity(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "features": self.features.space,
            "words": self.words,
            "seed": self.seed,
            "strongest": self.strongest,
            "k-means": (self._iterations, self._per_word),
        }

    def of(self, repository: Sequence[Pixels]) -> Bag | None:
        """The bag of a repository; None where no image shows anything to describe."""
        key = digest_of(repository)
        if key not in self._learned:
            described = sum(len(self.features.describe(image)) for image in repository)
            if not described:
                return None
            learner = BagOfWords(
                self.features,
                words=max(1, min(self.words, described // 10)),
                strongest=self.strongest,
                seed=self.seed,
                iterations=self._iterations,
                per_word=self._per_word,
            )
            self._learned[key] = Bag(learner.fit(repository), repository)
        return self._learned[key]


@final
class BagMatcher(Matcher):
    """Local features, a vocabulary of all images of the repository, weights, cosine."""

    def __init__(
        self, name: str, vocabularies: Vocabularies, weights: Weights | None = None, *, note: str = ""
    ) -> None:
        self.name, self.vocabularies, self.weights, self.note = name, vocabularies, weights or Weights(), note

    @property
    def identity(self) -> dict[str, Any]:
        return {**self.vocabularies.identity, "weights": asdict(self.weights)}

    def index(self, repository: Sequence[Pixels], modality: int) -> Indexed:
        bag = self.vocabularies.of(repository)
        return BagIndex(bag, self.weights) if bag else Blank(len(repository))


def digest_of(images: Sequence[Pixels]) -> bytes:
    """Of shapes and pixels, in order."""
    found = hashlib.blake2b(digest_size=16)
    for image in images:
        found.update(repr(image.shape).encode())
        found.update(np.ascontiguousarray(image).data)
    return found.digest()


def cosine(index: InvertedIndex, row: Any, count: int) -> Float32[np.ndarray, "n"]:
    """Similarity of one query's counts to every document, 0 for those that share too little."""
    found = index.search(row, count)
    dense = np.zeros(count, np.float32)
    rows, similarity = found.rows[0], found.similarity[0]
    here = rows >= 0
    dense[rows[here]] = similarity[here]
    return dense
