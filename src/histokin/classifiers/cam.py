"""Class activation maps as pictures: from the last maps of a network to a heat map over the image. No PyTorch."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from histokin.errors import UsageError
from histokin.types import Image, Images

STYLES: tuple[str, ...] = ("jet", "inferno", "gray")
ALPHA = 0.45

Map = Float32[np.ndarray, "gh gw"]
RED = (220, 20, 20)


def class_maps(
    maps: Float32[np.ndarray, "n k gh gw"], weights: Float32[np.ndarray, "c k"], classes: Int64[np.ndarray, "n"]
) -> Float32[np.ndarray, "n gh gw"]:
    """``CAM(x, y) = sum over k of W[c, k] A_k(x, y)`` for one class of each image.

    The mean over all positions plus the bias of the class is its logit (B. Zhou et al., "Learning deep features for
    discriminative localization", CVPR 2016).
    """
    return np.asarray(np.einsum("nkyx,nk->nyx", maps, weights[classes]), np.float32)


def upsampled(cam: Map, height: int, width: int) -> Float32[np.ndarray, "height width"]:
    """The map at the size of its image, by bilinear interpolation between the middles of its cells."""
    import cv2

    if height < 1 or width < 1:
        raise UsageError(f"an image of {width} x {height} pixels", remedy="Give an image with at least one pixel")
    return np.asarray(cv2.resize(cam, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def unit(cam: Map) -> Map:
    """The map from 0 (its least value) to 1 (its greatest); a constant map gives zeros."""
    low, high = float(cam.min()), float(cam.max())
    # Halved, so that the range of the largest numbers does not overflow.
    span = np.float32(high / 2 - low / 2)
    if span <= 0:
        return np.zeros_like(cam)
    return np.clip((cam / np.float32(2) - np.float32(low / 2)) / span, 0, 1)


def heat(values: Float32[np.ndarray, "h w"], style: str = "jet") -> UInt8[np.ndarray, "h w 3"]:
    """Values in 0 to 1 as 8-bit RGB.

    ``jet``: blue to red; ``inferno``: black to yellow, evenly spaced for the eye; ``gray``: the brighter the more.
    Raises :class:`UsageError` for another style.
    """
    import cv2

    if style not in STYLES:
        raise UsageError(f"no style is called '{style}'", remedy=f"Choose one of: {', '.join(STYLES)}")
    levels = np.rint(np.clip(values, 0, 1) * np.float32(255)).astype(np.uint8)
    if style == "gray":
        return np.repeat(levels[..., None], 3, axis=2)
    table = cv2.COLORMAP_JET if style == "jet" else cv2.COLORMAP_INFERNO
    return np.ascontiguousarray(cv2.applyColorMap(levels, table)[..., ::-1])


def overlay(image: Image, cam: Map, *, style: str = "jet", alpha: float | int = ALPHA) -> Image:
    """``alpha`` of the heat map over the rest of the image: a new array of the image's size and type.

    Parameters
    ----------
    image : "h w 3" or "h w 1"; integers over their whole range, float32 in 0 to 1. One channel is mixed with the
        heat map's mean.
    cam : a class activation map as the classifier gives it; stretched over the image and scaled to 0 to 1 here.

    Raises
    ------
    UsageError
        for another number of channels, an empty image, an unknown style, or an ``alpha`` outside 0 to 1.
    """
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha is {alpha}", remedy="Give a number from 0 (the image) to 1 (the heat map)")
    if image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise UsageError(f"an image of shape {image.shape}", remedy="Give an image with one or three channels")
    whole = np.issubdtype(image.dtype, np.integer)
    white = np.float32(np.iinfo(image.dtype).max) if whole else np.float32(1)
    colors = heat(unit(upsampled(cam, *image.shape[:2])), style).astype(np.float32) / np.float32(255)
    if image.shape[2] == 1:
        colors = colors.mean(axis=2, keepdims=True)
    share = np.float32(alpha)
    mixed = share * white * colors + (np.float32(1) - share) * image.astype(np.float32)
    if whole:
        mixed = np.clip(np.rint(mixed), 0, white)
    return np.asarray(mixed, image.dtype)


def overlays(
    images: Images, cams: Float32[np.ndarray, "n gh gw"], *, style: str = "jet", alpha: float | int = ALPHA
) -> list[np.ndarray]:
    """:func:`overlay` for every image and its map. Raises :class:`UsageError` also when their numbers differ."""
    if len(images) != len(cams):
        raise UsageError(f"{len(cams)} maps for {len(images)} images", remedy="Give one map for each image")
    return [overlay(image, cam, style=style, alpha=alpha) for image, cam in zip(images, cams, strict=True)]


def peak(cam: Map, height: int, width: int) -> tuple[int, int]:
    """Column and row, in an image of this size, of the middle of the map's highest cell (the first of equal ones)."""
    row, column = np.unravel_index(int(cam.argmax()), cam.shape)
    y = int((row + 0.5) * height / cam.shape[0])
    x = int((column + 0.5) * width / cam.shape[1])
    return min(x, width - 1), min(y, height - 1)


def with_arrow(
    image: UInt8[np.ndarray, "h w 3"], tip: tuple[int, int], color: Sequence[int] = RED
) -> UInt8[np.ndarray, "h w 3"]:
    """The image with an arrow that points at ``tip`` (column, row), coming from the side where there is more room."""
    import cv2

    height, width = image.shape[:2]
    length = max(8, min(height, width) // 4)
    x, y = tip
    start = (x + (length if x < width / 2 else -length), y + (length if y < height / 2 else -length))
    drawn = np.ascontiguousarray(image).copy()
    thick = max(1, min(height, width) // 100)
    cv2.arrowedLine(drawn, start, tip, [int(c) for c in color], thick, cv2.LINE_AA, tipLength=0.35)
    return drawn


def top_share(values: Float32[np.ndarray, "h w"], share: float | int) -> Bool[np.ndarray, "h w"]:
    """True on this share of the pixels, those with the highest values; of equal ones the first, row by row."""
    if not 0 <= share <= 1:
        raise UsageError(f"a share of {share}", remedy="Give a number from 0 to 1")
    order = np.argsort(-values, axis=None, kind="stable")
    chosen = np.zeros(values.size, np.bool_)
    chosen[order[: round(share * values.size)]] = True
    return chosen.reshape(values.shape)
