"""What every local feature does to pixels first."""

import cv2
import numpy as np
from jaxtyping import UInt8

from histokin.errors import EncoderError
from histokin.types import Image


def gray(image: Image) -> UInt8[np.ndarray, "h w"]:
    """Brightness in 0 to 255: the channel of a gray image, rounded ITU-R BT.601 luma of an RGB image.

    Raises
    ------
    EncoderError
        when the image is not ``uint8`` "h w 1" or "h w 3", or empty.
    """
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.dtype != np.uint8 or image.size == 0:
        raise EncoderError(
            f"an image of shape {image.shape} and type {image.dtype} cannot be described",
            remedy="Give gray or RGB images: uint8, height x width x 1 or 3",
        )
    if image.shape[2] == 1:
        return np.ascontiguousarray(image[..., 0])
    mixed: UInt8[np.ndarray, "h w"] = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    return mixed
