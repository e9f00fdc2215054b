"""What goes into a fit: checked images, and one pool of their pixels."""

from pathlib import Path
from typing import TypeGuard

import numpy as np
from jaxtyping import Int64, UInt8

from histokin.errors import UnreadableFile, UsageError
from histokin.types import RGB, Images

POOL = 1 << 20
"""Most pixels that one fit looks at; a sample spread over all images is taken beyond that."""

GOLDEN = 0.6180339887498949

Pixels = UInt8[np.ndarray, "n 3"]


def rgb(image: object) -> RGB:
    """The image itself when it is ``uint8``, "h w 3". Raises :class:`UsageError` for anything else."""
    if _is_rgb(image):
        return image
    if isinstance(image, np.ndarray):
        found = f"an array of {image.dtype}, shape {'x'.join(map(str, image.shape))}"
    else:
        found = f"a {type(image).__name__}"
    raise UsageError(
        f"stain normalization takes 8-bit RGB images, and was given {found}",
        remedy="Give a uint8 array of shape height x width x 3 (drop alpha; scale 16-bit or float to 0-255)",
    )


def _is_rgb(image: object) -> TypeGuard[RGB]:
    return (
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
        and image.dtype.isnative
    )


def pool(images: Images, limit: int = POOL) -> Pixels:
    """Pixels of all images in one list; the same, spread over all of them, at every call."""
    flats = [rgb(image).reshape(-1, 3) for image in images]
    total = sum(len(flat) for flat in flats)
    if total <= limit:
        return np.concatenate(flats) if flats else np.empty((0, 3), np.uint8)
    places = spread(total, limit)
    ends = np.cumsum([len(flat) for flat in flats])
    cuts = np.searchsorted(places, ends)
    starts = ends - np.array([len(flat) for flat in flats])
    parts = np.split(places, cuts[:-1])
    # take and compress are several times faster here than indexing
    return np.concatenate([flat.take(part - start, 0) for flat, part, start in zip(flats, parts, starts, strict=True)])


def spread(total: int, count: int) -> Int64[np.ndarray, "count"]:
    """``count`` places among ``total``, ascending and the same at every call; all of them where there are no more.

    A regular stride with a golden-ratio offset, so that they do not fall into step with image columns or JPEG
    blocks.
    """
    if total <= count:
        return np.arange(total)
    steps = np.arange(count)
    offsets = steps * GOLDEN
    offsets -= np.floor(offsets)
    places: Int64[np.ndarray, "count"] = ((steps + offsets) * (total / count)).astype(np.int64)
    return places


def read_image(path: Path) -> RGB:
    """An image file as RGB. Raises :class:`UnreadableFile` when it does not open as one."""
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                return np.asarray(opened.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableFile(
            "the target image cannot be read",
            path=path,
            remedy="Give a PNG, JPEG or TIFF image of well-stained tissue",
        ) from error
