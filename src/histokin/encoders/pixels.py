"""What every encoder does to pixels first."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image as Pillow

from histokin.errors import EncoderError
from histokin.types import Image


def prepare(image: Image, side: int) -> UInt8[np.ndarray, "side side 3"]:
    """``image`` at ``side`` x ``side`` pixels; the input itself, not a copy, when it has that size.

    The filter is a triangle as wide as the reduction: linear interpolation where the image grows, an average without
    aliasing where it shrinks. The aspect ratio is not kept.

    Raises
    ------
    EncoderError
        when the image is not ``uint8`` "h w 3", or empty.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise EncoderError(
            f"an image of shape {image.shape} and type {image.dtype} cannot be encoded",
            remedy="Give RGB images: uint8, height x width x 3",
        )
    if image.shape[:2] == (side, side):
        return image
    resized = Pillow.fromarray(image).resize((side, side), Pillow.Resampling.BILINEAR)
    return np.asarray(resized)
