"""Methods other than bags of words: vectors of an encoder, located descriptors, placing, and random orders."""

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from jaxtyping import Float32, UInt8

from histokin.encoders.base import Encoder
from histokin.evaluation.cross_modality.matching import Indexed, Matcher

Pixels = UInt8[np.ndarray, "_ _ _"]


@final
class VectorIndex(Indexed):
    """Vectors of a repository, compared by the encoder's own distance."""

    def __init__(self, encoder: Encoder, repository: Sequence[Pixels]) -> None:
        self._encoder = encoder
        self._vectors = encoder.encode([three(image) for image in repository]).astype(np.float64)

    def similarity(self, image: Pixels) -> Float32[np.ndarray, "n"]:
        asked = self._encoder.encode([three(image)])[0].astype(np.float64)
        if self._encoder.spec.metric == "cosine":
            lengths = np.linalg.norm(self._vectors, axis=1) * np.linalg.norm(asked)
            values: np.ndarray = self._vectors @ asked / np.maximum(lengths, 1e-12)
        else:
            values = -np.linalg.norm(self._vectors - asked, axis=1)
        return values.astype(np.float32)


@final
class EncoderMatcher(Matcher):
    """One vector per image; ``encoders`` holds that for a repository of the first and of the second modality."""

    def __init__(self, name: str, encoders: tuple[Encoder, Encoder], *, note: str = "") -> None:
        self.name, self._encoders, self.note = name, encoders, note

    @property
    def identity(self) -> dict[str, Any]:
        return {"encoders": [encoder.spec.space for encoder in self._encoders]}

    def index(self, repository: Sequence[Pixels], modality: int) -> VectorIndex:
        return VectorIndex(self._encoders[modality], repository)


@final
class PointIndex(Indexed):
    """Many located vectors of every image; an image is as near as its nearest vector."""

    def __init__(self, described: Sequence[Float32[np.ndarray, "_ d"]], ask: Callable[[Pixels], Any]) -> None:
        self._ask = ask
        self._owner = np.repeat(np.arange(len(described)), [len(part) for part in described])
        self._all = np.concatenate(described).astype(np.float64)
        self._count = len(described)

    def similarity(self, image: Pixels) -> Float32[np.ndarray, "n"]:
        best = np.full(self._count, np.inf)
        if len(self._all):
            asked = np.asarray(self._ask(image), np.float64)
            np.minimum.at(best, self._owner, ((self._all - asked) ** 2).sum(axis=1))
        return (-best).astype(np.float32)


@final
class PointMatcher(Matcher):
    """Two-dimensional Krawtchouk descriptors: the query's center against every admissible point of every image."""

    def __init__(self, name: str, describe: Callable[[Pixels], Any], ask: Callable[[Pixels], Any], space: str) -> None:
        self.name, self._describe, self._ask, self._space = name, describe, ask, space

    @property
    def identity(self) -> dict[str, Any]:
        return {"points": self._space}

    def index(self, repository: Sequence[Pixels], modality: int) -> PointIndex:
        return PointIndex([np.asarray(self._describe(image), np.float32) for image in repository], self._ask)


@final
class RandomMatcher(Matcher):
    """Random orders: what any method must beat."""

    def __init__(self, seed: int = 0) -> None:
        self.name, self._seed = "random selection", seed

    @property
    def identity(self) -> dict[str, Any]:
        return {"random": self._seed}

    def index(self, repository: Sequence[Pixels], modality: int) -> "RandomIndex":
        return RandomIndex(len(repository), self._seed + modality)


@final
class RandomIndex(Indexed):
    """A new order for every query."""

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._draws = count, np.random.default_rng([seed, count])

    def similarity(self, image: Pixels) -> Float32[np.ndarray, "n"]:
        return self._draws.permutation(self._count).astype(np.float32)


def three(image: Pixels) -> UInt8[np.ndarray, "_ _ 3"]:
    """Gray in all three channels."""
    if image.shape[2] == 3:
        return image
    repeated: np.ndarray = np.repeat(image[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(repeated)
