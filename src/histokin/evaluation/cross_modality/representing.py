"""Items and queries in a representation: computed when first asked for, kept while a fold is scored."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from histokin.evaluation.cross_modality.folds import Fold
from histokin.evaluation.cross_modality.subjects import Subjects

Pixels = UInt8[np.ndarray, "_ _ _"]
KEPT = 1 << 29
"""Bytes of represented images that one of them keeps."""


@runtime_checkable
class Maps(Protocol):
    """What this room needs of a representation: its space, and a map per modality."""

    @property
    def space(self) -> str:
        """Identity of where its images live."""

    def map(self, modality: str) -> Callable[[Any], Any]:
        """An image of the modality in, an image of the same size out."""


@final
@dataclass(eq=False)
class Represented:
    """Subjects of one fold in one representation.

    ``space`` is part of every score's identity, so that a model trained anew has its scores made anew.
    """

    subjects: Subjects
    fold: Fold
    maps: Maps
    _kept: "OrderedDict[tuple[Any, ...], Pixels]" = field(default_factory=OrderedDict)
    _bytes: int = 0

    @property
    def space(self) -> str:
        """Where its images live."""
        return self.maps.space

    def repository(self, modality: int) -> list[Pixels]:
        """All items that answer, untransformed, in the fold's order."""
        return [self._mapped(("r", place, modality)) for place in self.fold.repository]

    def query(self, place: int, modality: int, number: int | None, size: int) -> Pixels:
        """One query; patches are cut before they are mapped."""
        return self._mapped(("q", place, modality, number, size))

    def _mapped(self, key: tuple[Any, ...]) -> Pixels:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        raw = self.subjects.image(key[1], key[2]) if key[0] == "r" else self.subjects.query(*key[1:])
        image = np.asarray(self.maps.map(self.subjects.modalities[key[2]])(raw))
        image = np.ascontiguousarray(image.reshape(*image.shape[:2], -1))
        self._kept[key] = image
        self._bytes += image.nbytes
        while self._bytes > KEPT and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return image


def gray(image: Pixels) -> UInt8[np.ndarray, "_ _ 1"]:
    """Rec. 601 luma, or the one channel there is."""
    import cv2

    if image.shape[2] == 1:
        return image
    made: np.ndarray = np.asarray(cv2.cvtColor(image[:, :, :3], cv2.COLOR_RGB2GRAY))
    return made[:, :, None]


def pairs_of(subjects: Subjects, places: Sequence[int]) -> list[tuple[Pixels, Pixels]]:
    """Both untransformed images of some items."""
    return [(subjects.image(place, 0), subjects.image(place, 1)) for place in places]
