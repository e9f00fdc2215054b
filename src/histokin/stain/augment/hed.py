"""HED: each of three stains stronger or weaker; and BRH, which does it after BR. As the StainNet paper augments."""

from typing import final

import numpy as np
from jaxtyping import Float64

from histokin.stain.augment.base import Augmentation, factors
from histokin.stain.augment.density import change_density
from histokin.stain.augment.light import BR
from histokin.stain.deconvolution import HED as STAINS
from histokin.stain.deconvolution import unit_columns
from histokin.stain.options import number
from histokin.types import RGB

_MIX = unit_columns(STAINS)
_UNMIX = np.linalg.inv(_MIX)


@final
class HED(Augmentation):
    """Hematoxylin, eosin and DAB each times an independent U(0.75, 1.25), recomposed.

    Concentrations are not clipped at 0 on the way, so that factors of 1 give the image back.

    Parameters
    ----------
    spread : largest change of a factor from 1. p : how often an image is changed (the paper: 0.25).
    """

    def __init__(self, spread: float | int = 0.25, *, p: float | int = 0.25, seed: int | None = None) -> None:
        self.spread = number("spread", spread, 0, 1)
        super().__init__(p, seed, spread=self.spread)

    def change(self, image: RGB, rng: np.random.Generator) -> RGB:
        return restained(image, factors(rng, self.spread, 3))


@final
class BRH(Augmentation):
    """BR and then HED, on the same images: the paper's third scenario."""

    def __init__(
        self,
        spread: float | int = 0.25,
        degrees: float | int = 180.0,
        *,
        p: float | int = 0.25,
        seed: int | None = None,
    ) -> None:
        self._light, self._stain = BR(spread, degrees), HED(spread)
        super().__init__(p, seed, spread=self._light.spread, degrees=self._light.degrees)

    def change(self, image: RGB, rng: np.random.Generator) -> RGB:
        return self._stain.change(self._light.change(image, rng), rng)


def restained(image: RGB, strengths: Float64[np.ndarray, "3"]) -> RGB:
    """The image with the three stains that many times as strong."""
    return change_density(image, (_MIX * strengths) @ _UNMIX, np.zeros(3))
