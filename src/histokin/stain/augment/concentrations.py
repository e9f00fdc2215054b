"""Concentration jitter: two stains of an image, each stronger or weaker and shifted."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from jaxtyping import Float64

from histokin.errors import UsageError
from histokin.stain.augment.base import Augmentation, factors
from histokin.stain.augment.density import change_density
from histokin.stain.deconvolution import HED, unit_columns
from histokin.stain.masks import luminosity_mask
from histokin.stain.options import number, numbers
from histokin.stain.two_stain import unmixing
from histokin.types import RGB

SPREADS = {"bksvd": 0.5, "staintools": 0.2}
"""Published spreads by name."""


@final
class ConcentrationJitter(Augmentation):
    """Concentrations of two stains times U(1 - scale, 1 + scale) plus U(-shift, shift), recomposed from the two.

    What the two stains do not explain of a pixel is dropped, as where it was published.

    Parameters
    ----------
    scale, shift : spreads, in parts and in natural-log optical density; or a name, ``bksvd`` (both 0.5) or
        ``staintools`` (both 0.2).
    stains : ``{"hematoxylin": [r, g, b], "eosin": [r, g, b]}``, such as the ``source`` of a fitted map; None for the
        textbook vectors.
    background : change glass as well; otherwise pixels brighter than the tissue mask's limit stay as they are.
    p : how often an image is changed. seed : see :class:`Augmentation`.

    Source: F. Pérez-Bueno et al. 2022 (BKSVD's authors' code); StainTools' augmentor.
    """

    def __init__(
        self,
        scale: float | int | str = "staintools",
        shift: float | int | None = None,
        *,
        stains: Mapping[str, Any] | None = None,
        background: bool = False,
        p: float | int = 0.25,
        seed: int | None = None,
    ) -> None:
        if isinstance(scale, str):
            if scale not in SPREADS:
                raise UsageError(f"no published spread is called '{scale}'", remedy=f"Choose: {', '.join(SPREADS)}")
            scale = SPREADS[scale]
        self.scale = number("scale", scale, 0, 1)
        self.shift = self.scale if shift is None else number("shift", shift, 0, 5)
        self.background = background
        self._mix = _vectors(stains)
        self._unmix = unmixing(self._mix)
        super().__init__(p, seed, scale=self.scale, shift=self.shift, background=background)

    def change(self, image: RGB, rng: np.random.Generator) -> RGB:
        strengths, added = factors(rng, self.scale, 2), rng.uniform(-self.shift, self.shift, 2)
        changed = change_density(image, (self._mix * strengths) @ self._unmix, self._mix @ added)
        if not self.background:
            glass = ~luminosity_mask(image)
            changed[glass] = image[glass]
        return changed


def _vectors(stains: Mapping[str, Any] | None) -> Float64[np.ndarray, "3 2"]:
    if stains is None:
        return unit_columns(HED)[:, :2]
    missing = [name for name in ("hematoxylin", "eosin") if name not in stains]
    if missing:
        raise UsageError(f"the stains have no '{missing[0]}'", remedy='Give {"hematoxylin": [...], "eosin": [...]}')
    pair = np.array([numbers(name, stains[name], 3) for name in ("hematoxylin", "eosin")]).T
    if np.linalg.matrix_rank(pair, 1e-3) < 2:
        raise UsageError("the two stains are one", remedy="Give two vectors that differ")
    return unit_columns(pair)
