"""Ruifrok and Johnston: stain vectors from the textbook, on both sides; only how strong the stains are is matched."""

from collections.abc import Mapping
from typing import Any, final

from histokin.errors import UsageError
from histokin.stain.deconvolution import HED, LANDINI, unit_columns
from histokin.stain.masks import LUMINOSITY, by_luminosity
from histokin.stain.optical_density import WHITE, OpticalDensity
from histokin.stain.options import DECIMALS, choice, number
from histokin.stain.two_stain import StainModel, Stains, TwoStainFit
from histokin.stain.two_stain_appearance import TwoStainAppearance

VECTORS: dict[str, Stains] = {"textbook": unit_columns(HED)[:, :2], "landini": unit_columns(LANDINI)[:, :2]}
"""Hematoxylin and eosin, columns: as in the paper and scikit-image, or as Landini measured them."""

DEFAULT_TARGETS = {
    "textbook": StainModel((0.651108, 0.701193, 0.290494), (0.070102, 0.991439, 0.11016), (2.511723, 1.086994)),
    "landini": StainModel((0.644319, 0.716676, 0.266889), (0.092831, 0.954546, 0.28324), (2.311998, 1.325503)),
}
"""The percentiles in the reference image of BKSVD's authors (see :data:`histokin.stain.bksvd.DEFAULT_TARGET`)."""

USUAL = {"vectors": "textbook", "threshold": LUMINOSITY, "percentile": 99.0, "od": "od256", "io": 256.0}


@final
class Ruifrok(TwoStainAppearance):
    """Color deconvolution with fixed stain vectors, as a normalizer.

    It cannot correct the hue of a stain: the vectors are the same for source and target. For the same reason no
    image can mislead it.

    Parameters
    ----------
    target : see :class:`TwoStainAppearance`; a dictionary must hold the vectors chosen here. None for
        :data:`DEFAULT_TARGETS`.
    vectors : ``textbook`` or ``landini``.
    threshold : lightness (0 to 1) from which a pixel is background; only to tell whether there is tissue.
    percentile : of the concentrations (least squares) that is matched.
    od : convention of optical density; io : intensity of unstained light (grey levels).
    strict : raise :class:`~histokin.errors.DegenerateStain` for a source without two stains.

    Source: A. Ruifrok and D. Johnston, Quantification of histochemical staining by color deconvolution, 2001.
    """

    name = "ruifrok"
    USUAL = USUAL
    DEFAULT = DEFAULT_TARGETS["textbook"]

    def __init__(
        self,
        target: object = None,
        *,
        vectors: str = "textbook",
        threshold: float | int = LUMINOSITY,
        percentile: float | int = 99.0,
        od: str = "od256",
        io: float | int | None = None,
        strict: bool = False,
    ) -> None:
        mode = choice("od", od, tuple(WHITE))
        density = OpticalDensity(mode, None if io is None else number("io", io, 1, 512))
        fixed = VECTORS[choice("vectors", vectors, tuple(VECTORS))]
        options: dict[str, Any] = {
            "vectors": vectors,
            "threshold": number("threshold", threshold, 0, 1),
            "percentile": number("percentile", percentile, 50, 100),
            "od": mode,
            "io": density.white,
        }
        fit = TwoStainFit(density, lambda _: fixed, by_luminosity(options["threshold"]), options["percentile"])
        given = DEFAULT_TARGETS[vectors].to_dict() if target is None else target
        super().__init__(given, fit, options, strict=strict)
        if isinstance(given, Mapping) and abs(self.target.stains - fixed).max() > 2 * 10**-DECIMALS:
            raise UsageError(
                f"the target's stain vectors are not the {vectors} ones, and ruifrok keeps its own on both sides",
                remedy="Give an image as the target, or choose another method for vectors of your own",
            )
