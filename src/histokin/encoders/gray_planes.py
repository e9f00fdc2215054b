"""Gray images beside color ones, for networks that take three channels."""

import numpy as np
from jaxtyping import Float32, UInt8

from histokin.errors import EncoderError
from histokin.types import Image


def as_rgb(image: Image) -> UInt8[np.ndarray, "h w 3"]:
    """``image`` with three channels: the input itself where it has them, one channel copied thrice.

    Raises
    ------
    EncoderError
        when the image is not ``uint8`` "h w 1" or "h w 3", or empty.
    """
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.dtype != np.uint8 or image.size == 0:
        raise EncoderError(
            f"an image of shape {image.shape} and type {image.dtype} cannot be encoded",
            remedy="Give gray or RGB images: uint8, height x width x 1 or 3",
        )
    return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)


def planes(
    image: Image, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> Float32[np.ndarray, "3 h w"]:
    """Gray or RGB values as shares of 255, less ``mean``, divided by ``std``. Raises as :func:`as_rgb`."""
    shares = as_rgb(image).transpose(2, 0, 1) / np.float32(255)
    middle, width = (np.array(values, np.float32)[:, None, None] for values in (mean, std))
    return np.ascontiguousarray((shares - middle) / width)
