"""The engine of pixel-wise maps: any function of one RGB triple, in its quickest exact form.

A fitted normalizer that looks at one pixel at a time is a function of 16.7 million colors. What is linear in
optical density is a product of nine tables of 256 numbers; anything else can be tabulated as a whole and
looked up. All forms of one map give the same bytes, so an image mapped alone equals the same image mapped
among thousands. Whole-RGB tables were used for stain before: Bejnordi et al., IEEE Trans Med Imaging 2016.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float32, UInt32

from histokin.stain import fast
from histokin.stain.pixels import rgb
from histokin.types import RGB, Image, ImageMap, Status

BLOCK = 1 << 14
"""Pixels worked on at a time: intermediate arrays stay in the processor's cache."""

COLORS = 1 << 24

TABLE_PAYS = 2 * COLORS
"""Pixels from which a table of all colors is quicker than computing each pixel, with room to spare."""

NUMBA_PAYS = 1 << 28
"""Pixels from which importing and compiling the numba loops is repaid, where that has not happened yet."""


@final
@dataclass(frozen=True, eq=False)
class Product:
    """Nine tables: output channel c is ``table[0, r, c] * table[1, g, c] * table[2, b, c] + offset``."""

    tables: Float32[np.ndarray, "3 256 3"]
    offset: float


class ColorMap(ImageMap):
    """A map that treats every pixel by its color alone, whatever is around it.

    A subclass says how to compute colors (:meth:`colors`), always giving one color the same answer.
    """

    @abstractmethod
    def colors(self, image: RGB) -> RGB:
        """The mapped image, computed pixel by pixel: a new array."""

    @property
    def product(self) -> Product | None:
        """The map as a product of tables, where it has that form."""
        return None

    def apply(self, image: Image) -> tuple[Image, Status]:
        """The mapped image and the status of the fit. Raises :class:`UsageError` unless ``uint8``, "h w 3"."""
        return self.colors(rgb(image)), self.status

    def compiled(self, expected_pixels: int) -> ImageMap:
        """The same map in the quickest form for about ``expected_pixels`` pixels in all; same bytes out.

        Below the pixel counts that repay preparing another form, this map itself. A form takes at most 64 MB,
        may be shared between threads, and describes itself (:meth:`to_dict`) as this map does.
        """
        numba = fast.installed() and (fast.ready() or expected_pixels >= NUMBA_PAYS)
        product = self.product
        if product is not None:
            if numba and expected_pixels >= BLOCK and fast.prepare():
                return Compiled(self, lambda image: fast.product(image, product.tables, product.offset))
            return self
        if expected_pixels < TABLE_PAYS:
            return self
        table = packed(self.colors)
        if numba and fast.prepare():
            return Compiled(self, lambda image: fast.gather(image, table))
        return Compiled(self, lambda image: look_up(image, table))


@final
@dataclass(frozen=True, eq=False)
class Compiled(ImageMap):
    """A color map in a prepared form. Everything but the speed is the original's."""

    original: ColorMap
    run: Callable[[RGB], RGB]

    @property
    def space(self) -> str:
        return self.original.space

    @property
    def status(self) -> Status:
        return self.original.status

    def apply(self, image: Image) -> tuple[Image, Status]:
        return self.run(rgb(image)), self.original.status

    def to_dict(self) -> dict[str, Any]:
        return self.original.to_dict()


def by_blocks(image: RGB, work: Callable[[RGB], RGB]) -> RGB:
    """``work`` on strips of at most :data:`BLOCK` pixels, each given as "n 1 3"; the image's shape comes back."""
    out = np.empty(image.shape, np.uint8)
    source, sink = np.ascontiguousarray(image).reshape(-1, 1, 3), out.reshape(-1, 1, 3)
    for start in range(0, len(source), BLOCK):
        sink[start : start + BLOCK] = work(source[start : start + BLOCK])
    return out


def packed(colors: Callable[[RGB], RGB]) -> UInt32[np.ndarray, "16777216"]:
    """The answer to every color, 64 MB: red in the lowest byte, of index and of value."""
    import cv2

    table = np.empty(COLORS, np.uint32)
    square = np.empty((256, 256, 3), np.uint8)
    square[..., 0] = np.arange(256)[None, :]
    square[..., 1] = np.arange(256)[:, None]
    for blue in range(256):
        square[..., 2] = blue
        answers = cv2.cvtColor(colors(square), cv2.COLOR_RGB2RGBA)
        table[blue << 16 : (blue + 1) << 16] = answers.view(np.uint32).reshape(-1)
    return table


def look_up(image: RGB, table: UInt32[np.ndarray, "16777216"]) -> RGB:
    """Each pixel looked up in a packed table, without numba."""
    import cv2

    def strip(pixels: RGB) -> RGB:
        # The alpha of 255 makes the index, as a signed number, the color minus the length of the table,
        # which numpy counts from the end: the right place.
        keys = cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA).view(np.int32).reshape(-1)
        found = table.take(keys, mode="wrap").view(np.uint8).reshape(-1, 1, 4)
        answer: RGB = cv2.cvtColor(found, cv2.COLOR_RGBA2RGB)
        return answer

    return by_blocks(image, strip)
