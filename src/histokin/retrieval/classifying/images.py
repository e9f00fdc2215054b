"""The classes of loose images, a folder at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float32

from histokin.classifiers.base import probabilities
from histokin.errors import HistokinError, TooSmall
from histokin.retrieval.classifying.model import Model
from histokin.retrieval.preparing import FIT_SAMPLE, chunks, spread
from histokin.retrieval.report import Failure
from histokin.slides.reading import open_slide
from histokin.types import RGB, ImageMap, Region

BATCH = 32


@final
@dataclass(frozen=True, eq=False)
class ImageClasses:
    """One image: its pixels as they are, the probabilities of the classes and their activation maps.

    ``label`` is the folder's name, which says the truth where folders are classes.
    """

    path: Path
    label: str
    image: RGB
    probabilities: Float32[np.ndarray, "c"]
    maps: Float32[np.ndarray, "c gh gw"]


def classify_images(
    paths: Sequence[Path], label: str, model: Model, fail: Callable[[Failure], None]
) -> Iterator[ImageClasses]:
    """Classify the images of one folder, whose stain is fitted together. What cannot be read goes to ``fail``."""
    fitted: ImageMap | None = None
    for batch in chunks(paths, BATCH):
        read = [(path, image) for path in batch if (image := _load(path, model, fail)) is not None]
        if not read:
            continue
        fitted = fitted or _fit(paths, model)
        mapped = [np.asarray(fitted(image), np.uint8) for _, image in read]
        logits, maps = model.classifier.class_maps(mapped)
        shares = probabilities(logits, model.classifier.spec.temperature)
        for (path, image), row, own in zip(read, shares, maps, strict=True):
            yield ImageClasses(path, label, image, row, own)


def _fit(paths: Sequence[Path], model: Model) -> ImageMap:
    looks = model.appearance.looks_at_source
    sample = spread(paths, FIT_SAMPLE) if looks else []
    return model.appearance.fit([image for path in sample if (image := _load(path, model, None)) is not None])


def _load(path: Path, model: Model, fail: Callable[[Failure], None] | None) -> RGB | None:
    """The image, or None where it cannot be used, which ``fail`` is told once."""
    least = model.classifier.spec.least_px
    try:
        with open_slide(path) as slide:
            if min(slide.width, slide.height) < least:
                raise TooSmall(
                    f"the image has {slide.width} x {slide.height} pixels, the classifier needs {least} a side",
                    remedy="Give images at the resolution of the training",
                    path=path,
                )
            return slide.read(Region(0, 0, slide.width, slide.height), slide.width, slide.height)
    except HistokinError as error:
        if fail is not None:
            fail(Failure.of(error, str(path)))
        return None
