"""Loose pictures held in memory: PNG and JPEG through Pillow, small plain TIFF files from ``tiff``."""

import warnings
from pathlib import Path
from typing import Literal, final

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from histokin.errors import ImplausibleDimensions, UnreadableFile, UnsupportedFormat, UsageError
from histokin.slides.base import Slide
from histokin.slides.pixels import flatten_alpha, to_8bit
from histokin.types import RGB

MOST_PX = 2**28
"""Most pixels of a loose picture (268 million, 0.8 GB of RGB); larger ones belong in a tiled format."""

MOST_PX_PER_BYTE = {"PNG": 8 * 1032, "JPEG": 4096}
"""Deflate shrinks at most 1032 times (one bit a pixel); a JPEG block of 64 pixels takes at least some bits."""


@final
class ImageSlide(Slide):
    """A picture in memory, decoded completely when opened."""

    def __init__(
        self,
        path: Path,
        pixels: RGB,
        *,
        format: str,
        mpp: float | None,
        kind: Literal["slide", "image"] = "image",
        properties: dict[str, str] | None = None,
    ) -> None:
        height, width = pixels.shape[:2]
        super().__init__(
            path, format=format, levels=((width, height),), mpp=mpp, kind=kind, properties=properties or {}
        )
        self._array: RGB | None = pixels

    def _pixels(self, level: int, x: int, y: int, width: int, height: int) -> RGB:
        array = self._array
        if array is None:
            raise UsageError("the image has been closed", remedy="Open it again", path=self.path)
        left, top = max(0, x), max(0, y)
        right, bottom = max(left, min(self.width, x + width)), max(top, min(self.height, y + height))
        if (right - left, bottom - top) == (width, height):
            return array[top:bottom, left:right].copy()
        out = np.full((height, width, 3), 255, np.uint8)
        if right > left and bottom > top:
            out[top - y : bottom - y, left - x : right - x] = array[top:bottom, left:right]
        return out

    def close(self) -> None:
        self._array = None


def open_image(path: Path, mpp: float | None) -> Slide:
    """Decode a PNG or JPEG completely, upright by its EXIF tag, as 8-bit RGB.

    Grey becomes three equal channels, palettes are looked up, alpha lies over white, 16 bits are divided by
    257, CMYK is converted by Pillow. Dots per inch in the file are not taken for a scale.

    Raises
    ------
    UnreadableFile, UnsupportedFormat, ImplausibleDimensions
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(path, formats=("PNG", "JPEG", "MPO")) as picture:
                _check_size(picture, path)
                kind = "png" if picture.format == "PNG" else "jpeg"
                picture.load()
                pixels = _rgb(picture, path)
    except (ImplausibleDimensions, UnsupportedFormat):
        raise
    except (Pillow.DecompressionBombError, MemoryError):
        raise _implausible("more pixels than fit in memory", path) from None
    except Exception as error:  # Pillow raises half a dozen kinds for damaged files
        raise UnreadableFile(
            f"the picture does not decode ({_cause(error)})",
            remedy="It is truncated or damaged; copy it again from its source",
            path=path,
        ) from None
    return ImageSlide(path, pixels, format=kind, mpp=mpp)


def _check_size(picture: Pillow.Image, path: Path) -> None:
    width, height = picture.size
    claimed = width * height
    most = MOST_PX_PER_BYTE.get(picture.format or "", MOST_PX_PER_BYTE["JPEG"]) * path.stat().st_size
    if claimed > min(MOST_PX, most):
        raise _implausible(f"{width} x {height} pixels", path)


def _implausible(what: str, path: Path) -> ImplausibleDimensions:
    return ImplausibleDimensions(
        f"the header claims {what}, which a file of {path.stat().st_size} bytes cannot hold or memory cannot",
        remedy="If the size is right, convert it to a tiled TIFF; otherwise copy it again from its source",
        path=path,
    )


def _rgb(picture: Pillow.Image, path: Path) -> RGB:
    upright = ImageOps.exif_transpose(picture) or picture
    if upright.mode.startswith(("I", "F")):
        deep = np.asarray(upright)
        if deep.dtype.kind == "f" or deep.min() < 0 or deep.max() > 65535:
            raise UnsupportedFormat(
                f"pixels of type {upright.mode} have no agreed range", remedy="Save it with 8 bits", path=path
            )
        return to_8bit(np.repeat(deep.astype(np.uint16)[..., None], 3, axis=2), 16)
    if "transparency" in upright.info or upright.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return flatten_alpha(np.asarray(upright.convert("RGBA"), np.uint8))
    return np.array(upright.convert("RGB"), np.uint8)


def _cause(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text[:120] if text and "/" not in text else "no picture data found"
