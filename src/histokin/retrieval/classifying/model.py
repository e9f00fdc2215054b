"""A classifier with what must happen to an image before it: the scale of its tiles and the stain of its training."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from histokin.classifiers.base import Classifier
from histokin.classifiers.registry import classifier
from histokin.slides.grid import Grid
from histokin.stain.base import Appearance
from histokin.stain.registry import appearance_from_dict, normalizer


@final
@dataclass(frozen=True)
class Model:
    """A classifier, the normalizer that makes images comparable with those it learned from, and the tiles of slides."""

    classifier: Classifier
    appearance: Appearance
    grid: Grid

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return self.classifier.spec.classes

    @property
    def space(self) -> str:
        """Identity of the whole: answers may be compared under equal names only."""
        grid = self.grid
        tiles = f"{grid.patch_px}px {grid.mpp:g}um overlap {grid.overlap:g} tissue {grid.min_tissue:g}"
        return f"{self.classifier.spec.space} {self.appearance.space} {tiles}"


def load_model(path: str | Path, *, method: str | None = None, grid: Grid | None = None) -> Model:
    """The classifier in a folder, as ``histokin train classifier`` writes it.

    Parameters
    ----------
    method : a normalizer in place of the one of the training.
    grid : tiles of slides; by default squares of the classifier's input at the scale of its training images, or of 224
        pixels at 0.5 microns per pixel where that scale is not known.

    Raises
    ------
    HistokinError
        when the folder is no classifier, or its normalizer cannot be built.
    """
    made = classifier(path)
    spec = made.spec
    if method is None and spec.normalizer is not None:
        appearance = appearance_from_dict(spec.normalizer)
    else:
        appearance = normalizer(method or "none")
    tiles = Grid(mpp=spec.mpp, patch_px=spec.input_px) if spec.mpp else Grid()
    return Model(made, appearance, grid or tiles)
