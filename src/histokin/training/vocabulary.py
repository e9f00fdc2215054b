"""Learn the visual words of a bag of words from images, or from their representations."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final, overload

from histokin.encoders.bag_of_words import BagEncoder, BagOfWords
from histokin.encoders.base import LocalFeatures
from histokin.errors import UsageError
from histokin.modality.base import Representation
from histokin.training.images import ImageSet
from histokin.types import Image, ImageMap


def train_vocabulary(
    images: ImageSet,
    out: Path,
    features: LocalFeatures,
    *,
    words: int = 20_000,
    strongest: float = 0.8,
    seed: int = 0,
    representation: Representation | None = None,
    modality: str | None = None,
    watch: Callable[[int, int], None] | None = None,
    passes: Callable[[int, int], None] | None = None,
) -> BagEncoder:
    """A bag of words, saved in ``out``; the encoder ``bag-of-words`` reads it from there.

    Parameters
    ----------
    images : not transformed, of one modality.
    features : what describes an image.
    words, strongest, seed : as :class:`~histokin.encoders.bag_of_words.BagOfWords` takes them.
    representation, modality : with them, the images of this modality are mapped before they are described; the
        images of an archive then have to be mapped into the same space.
    watch : told, before each image is described, how many are done of how many.
    passes : told the same of the passes over the descriptors.

    Raises
    ------
    UsageError
        when one of ``representation`` and ``modality`` is missing, or the images show nothing to describe.
    EncoderError
        when faiss is not installed, an image cannot be described, or the folder cannot be written.
    """
    if (representation is None) != (modality is None):
        choices = "" if representation is None else f" {', '.join(representation.modalities)}"
        raise UsageError(
            "a representation and the modality of the images belong together",
            remedy=f"Give both, or none{f'; the modality is one of:{choices}' if choices else ''}",
        )
    mapped = representation.map(modality) if representation is not None and modality is not None else None
    began = time.monotonic()
    bag = BagOfWords(features, words, strongest, seed, watch=passes).fit(_Mapped(images, mapped, watch))
    facts: dict[str, Any] = {
        **bag.learned,
        "of": images.name,
        "pixels": images.digest,
        "representation": representation.to_dict() if representation is not None else None,
        "representation_space": representation.space if representation is not None else None,
        "modality": modality,
        "seconds": round(time.monotonic() - began, 1),
    }
    made = BagEncoder(features, bag.vocabulary, side=bag.spec.input_px, learned=facts)
    made.save(out)
    return made


@final
class _Mapped(Sequence[Image]):
    """Images read, and mapped, when they are asked for."""

    def __init__(
        self, images: ImageSet, mapped: ImageMap | None, watch: Callable[[int, int], None] | None = None
    ) -> None:
        self._images, self._map, self._watch = images, mapped, watch

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, place: int) -> Image: ...

    @overload
    def __getitem__(self, place: slice) -> list[Image]: ...

    def __getitem__(self, place: int | slice) -> Image | list[Image]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        if self._watch is not None:
            self._watch(place, len(self))
        image = self._images.load(place % len(self))
        return image if self._map is None else self._map(image)
