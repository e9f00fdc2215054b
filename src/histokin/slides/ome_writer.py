"""Writing a slide: a pyramidal OME-TIFF with JPEG tiles, streamed, in place only once it is whole."""

import glob
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from histokin.errors import UsageError
from histokin.types import RGB

TILE = 512
SHRINK = 4
"""Each level is a quarter of the one above on either side, as scanners do it."""

SMALLEST = 1024
"""Levels go on until one fits into a square of this many pixels."""

QUALITY = 90

ENDING = ".ome.tif"

STALE_S = 3600.0
"""Seconds without a write after which an unfinished file belongs to nobody."""


def tile_places(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, width and height of every tile of level 0, row by row; those at the edges are smaller."""
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            yield x, y, min(TILE, width - x), min(TILE, height - y)


def write_pyramid(
    path: Path,
    tiles: Iterator[UInt8[np.ndarray, "_ _ 3"]],
    *,
    width: int,
    height: int,
    mpp: float,
    description: str,
    quality: int = QUALITY,
) -> None:
    """Write the tiles of :func:`tile_places`, in that order, and every smaller level.

    Memory holds a few tiles; the level below the first lies in an unnamed file beside ``path`` meanwhile (a
    sixteenth of the slide's raw size). ``description`` goes into the file's OME-XML and comes back from
    :func:`description_of`. A run that ends early leaves nothing under the final name.

    Raises
    ------
    UsageError
        when the folder cannot be written to, or the disk is full.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _forget_killed(path)
    except OSError as error:
        raise _refused(path, error) from None
    try:
        with tempfile.TemporaryFile(dir=path.parent) as scratch:
            _write(partial, tiles, width, height, mpp, description, quality, scratch)
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(path)
    except OSError as error:
        raise _refused(path, error) from None
    finally:
        partial.unlink(missing_ok=True)


def _forget_killed(path: Path) -> None:
    """Remove what runs that were killed left unfinished: a run at work writes more often than this."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if left.stat().st_mtime < time.time() - STALE_S:
            left.unlink(missing_ok=True)


def _refused(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot be written ({error.strerror or error})",
        remedy="Choose another --out, or make room on the disk",
        path=path,
    )


def description_of(path: Path) -> str | None:
    """What :func:`write_pyramid` was told to note in this file, or None for any other file, or none."""
    import xml.etree.ElementTree as ET

    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            image = ET.fromstring(tif.ome_metadata or "").find("{*}Image/{*}Description")
    except (OSError, ET.ParseError, tifffile.TiffFileError, ValueError):
        return None
    return None if image is None else image.text


def _write(
    path: Path,
    tiles: Iterator[RGB],
    width: int,
    height: int,
    mpp: float,
    description: str,
    quality: int,
    scratch: Any,
) -> None:
    import tifffile

    sizes = _smaller(width, height)
    options: dict[str, Any] = {
        "tile": (TILE, TILE),
        "photometric": "rgb",  # the encoder makes it YCbCr, and tifffile says so in the file
        "compression": "jpeg",
        "compressionargs": {"level": quality},
        "resolutionunit": "CENTIMETER",
        "dtype": np.uint8,
        "software": "histokin",
    }
    metadata: dict[str, object] = {"axes": "YXS", "Description": description}
    metadata |= {f"PhysicalSize{axis}": mpp for axis in "XY"} | {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    below: RGB = np.empty((0, 0, 3), np.uint8)
    if sizes:
        below = np.memmap(scratch, np.uint8, "w+", shape=(sizes[0][1], sizes[0][0], 3))
        tiles = _shrunk_aside(tiles, width, height, below)
    with tifffile.TiffWriter(path, ome=True, bigtiff=True) as writer:
        writer.write(
            map(_filled, tiles),
            shape=(height, width, 3),
            subifds=len(sizes),
            metadata=metadata,
            resolution=(1e4 / mpp, 1e4 / mpp),
            **options,
        )
        for number, (w, h) in enumerate(sizes):
            if number:
                below = _shrunk(below, w, h)
            scale = 1e4 / (mpp * SHRINK ** (number + 1))
            cut = (below[y : y + th, x : x + tw] for x, y, tw, th in tile_places(w, h))
            writer.write(
                map(_filled, cut), shape=(h, w, 3), subfiletype=1, resolution=(scale, scale), metadata=None, **options
            )


def _filled(tile: RGB) -> UInt8[np.ndarray, "_ _ 3"]:
    """A tile at the edge made full by repeating its last pixels: black there would bleed into it through JPEG."""
    import cv2

    height, width = tile.shape[:2]
    if (height, width) == (TILE, TILE):
        return tile
    full: UInt8[np.ndarray, "_ _ 3"] = cv2.copyMakeBorder(
        np.ascontiguousarray(tile), 0, TILE - height, 0, TILE - width, cv2.BORDER_REPLICATE
    )
    return full


def _smaller(width: int, height: int) -> list[tuple[int, int]]:
    """Widths and heights of the levels under the first."""
    sizes: list[tuple[int, int]] = []
    while max(width, height) > SMALLEST:
        width, height = -(-width // SHRINK), -(-height // SHRINK)
        sizes.append((width, height))
    return sizes


def _shrunk_aside(tiles: Iterator[RGB], width: int, height: int, below: RGB) -> Iterator[RGB]:
    """The tiles as they come, each also shrunk into its place in the level below."""
    for tile, (x, y, w, h) in zip(tiles, tile_places(width, height), strict=True):
        left, top = x // SHRINK, y // SHRINK
        right, bottom = -(-(x + w) // SHRINK), -(-(y + h) // SHRINK)
        below[top:bottom, left:right] = _shrunk(tile, right - left, bottom - top)
        yield tile


def _shrunk(image: RGB, width: int, height: int) -> UInt8[np.ndarray, "height width 3"]:
    """Averaged over squares of ``SHRINK``, the last row and column repeated to fill theirs; in bounded memory."""
    import cv2

    out = np.empty((height, width, 3), np.uint8)
    step = TILE
    for top in range(0, height, step):
        strip = np.ascontiguousarray(image[top * SHRINK : (top + step) * SHRINK])
        rows = min(step, height - top)
        below, right = rows * SHRINK - strip.shape[0], width * SHRINK - strip.shape[1]
        strip = cv2.copyMakeBorder(strip, 0, below, 0, right, cv2.BORDER_REPLICATE)
        out[top : top + rows] = cv2.resize(strip, (width, rows), interpolation=cv2.INTER_AREA)
    return out
