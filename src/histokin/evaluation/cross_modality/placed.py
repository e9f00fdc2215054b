"""The improved method: images are ranked by how well the query can be placed in them, turned and shifted."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, final

import numpy as np
from jaxtyping import Float32, UInt8

from histokin.evaluation.cross_modality.matching import Indexed, Matcher
from histokin.evaluation.cross_modality.representing import gray
from histokin.retrieval.subimage.gallery import Gallery
from histokin.retrieval.subimage.placing import RANKING, Sweep, place_in_all

Pixels = UInt8[np.ndarray, "_ _ _"]


@final
class PlacedIndex(Indexed):
    """A repository in which queries are placed."""

    def __init__(self, repository: Sequence[Pixels], sweep: Sweep) -> None:
        self._images, self._sweep = list(repository), sweep
        self._channels = {image.shape[2] for image in repository}
        self._galleries: dict[bool, Gallery] = {}

    def similarity(self, image: Pixels) -> Float32[np.ndarray, "n"]:
        plain = self._channels == {image.shape[2]}
        if plain not in self._galleries:
            self._galleries[plain] = Gallery([one if plain else dark(one) for one in self._images])
        asked = image if plain else dark(image)
        return np.array([found.score for found in place_in_all(asked, self._galleries[plain], self._sweep)], np.float32)


def dark(image: Pixels) -> UInt8[np.ndarray, "_ _ 1"]:
    """Color as inverted brightness, so that tissue is bright as fibers are in the other modality; gray as it is."""
    return image if image.shape[2] == 1 else 255 - gray(image)


@final
class PlacedMatcher(Matcher):
    """Score of the best placement."""

    def __init__(self, sweep: Sweep = RANKING) -> None:
        self.name, self._sweep = "placed", sweep

    @property
    def identity(self) -> dict[str, Any]:
        return {"placing": asdict(self._sweep)}

    def index(self, repository: Sequence[Pixels], modality: int) -> PlacedIndex:
        return PlacedIndex(repository, self._sweep)
