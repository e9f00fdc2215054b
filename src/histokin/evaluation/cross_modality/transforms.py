"""Rigid transforms of images, drawn by seed, with their inverses: within 30 degrees, and 100 px of 834."""

import math
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from jaxtyping import Float64, UInt8

from histokin.errors import UsageError

DEGREES = 30.0
SHIFT, SIDE = 100.0, 834.0
"""The published copies: rotation within +-30 degrees, shifts within +-100 px of images of 834 px."""

Border = Literal["reflect", "constant"]
Points = Float64[np.ndarray, "n 2"]
Pixels = UInt8[np.ndarray, "_ _ _"]


@final
@dataclass(frozen=True)
class Rigid:
    """A rotation about a center followed by a shift.

    ``degrees`` is counterclockwise as displayed (y down), ``dx`` and ``dy`` are in pixels: content moves right and
    down.
    """

    degrees: float | int
    dx: float | int = 0.0
    dy: float | int = 0.0

    def inverse(self) -> "Rigid":
        """The transform that undoes this one about the same center."""
        cos, sin = _turn(-self.degrees)
        return Rigid(-self.degrees, -(cos * self.dx + sin * self.dy), -(-sin * self.dx + cos * self.dy))

    def matrix(self, center: tuple[float | int, float | int]) -> Float64[np.ndarray, "2 3"]:
        """Maps (x, y, 1) of the image to the place where that content is afterwards."""
        cos, sin = _turn(self.degrees)
        x, y = center
        return np.array(
            [
                [cos, sin, x - cos * x - sin * y + self.dx],
                [-sin, cos, y + sin * x - cos * y + self.dy],
            ]
        )

    def points(self, xy: Points, center: tuple[float | int, float | int]) -> Points:
        """Where the content at ``xy`` is afterwards."""
        matrix = self.matrix(center)
        moved: np.ndarray = xy @ matrix[:, :2].T + matrix[:, 2]
        return moved


@final
@dataclass(frozen=True)
class Window:
    """A square of an image: left, top, side, in pixels."""

    x: int
    y: int
    side: int

    @property
    def center(self) -> tuple[float, float]:
        """Between the middle pixels: (side - 1) / 2 from the first."""
        return self.x + (self.side - 1) / 2, self.y + (self.side - 1) / 2


def drawn(seed: int, place: int, number: int, *, side: int, degrees: float | int = DEGREES) -> Rigid:
    """Transform ``number`` of the image at ``place``: uniform in rotation and in both shifts; the same by seed.

    Shifts are within ``100 / 834`` of ``side``, rounded down: 61 px of 512.
    """
    random = np.random.default_rng([seed, place, number])
    angle = random.uniform(-degrees, degrees)
    most = math.floor(SHIFT * side / SIDE)
    dx, dy = random.uniform(-most, most, 2)
    return Rigid(float(angle), float(dx), float(dy))


def moved(image: Pixels, window: Window, rigid: Rigid, *, border: Border = "reflect") -> Pixels:
    """What the window shows after its content was moved about the window's center, "side side c".

    Content comes from the whole image, bilinear; beyond the image it is mirrored (``reflect``), or has the median
    of the image's rim (``constant``: glass, or darkness).

    Raises
    ------
    UsageError
        when the window is not within the image.
    """
    import cv2

    height, width, channels = image.shape
    if window.x < 0 or window.y < 0 or window.x + window.side > width or window.y + window.side > height:
        raise UsageError(
            f"the window {window.x},{window.y} of {window.side} px leaves the image of {width} x {height}",
            remedy="Choose a window within the image",
        )
    matrix = rigid.matrix(window.center)
    matrix[:, 2] -= (window.x, window.y)
    fill = tuple(float(v) for v in rim(image)) if border == "constant" else (0.0,) * channels
    warped = cv2.warpAffine(
        image,
        matrix,
        (window.side, window.side),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101 if border == "reflect" else cv2.BORDER_CONSTANT,
        borderValue=fill,
    )
    shaped: np.ndarray = np.asarray(warped).reshape(window.side, window.side, channels)
    return shaped


def cut(image: Pixels, window: Window) -> Pixels:
    """The window as it is."""
    return np.ascontiguousarray(image[window.y : window.y + window.side, window.x : window.x + window.side])


def central(image: Pixels, side: int) -> Pixels:
    """The central square; the image itself where it is no larger."""
    height, width = image.shape[:2]
    if side >= min(height, width):
        return image
    return cut(image, Window((width - side) // 2, (height - side) // 2, side))


def rim(image: Pixels) -> UInt8[np.ndarray, "_"]:
    """Median of each channel along the image's outermost pixels."""
    parts = (image[0], image[-1], image[:, 0], image[:, -1])
    middle: np.ndarray = np.median(np.concatenate(parts), axis=0)
    return middle.astype(np.uint8)


def _turn(degrees: float | int) -> tuple[float, float]:
    angle = math.radians(degrees)
    return math.cos(angle), math.sin(angle)
