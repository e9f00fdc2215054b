"""Linear discriminants with every image as its own class: what tells images apart, not how they were stained."""

from typing import final

import numpy as np
from jaxtyping import Float, Float64

from histokin.errors import UsageError


@final
class SeparatingMap:
    """Fisher's discriminants from several views of each image, largest ratio first.

    The scatter within is that of an image's views about their mean, plus ``shrink`` times its mean eigenvalue on the
    diagonal; the scatter between is that of the images' means. In the new coordinates the scatter within is at most
    the unit matrix.

    Parameters
    ----------
    views : vectors, the same images in the same order in every view; at least two views.
    keep : how many discriminants, from 1 to d.

    Raises
    ------
    UsageError
        with a single view, or for another ``keep``.
    """

    def __init__(self, views: Float[np.ndarray, "v n d"], keep: int, shrink: float = 1.0) -> None:
        count, _, dim = views.shape
        if count < 2 or not 1 <= keep <= dim:
            raise UsageError(
                f"{keep} discriminants were asked of {count} views with {dim} values",
                remedy="Give at least two views, and keep from 1 to as many discriminants as there are values",
            )
        rows = views.astype(np.float64)
        means = rows.mean(axis=0)
        self.center: Float64[np.ndarray, "d"] = means.mean(axis=0)
        beside, around = (rows - means).reshape(-1, dim), means - self.center
        # An image's own mean takes away one degree of freedom.
        spread, axes = np.linalg.eigh(beside.T @ beside / len(beside) * count / (count - 1))
        # An image that no view changes has no scatter; the tiny number keeps the division defined.
        whitening = axes / np.sqrt(spread.clip(0) + shrink * max(float(spread.mean()), 1e-12))
        ratio, turned = np.linalg.eigh(whitening.T @ (around.T @ around / len(around)) @ whitening)
        self.matrix: Float64[np.ndarray, "d k"] = whitening @ turned[:, np.argsort(-ratio)[:keep]]

    def __call__(self, vectors: Float[np.ndarray, "n d"]) -> Float64[np.ndarray, "n k"]:
        """The discriminants of ``vectors``, zero at the mean of the images it was found on."""
        found: Float64[np.ndarray, "n k"] = (vectors - self.center) @ self.matrix
        return found
