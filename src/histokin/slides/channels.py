"""The samples of a loose picture as its file holds them: one channel or three, 8 or 16 bits, nothing turned to RGB.

For microscopes other than a brightfield one. Slides of several levels hold brightfield pictures only.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from histokin.errors import HistokinError, UnreadableFile, UnsupportedFormat
from histokin.slides.base import Slide
from histokin.slides.tiff_header import check_samples, open_header
from histokin.types import Image

ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
EIGHT_BIT = ("L", "RGB")


def read_channels(slide: Slide) -> Image:
    """All pixels of an opened loose picture: ``uint8`` or ``uint16`` "h w 1" or "h w 3", upright by its EXIF tag.

    TIFF samples of 9 to 15 bits are scaled to 16; where zero is white they are inverted.

    Raises
    ------
    UnsupportedFormat
        for a slide of several levels, transparency, floating point, or another number of channels than 1 and 3.
    UnreadableFile
        when the samples do not decode.
    """
    if slide.kind != "image":
        raise UnsupportedFormat(
            "a tiled, OME or large TIFF is read as a brightfield slide",
            remedy="Save the picture as PNG or as plain TIFF, with sides up to 4096 pixels",
            path=slide.path,
        )
    try:
        image = _tiff(slide.path) if slide.format == "tiff" else _picture(slide.path)
    except HistokinError:
        raise
    except Exception as error:  # decoders raise many kinds
        cause = " ".join(str(error).split()).rstrip(".")[:120] or type(error).__name__
        raise UnreadableFile(
            f"its samples do not decode ({cause})", remedy="Copy it again from its source", path=slide.path
        ) from None
    if image.shape[:2] != (slide.height, slide.width):
        raise UnreadableFile("its samples are of another size", remedy="Save it anew", path=slide.path)
    return image


def channel_count(slide: Slide) -> int:
    """1 for a gray loose picture, 3 for anything else; nothing is decoded."""
    if slide.kind != "image":
        return 3
    if slide.format == "tiff":
        with open_header(slide.path) as tif:
            key = tif.pages[0].keyframe
            gray = int(key.samplesperpixel) == 1 and int(key.photometric) in (0, 1)
            return 1 if gray else 3
    with Pillow.open(slide.path) as picture:
        return 1 if picture.mode in ("1", "L", "LA", "La") or picture.mode.startswith(("I", "F")) else 3


def _picture(path: Path) -> Image:
    with Pillow.open(path) as picture:
        upright = ImageOps.exif_transpose(picture) or picture
        if upright.mode in ALPHA or "transparency" in upright.info:
            raise UnsupportedFormat("it has a transparent channel", remedy="Save it without one", path=path)
        if upright.mode.startswith("I"):
            deep = np.asarray(upright)
            if deep.min() < 0 or deep.max() > 65535:
                raise _no_range(upright.mode, path)
            return deep.astype(np.uint16)[..., None]
        if upright.mode.startswith("F"):
            raise _no_range(upright.mode, path)
        mode = "L" if upright.mode == "1" else upright.mode if upright.mode in EIGHT_BIT else "RGB"
        pixels = np.array(upright.convert(mode), np.uint8)
        return pixels if pixels.ndim == 3 else pixels[..., None]


def _tiff(path: Path) -> Image:
    with open_header(path) as tif:
        page = tif.pages[0]
        key = page.keyframe
        check_samples(key, path)
        samples = np.asarray(page.asarray())
        if samples.ndim == 2:
            samples = samples[..., None]
        elif int(key.planarconfig) == 2:
            samples = np.moveaxis(samples, 0, -1)
        return _known(samples, key, path)


def _known(samples: np.ndarray, key: Any, path: Path) -> Image:
    if samples.ndim != 3 or samples.shape[2] not in (1, 3) or int(key.photometric) not in (0, 1, 2, 6):
        raise UnsupportedFormat(
            f"it has {samples.shape[-1]} channels ({key.photometric.name})",
            remedy="Save one channel, or red, green and blue, without transparency",
            path=path,
        )
    bits = int(key.bitspersample[0] if isinstance(key.bitspersample, tuple) else key.bitspersample)
    if samples.dtype == np.uint16:
        top = (1 << bits) - 1
        if top < 65535:
            samples = (samples.astype(np.uint32) * 65535 // top).astype(np.uint16)
    elif samples.dtype == np.bool_:
        samples = samples.astype(np.uint8) * np.uint8(255)
    elif samples.dtype != np.uint8:
        raise _no_range(str(samples.dtype), path)
    white = np.array(np.iinfo(samples.dtype).max, samples.dtype)
    return np.ascontiguousarray(white - samples if int(key.photometric) == 0 else samples)


def _no_range(kind: str, path: Path) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"samples of type {kind} have no agreed range", remedy="Save it with 8 or 16 bits", path=path
    )
