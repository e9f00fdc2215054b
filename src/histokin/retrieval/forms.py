"""Sizes, channels and bits of pictures: what people look at, and what encoders take."""

from typing import Any, final

import cv2
import numpy as np
from jaxtyping import Float32, UInt8, UInt16

from histokin.types import Image, ImageMap, Mapped, Status

Resized = UInt8[np.ndarray, "_ _ _"] | UInt16[np.ndarray, "_ _ _"] | Float32[np.ndarray, "_ _ _"]


def resampled(image: Image, width: int, height: int) -> Resized:
    """Another size (area when shrinking, linear when enlarging), the channels as they are."""
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    shrinking = width <= image.shape[1] and height <= image.shape[0]
    small: np.ndarray = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    )
    return small if small.ndim == 3 else small[..., None]


def as_rgb(image: Image) -> UInt8[np.ndarray, "h w 3"]:
    """For people and for encoders of RGB: 16 bits divided by 257, one channel three times, floats clipped to 0 to 1."""
    if image.dtype == np.uint16:
        image = np.asarray((image.astype(np.uint32) + 128) // 257, np.uint8)
    elif image.dtype != np.uint8:
        image = np.asarray(np.clip(image, 0, 1) * 255 + 0.5, np.uint8)
    return np.ascontiguousarray(np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3])


@final
class EightBits(ImageMap):
    """The map of a microscope without a representation: 16 bits divided by 257, the channels as they are."""

    @property
    def space(self) -> str:
        return "raw"

    def apply(self, image: Image) -> tuple[Mapped, Status]:
        if image.dtype == np.uint8:
            return image, Status()
        return (as_rgb(image)[..., :1] if image.shape[2] == 1 else as_rgb(image)), Status()

    def to_dict(self) -> dict[str, Any]:
        return {"method": "eight-bits"}
