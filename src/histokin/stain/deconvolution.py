"""Separation of light into three stains of known color, and back: hematoxylin, eosin and DAB.

Source: A. Ruifrok and D. Johnston, Quantification of histochemical staining by color deconvolution, 2001.
"""

import numpy as np
from jaxtyping import Float64, UInt8

from histokin.stain.optical_density import OpticalDensity

Stains3 = Float64[np.ndarray, "3 3"]

HED: Stains3 = np.array([[0.65, 0.07, 0.27], [0.70, 0.99, 0.57], [0.29, 0.11, 0.78]])
"""Textbook hematoxylin, eosin and DAB (columns) in RGB optical density, not normalized, as scikit-image has them."""

LANDINI: Stains3 = np.array([[0.644211, 0.092789, 0.635981], [0.716556, 0.954111, 0.0], [0.266844, 0.283111, 0.771705]])
"""Landini's hematoxylin, eosin and residual (columns)."""

DENSITY = OpticalDensity("od256")
"""The convention whose two directions undo each other for all 256 levels."""


def unit_columns(stains: Float64[np.ndarray, "f k"]) -> Float64[np.ndarray, "f k"]:
    """The columns at unit length."""
    scaled: Float64[np.ndarray, "f k"] = stains / np.sqrt((stains**2).sum(axis=0))
    return scaled


def deconvolve(
    image: UInt8[np.ndarray, "h w 3"], stains: Stains3 = HED, density: OpticalDensity = DENSITY
) -> Float64[np.ndarray, "h w 3"]:
    """Concentration of each stain in each pixel, in natural-log density of the stain at unit length.

    Values may be negative: nothing is clipped, so that :func:`recompose` gives the image back exactly.
    scikit-image's ``rgb2hed`` is ``max(0, C / (length · ln 1e6))`` with ``od255``, where ``length`` is that of
    the stain's column before it is normalized, for pixels without zeros.
    """
    inverse = np.linalg.inv(unit_columns(stains))
    concentrations: Float64[np.ndarray, "h w 3"] = density.forward(image) @ inverse.T
    return concentrations


def recompose(
    concentrations: Float64[np.ndarray, "h w 3"], stains: Stains3 = HED, density: OpticalDensity = DENSITY
) -> UInt8[np.ndarray, "h w 3"]:
    """The image that such concentrations make, rounded and clipped to 0-255. Undoes :func:`deconvolve`."""
    return density.inverse(concentrations @ unit_columns(stains).T)
