"""BR: brightness, contrast and rotation, as the StainNet paper augments."""

from typing import final

import numpy as np

from histokin.stain.augment.base import Augmentation, factors
from histokin.stain.options import number
from histokin.types import RGB


@final
class BR(Augmentation):
    """Brightness and contrast times U(0.75, 1.25), rotation by U(-180, 180) degrees.

    Parameters
    ----------
    spread : largest change of either factor from 1.
    degrees : largest rotation, about the middle; corners are filled by mirroring.
    p : how often an image is changed (the paper: 0.25). seed : see :class:`Augmentation`.
    """

    def __init__(
        self,
        spread: float | int = 0.25,
        degrees: float | int = 180.0,
        *,
        p: float | int = 0.25,
        seed: int | None = None,
    ) -> None:
        self.spread, self.degrees = number("spread", spread, 0, 1), number("degrees", degrees, 0, 180)
        super().__init__(p, seed, spread=self.spread, degrees=self.degrees)

    def change(self, image: RGB, rng: np.random.Generator) -> RGB:
        brightness, contrast = factors(rng, self.spread, 2)
        angle = rng.uniform(-self.degrees, self.degrees)
        return rotated(relit(image, float(brightness), float(contrast)), float(angle))


def relit(image: RGB, brightness: float, contrast: float) -> RGB:
    """Levels times ``brightness``, then their distance from the image's mean gray times ``contrast``; clipped."""
    import cv2

    if not image.size:
        return image.copy()
    lit = np.clip(np.arange(256) * brightness, 0, 255)
    mean = float(lit[cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)].mean())
    changed: RGB = np.clip(np.rint(mean + (lit - mean) * contrast), 0, 255).astype(np.uint8)[image]
    return changed


def rotated(image: RGB, degrees: float) -> RGB:
    """Turned about the middle, at the same size; corners mirror what is inside; bilinear."""
    import cv2

    height, width = image.shape[:2]
    if not image.size:
        return image.copy()
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    turned: RGB = cv2.warpAffine(
        np.ascontiguousarray(image), turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return turned
