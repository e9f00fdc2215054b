"""The classes of a slide's tissue, tile by tile, and the maps that say why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float32

from histokin.classifiers.base import probabilities
from histokin.errors import BadPixels
from histokin.retrieval.classifying.model import Model
from histokin.retrieval.index_slide import find_tissue
from histokin.retrieval.preparing import chunks, fast_form, fit_slide, in_order
from histokin.retrieval.report import Progress
from histokin.slides.base import Slide
from histokin.slides.reading import open_slide
from histokin.types import RGB, Region

BATCH = 32
SHOWN_PX = 1600
"""Longer side of the pictures of a slide."""


@final
@dataclass(frozen=True, eq=False)
class SlideClasses:
    """What a classifier says of a slide.

    ``regions`` are the tiles in level-0 pixels; ``maps`` hold the class activation maps of all classes, none
    where they were not asked for; ``bad`` counts tiles that do not decode; ``picture`` is the slide, small.
    """

    path: Path
    size: tuple[int, int]
    mpp: float
    regions: tuple[Region, ...]
    probabilities: Float32[np.ndarray, "n c"]
    maps: Float32[np.ndarray, "_ c gh gw"]
    counts: dict[str, int]
    bad: int
    picture: RGB

    def shares(self, classes: Sequence[str]) -> dict[str, float]:
        """Part of the tissue tiles that each class wins, 0 to 1."""
        won = np.bincount(self.probabilities.argmax(axis=1), minlength=len(classes))
        return {name: float(count) / len(self.regions) for name, count in zip(classes, won, strict=True)}


def classify_slide(
    path: Path, model: Model, *, mpp: float | None, maps: bool, threads: int, progress: Progress
) -> SlideClasses:
    """Cut a slide's tissue into tiles of the classifier's scale and classify each.

    Raises ``InputError`` where the slide cannot be used (no scale, no tissue, damaged), as indexing does.
    """
    with open_slide(path, mpp=mpp) as slide:
        found = find_tissue(slide, model.grid)
        regions = [patch.region for patch in found.patches]
        progress.begin(path.name, len(regions))
        tiles = _tiles(slide, regions, model, threads)
        kept, scores, activations, last = _answers(tiles, model, maps, progress)
        if not kept and last is not None:
            raise last
        assert slide.mpp is not None  # or there would be no grid
        return SlideClasses(
            path,
            (slide.width, slide.height),
            float(slide.mpp),
            tuple(kept),
            np.concatenate(scores),
            np.concatenate(activations) if maps else np.zeros((0, len(model.classes), 1, 1), np.float32),
            found.counts,
            len(regions) - len(kept),
            slide.thumbnail(SHOWN_PX),
        )


def _tiles(
    slide: Slide, regions: Sequence[Region], model: Model, threads: int
) -> Iterator[tuple[Region, RGB] | BadPixels]:
    px = model.grid.patch_px
    fitted = fast_form(fit_slide(slide, regions, model.appearance, px), len(regions) * px**2)

    def read(region: Region) -> tuple[Region, RGB]:
        return region, np.asarray(fitted(slide.read(region, px, px)), np.uint8)

    return in_order(read, regions, threads=threads)


def _answers(
    tiles: Iterator[tuple[Region, RGB] | BadPixels], model: Model, maps: bool, progress: Progress
) -> tuple[list[Region], list[np.ndarray], list[np.ndarray], BadPixels | None]:
    """Regions, probabilities and maps of the tiles that decode, and the error of the last that does not."""
    kept: list[Region] = []
    scores: list[np.ndarray] = []
    activations: list[np.ndarray] = []
    last: BadPixels | None = None
    for batch in chunks(tiles, BATCH):
        read = [item for item in batch if not isinstance(item, BadPixels)]
        last = next((item for item in batch if isinstance(item, BadPixels)), last)
        if not read:
            continue
        images = [image for _, image in read]
        kept += [region for region, _ in read]
        if maps:
            logits, activation = model.classifier.class_maps(images)
            activations.append(activation)
        else:
            logits = model.classifier.logits(images)
        scores.append(probabilities(logits, model.classifier.spec.temperature))
        progress.advance(len(batch))
    return kept, scores, activations, last
