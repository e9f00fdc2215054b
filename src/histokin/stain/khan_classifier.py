"""Which stain a pixel shows: a random forest on its color and on the whole image's stain color descriptor."""

from dataclasses import dataclass
from functools import cache
from typing import Any, final

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from histokin.extras import needed
from histokin.stain.khan_palette import Palette, octree
from histokin.stain.khan_training import BACKGROUND, EOSIN, HEMATOXYLIN, SEED, laboratories

UNLABELED = -1

LEAF = 8
"""Fewest training pixels in a leaf, so that a leaf's shares are probabilities."""

Labels = Int64[np.ndarray, "n"]


@final
@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained forest with the palette and the principal component of its training histograms."""

    palette: Palette
    mean: Float64[np.ndarray, "boxes"]
    component: Float64[np.ndarray, "boxes"]
    forest: Any

    def descriptor(self, pixels: UInt8[np.ndarray, "n 3"]) -> float:
        """Stain color descriptor of an image: its palette histogram along the first principal component."""
        return float((self.palette.histogram(pixels) - self.mean) @ self.component)

    def probabilities(self, pixels: UInt8[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        """Of background, eosin and hematoxylin. ``pixels`` are those of one image (or slide) as a whole."""
        if not len(pixels):
            return np.empty((0, 3))
        packed = pixels.astype(np.int64) @ np.array([1, 256, 65536])
        _, first, back = np.unique(packed, return_index=True, return_inverse=True)
        found: Float64[np.ndarray, "m 3"] = self.forest.predict_proba(_features(pixels[first], self.descriptor(pixels)))
        return found[back.reshape(-1)]

    def labels(self, pixels: UInt8[np.ndarray, "n 3"], confidence: float = 0.75) -> Labels:
        """Class of each pixel where its probability is above ``confidence``, else -1; background goes first."""
        shares = self.probabilities(pixels)
        found = np.full(len(pixels), UNLABELED, np.int64)
        for kind in (EOSIN, HEMATOXYLIN, BACKGROUND):
            found[shares[:, kind] > confidence] = kind
        return found


def _features(pixels: UInt8[np.ndarray, "n 3"], descriptor: float) -> Float64[np.ndarray, "n 4"]:
    return np.column_stack([pixels / 255.0, np.full(len(pixels), descriptor)])


@cache
def trained(trees: int = 20) -> Classifier:
    """The classifier, trained on synthetic tissue at its first use in a process (seconds); always the same one.

    Raises
    ------
    UsageError
        where scikit-learn or scipy is not installed.
    """
    require()
    from sklearn.ensemble import RandomForestClassifier

    tissue = laboratories()
    palette = octree(np.concatenate([one.pixels for one in tissue]))
    histograms = np.stack([palette.histogram(one.pixels) for one in tissue])
    mean = histograms.mean(axis=0)
    component = np.linalg.svd(histograms - mean, full_matrices=False)[2][0]
    # The sign of a singular vector is arbitrary.
    component = component * np.sign(component[np.abs(component).argmax()])
    forest = RandomForestClassifier(trees, min_samples_leaf=LEAF, random_state=SEED, n_jobs=1)
    unfitted = Classifier(palette, mean, component, forest)
    features = np.concatenate([_features(one.pixels, unfitted.descriptor(one.pixels)) for one in tissue])
    forest.fit(features, np.concatenate([one.classes for one in tissue]))
    return unfitted


def require() -> None:
    """Raise :class:`UsageError` where scikit-learn or scipy is missing."""
    needed("fitting a source with khan", "sklearn", "scipy", extra="khan")
