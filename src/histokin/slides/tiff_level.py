"""One resolution of a TIFF, read tile by tile: only what a region touches is fetched and decoded."""

import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import UInt8

from histokin.errors import BadPixels, UnsupportedFormat
from histokin.slides.pixels import to_8bit, to_rgb
from histokin.slides.tiff_header import check_samples
from histokin.types import RGB

CACHE_BYTES = 64 << 20
MOST_CHUNK_BYTES = 512 << 20
_RAW_ROWS = 64


@final
class TileCache:
    """Decoded tiles, the least recently used dropped first. Never changes what is read, only how fast."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._held = 0
        self._tiles: OrderedDict[tuple[int, int, int], RGB] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int, int]) -> RGB | None:
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def put(self, key: tuple[int, int, int], tile: RGB) -> None:
        with self._lock:
            if key not in self._tiles:
                self._tiles[key] = tile
                self._held += tile.nbytes
            while self._held > self._limit and len(self._tiles) > 1:
                self._held -= self._tiles.popitem(last=False)[1].nbytes


@final
class Level:
    """One level: ``pages`` is one page, or three pages of one channel each (OME-TIFF with planes)."""

    def __init__(self, number: int, pages: list[Any], path: Path, fd: int, cache: TileCache) -> None:
        self._number, self._pages, self._path, self._fd, self._cache = number, pages, path, fd, cache
        key = self._key = pages[0].keyframe
        check_samples(key, path)
        self.width, self.height = int(key.imagewidth), int(key.imagelength)
        self._decoder = key.decode  # built now, as it looks into the file, which tifffile closes
        self._tables = [(page.jpegtables, key.jpegheader, page.dataoffsets, page.databytecounts) for page in pages]
        self._byteorder = key.parent.byteorder
        self._raw = bool(key.is_memmappable) and not key.is_tiled and int(key.planarconfig) == 1
        if self._raw:
            self._tile_width, self._tile_height = self.width, min(_RAW_ROWS, self.height)
        elif key.is_tiled:
            self._tile_width, self._tile_height = int(key.tilewidth), int(key.tilelength)
        else:
            self._tile_width = self.width
            self._tile_height = min(int(key.rowsperstrip or self.height), self.height)
        self._columns = -(-self.width // self._tile_width)
        self._rows = -(-self.height // self._tile_height)
        size = self._tile_width * self._tile_height * int(key.samplesperpixel) * key.dtype.itemsize
        if size > MOST_CHUNK_BYTES:
            raise UnsupportedFormat(
                f"one strip of it takes {size >> 20} MB to decode", remedy="Save it with tiles", path=path
            )

    def read(self, x: int, y: int, width: int, height: int) -> RGB:
        """Pixels of this level at ``x``, ``y`` in its own pixels; white outside."""
        out = np.full((height, width, 3), 255, np.uint8)
        left, top = max(0, x), max(0, y)
        right, bottom = min(self.width, x + width), min(self.height, y + height)
        if right <= left or bottom <= top:
            return out
        tw, th = self._tile_width, self._tile_height
        for row in range(top // th, -(-bottom // th)):
            for column in range(left // tw, -(-right // tw)):
                tile = self._tile(row, column)
                x0, x1 = max(left, column * tw), min(right, column * tw + tile.shape[1])
                y0, y1 = max(top, row * th), min(bottom, row * th + tile.shape[0])
                part = tile[y0 - row * th : y1 - row * th, x0 - column * tw : x1 - column * tw]
                out[y0 - y : y1 - y, x0 - x : x1 - x] = part
        return out

    def _tile(self, row: int, column: int) -> RGB:
        place = (self._number, row, column)
        tile = self._cache.get(place)
        if tile is None:
            try:
                tile = self._decode(row, column)
            except Exception as error:  # every codec has errors of its own
                raise self._bad(row, column, error) from None
            self._cache.put(place, tile)
        return tile

    def _decode(self, row: int, column: int) -> RGB:
        planes = int(self._key.samplesperpixel) if int(self._key.planarconfig) == 2 else 1
        index = row * self._columns + column
        parts = [
            self._raw_rows(page, row) if self._raw else self._chunk(page, index + plane * self._rows * self._columns)
            for page in range(len(self._pages))
            for plane in range(planes)
        ]
        found = [part for part in parts if part is not None]
        if not found:  # a tile the writer left out: nothing was scanned there
            height = min(self._tile_height, self.height - row * self._tile_height)
            return np.full((height, min(self._tile_width, self.width - column * self._tile_width), 3), 255, np.uint8)
        return self._rgb(np.concatenate(found, axis=2) if len(found) > 1 else found[0])

    def _chunk(self, page: int, index: int) -> np.ndarray | None:
        tables, header, offsets, counts = self._tables[page]
        offset, count = offsets[index], counts[index]
        if not count:
            return None
        data = os.pread(self._fd, count, offset)
        if len(data) != count:
            raise ValueError("the file ends before the tile does")
        if int(self._key.compression) == 7:
            _check_jpeg_end(data)
        decoded, _, _ = self._decoder(data, index, jpegtables=tables, jpegheader=header)
        if decoded is None:
            return None
        chunk: np.ndarray = decoded[0]
        return chunk

    def _raw_rows(self, page: int, row: int) -> np.ndarray:
        """Rows of an uncompressed page whose strips follow one another in the file."""
        dtype = np.dtype(self._byteorder + self._key.dtype.char)
        samples = int(self._key.samplesperpixel)
        stride = self.width * samples * dtype.itemsize
        rows = min(self._tile_height, self.height - row * self._tile_height)
        data = os.pread(self._fd, stride * rows, self._tables[page][2][0] + row * self._tile_height * stride)
        return np.frombuffer(data, dtype).reshape(rows, self.width, samples).astype(self._key.dtype)

    def _rgb(self, samples: np.ndarray) -> RGB:
        key = self._key
        bits = int(key.bitspersample[0] if isinstance(key.bitspersample, tuple) else key.bitspersample)
        if int(key.photometric) == 3 and key.colormap is not None:
            palette = np.asarray(key.colormap).T  # 16-bit entries
            palette = (palette >> 8).astype(np.uint8) if palette.max() > 255 else palette.astype(np.uint8)
            return np.ascontiguousarray(palette[samples[..., 0]])
        if samples.dtype.kind == "b" or bits != 8:
            samples = to_8bit(samples.astype(np.uint16), bits, _declared_maximum(key))
        byte: UInt8[np.ndarray, "h w c"] = samples
        extra = key.extrasamples
        return to_rgb(byte, int(extra[0]) if extra else None, invert=int(key.photometric) == 0)

    def _bad(self, row: int, column: int, error: Exception) -> BadPixels:
        x, y = column * self._tile_width, row * self._tile_height
        cause = " ".join(str(error).split()).rstrip(".")[:120] or type(error).__name__
        return BadPixels(
            f"the tile at {x},{y} of {self._tile_width} x {self._tile_height} pixels on the level of width "
            f"{self.width} does not decode ({cause})",
            remedy="Copy the file again from its source, or leave this region out",
            path=self._path,
        )


def _check_jpeg_end(data: bytes) -> None:
    """JPEG decoders fill up what is missing with grey and say nothing, so look for the end marker."""
    if b"\xff\xd9" not in data[-64:]:
        raise ValueError("the JPEG data of the tile break off")


def _declared_maximum(key: Any) -> int | None:
    tag = key.tags.get("MaxSampleValue")
    if tag is None:
        return None
    value = tag.value[0] if isinstance(tag.value, tuple) else tag.value
    return int(value) if isinstance(value, int) and value > 0 else None
