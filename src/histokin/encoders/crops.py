"""The middle square of an image, or ten squares of it, for networks that were trained on random squares."""

import numpy as np
from jaxtyping import UInt8

from histokin.encoders.gray_planes import as_rgb
from histokin.encoders.pixels import prepare
from histokin.types import Image

VIEWS = (1, 10)


def whole_side(crop: int) -> int:
    """To how many pixels an image is resized before squares of ``crop`` are cut: 256 for 225, others in proportion."""
    return round(crop * 256 / 225)


def resized(image: Image, crop: int) -> UInt8[np.ndarray, "s s 3"]:
    """The image, gray or RGB, as a square RGB image of :func:`whole_side` pixels; the aspect ratio is not kept."""
    return prepare(as_rgb(image), whole_side(crop))


def views(image: UInt8[np.ndarray, "s s 3"], crop: int, count: int = 1) -> list[np.ndarray]:
    """Squares of ``crop`` pixels: the middle one; or the four corners and the middle, each also mirrored (10)."""
    rest = image.shape[0] - crop
    middle = (rest // 2, rest // 2)
    corners = [(0, 0), (0, rest), (rest, 0), (rest, rest), middle]
    squares = [image[top : top + crop, left : left + crop] for top, left in (corners if count > 1 else [middle])]
    return squares if count == 1 else squares + [square[:, ::-1] for square in squares]
