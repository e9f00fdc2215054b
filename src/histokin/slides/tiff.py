"""TIFF files: scanner variants go to OpenSlide; OME-TIFF and plain TIFF are read here with tifffile."""

import os
from pathlib import Path
from typing import Any, Literal, final

from histokin.errors import BadPixels, HistokinError, UnreadableFile, UnsupportedFormat, UsageError
from histokin.slides.base import Slide
from histokin.slides.image import ImageSlide
from histokin.slides.tiff_header import header_mpp, is_large, open_header
from histokin.slides.tiff_level import Level, TileCache
from histokin.slides.vendor import open_vendor, vendor_of
from histokin.types import RGB, Region


def open_tiff(path: Path, mpp: float | None) -> Slide:
    """Check the structure against the file, then open with whichever reader fits.

    OpenSlide would read OME-TIFF as one level without a scale and refuse strips, so it gets neither. A plain
    TIFF without tiles and with both sides up to 4096 pixels is a loose image and decoded at once.

    Raises
    ------
    UnreadableFile, ImplausibleDimensions, UnsupportedFormat
    """
    tif = open_header(path)
    try:
        ome = bool(tif.is_ome)
        if not ome and vendor_of(path) not in (None, "generic-tiff"):
            return open_vendor(path, mpp)
        kind: Literal["slide", "image"] = "slide" if ome or is_large(tif.pages[0]) else "image"
        levels = _ome_levels(tif, path) if ome else _plain_levels(tif)
        own = header_mpp(tif)
        name = "ome-tiff" if ome else "tiff"
        slide = TiffSlide(path, levels, format=name, mpp=mpp or own, kind=kind)
        return slide if kind == "slide" else _loose(slide)
    except HistokinError:
        raise
    except Exception as error:  # tifffile raises many kinds for damaged headers
        cause = " ".join(str(error).split()).rstrip(".")[:120] or type(error).__name__
        raise UnreadableFile(
            f"the TIFF does not parse ({cause})", remedy="Copy it again from its source", path=path
        ) from None
    finally:
        tif.close()


@final
class TiffSlide(Slide):
    """A TIFF or OME-TIFF, with its pyramid where it has one. Nothing larger than a tile is held."""

    def __init__(
        self,
        path: Path,
        levels: list[list[Any]],
        *,
        format: str,
        mpp: float | None,
        kind: Literal["slide", "image"],
    ) -> None:
        self._fd: int | None = os.open(path, os.O_RDONLY)
        try:
            cache = TileCache()
            self._readers = [Level(i, pages, path, self._fd, cache) for i, pages in enumerate(levels)]
        except BaseException:
            self.close()
            raise
        sizes = tuple((level.width, level.height) for level in self._readers)
        software = {"levels": str(len(sizes))}
        super().__init__(path, format=format, levels=sizes, mpp=mpp, kind=kind, properties=software)

    def _pixels(self, level: int, x: int, y: int, width: int, height: int) -> RGB:
        if self._fd is None:
            raise UsageError("the slide has been closed", remedy="Open it again", path=self.path)
        shrink = self._shrinks[level]
        return self._readers[level].read(round(x / shrink), round(y / shrink), width, height)

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __del__(self) -> None:
        if getattr(self, "_fd", None) is not None:
            self.close()


def _loose(slide: TiffSlide) -> Slide:
    with slide:
        try:
            pixels = slide.read(Region(0, 0, slide.width, slide.height), slide.width, slide.height)
        except BadPixels as error:
            raise UnreadableFile(error.reason, remedy=error.remedy, path=slide.path) from None
    return ImageSlide(slide.path, pixels, format=slide.format, mpp=slide.mpp)


def _plain_levels(tif: Any) -> list[list[Any]]:
    """The first page, its sub-images, and later pages marked as reduced versions of it."""
    first = tif.pages[0]
    smaller = list(getattr(first, "pages", None) or [])
    smaller += [page for page in list(tif.pages)[1:] if int(page.keyframe.subfiletype) & 1]
    levels = [[first]]
    for page in sorted(smaller, key=lambda p: -int(p.keyframe.imagewidth)):
        if _is_reduced(page.keyframe, levels[-1][0].keyframe, first):
            levels.append([page])
    return levels


def _is_reduced(page: Any, above: Any, first: Any) -> bool:
    """Smaller than the level above, of the same shape and the same kind of pixels."""
    x = int(first.imagewidth) / int(page.imagewidth)
    y = int(first.imagelength) / int(page.imagelength)
    same = (page.dtype, page.samplesperpixel, page.photometric) == (
        first.dtype,
        first.samplesperpixel,
        first.photometric,
    )
    return bool(same and int(page.imagewidth) < int(above.imagewidth) and abs(x / y - 1) < 0.02)


def _ome_levels(tif: Any, path: Path) -> list[list[Any]]:
    """Pages of every level of the first image: its first z plane and time, one page or three channels."""
    levels = []
    for level in tif.series[0].levels:
        shape = dict(zip(level.axes, level.shape, strict=True))
        channels = 1 if shape.get("S", 1) > 1 else shape.get("C", 1)
        if channels not in (1, 3):
            raise UnsupportedFormat(
                f"it has {channels} channels; grey and RGB are read",
                remedy="Export the brightfield image as RGB",
                path=path,
            )
        after = level.axes[level.axes.index("C") + 1 :] if "C" in shape else ""
        stride = 1
        for axis in after:
            stride *= 1 if axis in "YXS" else shape[axis]
        pages = [level.pages[channel * stride] for channel in range(channels)]
        if any(page is None for page in pages):
            raise UnsupportedFormat("its pixels lie in other files", remedy="Save it as one OME-TIFF file", path=path)
        levels.append(pages)
    return levels
