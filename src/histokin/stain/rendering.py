"""One stain of two: how much of it each pixel holds, and what the tissue would look like with that stain alone."""

import numpy as np
from jaxtyping import Float64, UInt8

from histokin.stain.optical_density import OpticalDensity
from histokin.stain.options import choice
from histokin.stain.pixels import rgb
from histokin.stain.two_stain import StainModel, unmixing

STAINS = ("hematoxylin", "eosin")

DENSITY = OpticalDensity("od256")
"""The convention whose two directions undo each other for all 256 levels."""


def concentrations(
    image: UInt8[np.ndarray, "h w 3"],
    model: StainModel,
    *,
    density: OpticalDensity = DENSITY,
    clip_negative: bool = False,
) -> Float64[np.ndarray, "h w 2"]:
    """Hematoxylin and eosin of each pixel, by least squares, in natural-log density at unit length.

    Nothing bounds them from below, unless ``clip_negative`` sets negative ones to 0. Raises :class:`UsageError`
    for other than 8-bit RGB.
    """
    found: Float64[np.ndarray, "h w 2"] = density.forward(rgb(image)) @ unmixing(model.stains).T
    return np.maximum(found, 0) if clip_negative else found


def only(
    image: UInt8[np.ndarray, "h w 3"], model: StainModel, stain: str, *, density: OpticalDensity = DENSITY
) -> UInt8[np.ndarray, "h w 3"]:
    """The image with one stain left in it, ``hematoxylin`` or ``eosin``; negative concentrations count as 0.

    ``model`` holds the image's own stains (:attr:`TwoStainMap.source`), or those of a target once the image has been
    mapped to it. Raises :class:`UsageError` for another stain and for other than 8-bit RGB.
    """
    which = STAINS.index(choice("stain", stain, STAINS))
    amount = concentrations(image, model, density=density, clip_negative=True)[..., which]
    return density.inverse(amount[..., None] * model.stains[:, which])
