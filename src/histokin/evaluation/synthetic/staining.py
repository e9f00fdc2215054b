"""From concentrations to light: one laboratory's dyes seen by one scanner."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float32, Float64

from histokin.stain.optical_density import OpticalDensity
from histokin.types import RGB

DENSITY = OpticalDensity("od256")
"""An exact pair, so that what is made can be undone."""

Vector = tuple[float, float, float]


@final
@dataclass(frozen=True)
class Staining:
    """Dyes and scanner.

    Parameters
    ----------
    hematoxylin, eosin : vectors in RGB optical density; used at unit length.
    gains : factors on the two concentrations (how strongly the laboratory stains).
    light : factor on each channel of the light (the scanner's white balance), above 0, at most 1.
    """

    hematoxylin: Vector
    eosin: Vector
    gains: tuple[float, float] = (1.0, 1.0)
    light: Vector = (1.0, 1.0, 1.0)

    @property
    def stains(self) -> Float64[np.ndarray, "3 2"]:
        """Unit columns, hematoxylin first."""
        columns = np.array([self.hematoxylin, self.eosin], np.float64).T
        return np.asarray(columns / np.linalg.norm(columns, axis=0))

    def image(
        self,
        concentrations: Float32[np.ndarray, "h w 2"],
        *,
        gains: Sequence[float | int] = (1.0, 1.0),
        noise: float = 0.0,
        seed: int = 0,
    ) -> RGB:
        """The picture of these concentrations.

        ``gains`` multiply the laboratory's own; ``noise`` is the standard deviation of what a camera adds, in
        grey levels.
        """
        strength = np.array(self.gains, np.float64) * np.array(gains, np.float64)
        density = (concentrations * strength) @ self.stains.T - np.log(np.array(self.light, np.float64))
        picture = DENSITY.inverse(density)
        return with_noise(picture, noise, seed)


def with_noise(image: RGB, deviation: float, seed: int) -> RGB:
    """The image with a camera's noise on it: normal, the same deviation (grey levels) everywhere."""
    if not deviation:
        return image
    added = np.random.default_rng([seed, 77]).standard_normal(image.shape, dtype=np.float32) * deviation
    return np.asarray(np.clip(np.rint(image + added), 0, 255), np.uint8)
