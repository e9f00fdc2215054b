"""What a TIFF header says, and whether the file can keep it. Nothing is decoded here."""

import logging
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, Literal

import tifffile

from histokin.errors import HistokinError, ImplausibleDimensions, UnreadableFile, UnsupportedFormat
from histokin.slides.scale import PLAUSIBLE_UM, file_mpp, length_um, tag_mpp

LARGE_PX = 4096
"""A plain TIFF with a side longer than this, or with tiles, is a slide; otherwise it is a loose image."""

MOST_PAGES = 64
"""Pages whose structure is checked; a z-stack may hold thousands."""

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # its complaints become our errors

_DAMAGED = "It is truncated or damaged; copy it again from its source"
_VENDOR_SUFFIXES = (".svs", ".ndpi", ".scn", ".bif", ".qptiff")


def open_header(path: Path) -> Any:
    """The ``tifffile.TiffFile``, with at least one page and a sound structure.

    Raises
    ------
    UnreadableFile
        the directory does not parse, or pixel data lie beyond the end of the file (truncated).
    ImplausibleDimensions
        the number of tiles or strips does not fit the width and height.
    """
    try:
        tif = tifffile.TiffFile(path, _multifile=False)
    except Exception as error:  # tifffile raises many kinds for damaged headers
        raise _unreadable(error, path) from None
    try:
        if not len(tif.pages):
            raise UnreadableFile("the TIFF holds no page", remedy=_DAMAGED, path=path)
        for index in range(min(len(tif.pages), MOST_PAGES)):
            page = tif.pages[index]
            check_page(page, path, ndpi=bool(tif.is_ndpi))
            for sub in getattr(page, "pages", None) or ():
                check_page(sub, path)
    except HistokinError:
        tif.close()
        raise
    except Exception as error:
        tif.close()
        raise _unreadable(error, path) from None
    return tif


def check_page(page: Any, path: Path, *, ndpi: bool = False) -> None:
    """Refuse a page whose tiles do not fit its size or do not lie in the file."""
    key = page.keyframe
    width, height = int(key.imagewidth), int(key.imagelength)
    offsets, counts = page.dataoffsets, page.databytecounts
    expected = chunks_expected(key)
    claim = f"the header claims {width} x {height} pixels"
    if min(width, height) < 1 or not offsets or len(offsets) != len(counts):
        raise ImplausibleDimensions(f"{claim} but points to no pixel data", remedy=_DAMAGED, path=path)
    wrong = len(offsets) != expected if key.is_tiled else len(offsets) < expected
    if wrong and not ndpi:
        what = "tiles" if key.is_tiled else "strips"
        raise ImplausibleDimensions(
            f"{claim}, which takes {expected} {what}, but the file holds {len(offsets)}",
            remedy="The header is damaged; copy the file again from its source",
            path=path,
        )
    size = path.stat().st_size
    lost = sum(offset + count > size for offset, count in zip(offsets, counts, strict=True) if count)
    if lost:
        what = "tiles" if key.is_tiled else "strips"
        raise UnreadableFile(
            f"truncated: {lost} of {len(offsets)} {what} lie beyond the end of the file",
            remedy=_DAMAGED,
            path=path,
        )
    if int(key.compression) == 1 and not ndpi and sum(counts) * 8 < width * height * _bits(key) and all(counts):
        raise ImplausibleDimensions(
            f"{claim}, but the file holds only {sum(counts)} bytes of uncompressed pixels",
            remedy=_DAMAGED,
            path=path,
        )


def chunks_expected(key: Any) -> int:
    """Number of tiles or strips that the size of the page asks for."""
    tile_width = int(key.tilewidth) if key.is_tiled else int(key.imagewidth)
    tile_height = int(key.tilelength) if key.is_tiled else int(key.rowsperstrip or key.imagelength)
    if min(tile_width, tile_height) < 1:
        return -1
    planes = int(key.samplesperpixel) if int(key.planarconfig) == 2 else 1
    return -(-int(key.imagewidth) // tile_width) * -(-int(key.imagelength) // tile_height) * planes


def tiff_kind(path: Path) -> Literal["slide", "image"]:
    """A cheap look: is this TIFF a slide or a loose image? Raises as :func:`open_header`."""
    if path.suffix.lower() in _VENDOR_SUFFIXES:
        return "slide"
    with open_header(path) as tif:
        return "slide" if tif.is_ome or is_large(tif.pages[0]) or is_vendor(tif) else "image"


def is_large(page: Any) -> bool:
    return bool(page.is_tiled) or max(int(page.imagewidth), int(page.imagelength)) > LARGE_PX


def is_vendor(tif: Any) -> bool:
    """True for scanner formats that announce themselves in a TIFF with strips."""
    return bool(tif.is_svs or tif.is_ndpi or tif.is_scn or tif.is_bif or tif.is_philips)


def header_mpp(tif: Any) -> float | None:
    """Microns per pixel from OME-XML or the resolution tags, where plausible."""
    if tif.is_ome:
        return _ome_mpp(tif.ome_metadata or "")
    tags = tif.pages[0].tags
    unit = tags.get("ResolutionUnit")
    x, y = tags.get("XResolution"), tags.get("YResolution")
    return tag_mpp(x and x.value, y and y.value, int(unit.value) if unit else 2)


def _ome_mpp(xml: str) -> float | None:
    try:
        root = ET.fromstring(xml)
    except ET.ParseError:
        return None
    pixels = next((node for node in root.iter() if node.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return None
    sizes = [length_um(pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit")) for a in "XY"]
    mpp = file_mpp(*sizes)
    return mpp if mpp is not None and PLAUSIBLE_UM[0] <= mpp <= PLAUSIBLE_UM[1] else None


def check_samples(key: Any, path: Path) -> None:
    """Refuse pixels that have no agreed way to 8-bit RGB, or a compression without a decoder."""
    problem = ""
    if key.dtype is None or key.dtype.kind not in "bu" or key.dtype.itemsize > 2:
        problem = f"its pixels are {key.dtype}; unsigned integers of up to 16 bits are read"
    elif int(key.photometric) not in (0, 1, 2, 3, 6):
        problem = f"its color model is {key.photometric.name}; grey, RGB and palette are read"
    elif int(key.photometric) == 6 and int(key.compression) in (1, 5, 8, 32773, 32946, 50000):
        problem = "its pixels are YCbCr without JPEG compression"
    elif int(key.imagedepth) > 1:
        problem = "it is a volume"
    elif int(key.compression) not in tifffile.TIFF.DECOMPRESSORS:
        problem = f"no decoder for its compression ({key.compression})"
    if problem:
        raise UnsupportedFormat(problem, remedy="Export it as 8-bit RGB TIFF", path=path)


def _bits(key: Any) -> int:
    bits = key.bitspersample
    each = int(bits[0] if isinstance(bits, tuple) else bits)
    return each * int(key.samplesperpixel)


def _unreadable(error: Exception, path: Path) -> UnreadableFile:
    cause = " ".join(str(error).split()).rstrip(".")[:120] or type(error).__name__
    return UnreadableFile(f"the TIFF directory does not parse ({cause})", remedy=_DAMAGED, path=path)
