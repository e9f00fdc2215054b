"""An image at several sizes, for searches from coarse to fine."""

from typing import final

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8, UInt16

from histokin.retrieval.subimage.masked_correlation import Field, Usual, field, usual

Pixels = UInt8[np.ndarray, "_ _ _"] | UInt16[np.ndarray, "_ _ _"] | Float32[np.ndarray, "_ _ _"]


@final
class Pyramid:
    """An image and its shrunk copies, each with the mask of pixels that are wholly inside."""

    def __init__(self, image: Pixels) -> None:
        self._image = np.asarray(image, np.float32)
        self._levels: dict[int, tuple[Float32[np.ndarray, "_ _ _"], Bool[np.ndarray, "_ _"]]] = {}
        self._usual: dict[int, Usual] = {}
        self.shape: tuple[int, ...] = self._image.shape
        self.height, self.width = self.shape[:2]

    def field(self, shrink: int, reach: int, places: tuple[int, int, int, int] | None = None) -> Field:
        """Spectra of a level, see :func:`~histokin.retrieval.subimage.masked_correlation.field`."""
        pixels, mask = self.level(shrink)
        if shrink not in self._usual:
            self._usual[shrink] = usual(pixels, mask)
        return field(pixels, mask, reach, places, self._usual[shrink])

    def level(self, shrink: int) -> tuple[Float32[np.ndarray, "_ _ _"], Bool[np.ndarray, "_ _"]]:
        if shrink not in self._levels:
            self._levels[shrink] = self._shrunk(shrink)
        return self._levels[shrink]

    def _shrunk(self, shrink: int) -> tuple[Float32[np.ndarray, "_ _ _"], Bool[np.ndarray, "_ _"]]:
        if shrink == 1:
            return self._image, np.ones((self.height, self.width), bool)
        # Sides that are no multiple are extended, so that one shrunk pixel is always `shrink` pixels wide.
        rows, columns = -(-self.height // shrink), -(-self.width // shrink)
        extended = cv2.copyMakeBorder(
            self._image, 0, rows * shrink - self.height, 0, columns * shrink - self.width, cv2.BORDER_REPLICATE
        )
        small = cv2.resize(extended, (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows, columns, -1)
        mask = np.zeros((rows, columns), bool)
        mask[: self.height // shrink, : self.width // shrink] = True
        return small, mask
