"""Random views of a tile as other laboratories might make it: stain, light, scale, sharpness. No PyTorch."""

import cv2
import numpy as np

from histokin.stain.augment.density import change_density
from histokin.stain.augment.light import relit
from histokin.stain.deconvolution import HED, unit_columns
from histokin.types import RGB

STAINS, OFFSET, MIXING = 0.45, (-0.08, 0.12), 0.06
BRIGHTNESS, CONTRAST = (0.85, 1.12), (0.7, 1.3)
ZOOM = 0.3
BLUR, QUALITY, OFTEN = (0.3, 1.2), (50, 95), 0.4

_MIX = unit_columns(HED)
_UNMIX = np.linalg.inv(_MIX)


def view(tile: RGB, rng: np.random.Generator) -> RGB:
    """A new tile of the same size: stained and lit anew, then turned, mirrored and scaled, then perhaps blurred.

    Hematoxylin, eosin and DAB each times exp(U(-0.45, 0.45)) and, each half of the time, shifted; a normal deviate of
    0.06 on every entry of the color matrix of optical densities; brightness and contrast; any angle, scale
    exp(U(-0.3, 0.3)), borders mirrored; Gaussian blur and JPEG compression in two of five views each.
    """
    return _degraded(_moved(_restained(tile, rng), rng), rng)


def _restained(tile: RGB, rng: np.random.Generator) -> RGB:
    strengths = np.exp(rng.uniform(-STAINS, STAINS, 3))
    offsets = rng.uniform(*OFFSET, 3)
    colors = (_MIX * strengths) @ _UNMIX + rng.normal(0, MIXING, (3, 3))
    stained = change_density(tile, colors, _MIX @ (offsets * rng.integers(0, 2, 3)))
    return relit(stained, float(rng.uniform(*BRIGHTNESS)), float(rng.uniform(*CONTRAST)))


def _moved(tile: RGB, rng: np.random.Generator) -> RGB:
    height, width = tile.shape[:2]
    zoom = float(np.exp(rng.uniform(-ZOOM, ZOOM)))
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), float(rng.uniform(-180, 180)), zoom)
    moved = cv2.warpAffine(tile, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.ascontiguousarray(moved[:, ::-1] if rng.random() < 0.5 else moved, np.uint8)


def _degraded(tile: RGB, rng: np.random.Generator) -> RGB:
    if rng.random() < OFTEN:
        tile = np.asarray(cv2.GaussianBlur(tile, (0, 0), float(rng.uniform(*BLUR))), np.uint8)
    if rng.random() < OFTEN:
        written = cv2.imencode(".jpg", tile, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*QUALITY))])[1]
        tile = np.asarray(cv2.imdecode(written, cv2.IMREAD_COLOR), np.uint8)
    return tile
