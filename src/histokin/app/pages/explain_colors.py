"""The colors of occlusion maps: what made two pictures alike in orange, what set them apart in blue."""

import base64

import cv2
import numpy as np
from jaxtyping import Float64

from histokin.retrieval.explaining.occlusion import cell_means, spread_out
from histokin.retrieval.preparing import square
from histokin.types import RGB

ALIKE = (217, 95, 2)
APART = (33, 102, 172)
MOST = 0.8
"""Opacity of the color at the end of the scale: the tissue stays visible."""

VIEW_PX = 224
PALEST = 110.0
LEGEND_GRAY = 200.0
STOPS = 8


def overlay(image: RGB, grid: Float64[np.ndarray, "n n"], scale: float) -> RGB:
    """The picture in gray under the colors of its map, at page size.

    Opacity is proportional to the change, the same for all pictures that share ``scale`` (the change at full color).
    """
    px = VIEW_PX
    small = square(image, px)
    gray = cv2.cvtColor(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float64)
    gray = PALEST + gray * (255 - PALEST) / 255  # dark tissue would swallow the color
    strength = spread_out(cell_means(grid), px, px) / (scale or 1.0)
    return _tinted(gray, strength)


def legend_stops() -> list[str]:
    """Colors of the legend's bar from -scale to +scale, as CSS: the overlay's own on light gray."""
    strength = np.linspace(-1, 1, 2 * STOPS + 1)[None]
    bar = _tinted(np.full((1, 2 * STOPS + 1, 3), LEGEND_GRAY), strength)[0]
    return [f"rgb({r},{g},{b})" for r, g, b in bar.tolist()]


def png(image: RGB) -> str:
    """A PNG data URI."""
    _, data = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
    return data_uri(bytes(data))


def data_uri(data: bytes) -> str:
    """A PNG file as a data URI."""
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _tinted(gray: Float64[np.ndarray, "h w 3"], strength: Float64[np.ndarray, "h w"]) -> RGB:
    color = np.where(strength[..., None] >= 0, np.array(ALIKE, float), np.array(APART, float))
    opacity = MOST * np.clip(np.abs(strength), 0, 1)[..., None]
    mixed: RGB = np.rint(gray * (1 - opacity) + color * opacity).astype(np.uint8)
    return mixed
