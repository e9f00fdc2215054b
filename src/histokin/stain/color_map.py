"""The engine of pixel-wise maps: any function of one RGB triple, in its quickest exact form.

A fitted normalizer that looks at one pixel at a time is a function of 16.7 million colors. What is linear in
optical density is a product of nine tables of 256 numbers; anything else can be tabulated and looked up. All
forms of one map give the same bytes, so an image mapped alone equals the same image mapped among thousands.
Whole-RGB tables were used for stain before: Bejnordi et al., IEEE Trans Med Imaging 2016.
"""

from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float32, UInt8

from histokin.stain import fast
from histokin.stain.color_table import CACHED_PAYS, TABLE_PAYS, ColorTable, Packed
from histokin.stain.pixels import rgb
from histokin.types import RGB, Image, ImageMap, Status

BLOCK = 1 << 14
"""Pixels worked on at a time: intermediate arrays stay in the processor's cache."""

LOOPS_PAY = 1 << 24
"""Pixels from which compiling the loops is repaid, where that has not happened yet."""

STRIP_PAYS = 1 << 17
"""Pixels that a thread must have to do: for fewer it is not worth starting."""

Pixels = UInt8[np.ndarray, "n 3"]
Work = Callable[[Pixels, Pixels], None]
"""Maps the pixels of its first argument into its second."""


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

    @property
    def cache_key(self) -> str | None:
        """What names this map's answers for good (a digest of trained weights), where its table is worth keeping
        on disk; None where maps come and go (a fit of one slide)."""
        return None

    def apply(self, image: Image) -> tuple[Image, Status]:
        """The mapped image and the status of the fit. Raises :class:`UsageError` unless ``uint8``, "h w 3"."""
        return self.colors(rgb(image)), self.status

    def compiled(self, expected_pixels: int, threads: int = 1) -> ImageMap:
        """The same map in the quickest form for about ``expected_pixels`` pixels in all; same bytes out.

        Below the pixel counts that repay preparing another form, this map itself. A form takes at most 64 MB,
        may be shared between threads, and describes itself (:meth:`to_dict`) as this map does.

        Parameters
        ----------
        threads : how many strips of one large image are mapped at a time. Leave it at 1 where images are
            mapped by several threads already.
        """
        work = self._prepared(expected_pixels)
        if work is None:
            if threads == 1 or expected_pixels < 2 * STRIP_PAYS:
                return self
            work = self._plain
        return Compiled(self, work, threads)

    def _prepared(self, expected_pixels: int) -> Work | None:
        product = self.product
        if product is not None:
            if expected_pixels < BLOCK or not _loops(expected_pixels):
                return None
            tables = np.pad(product.tables, ((0, 0), (0, 0), (0, 1)))
            return lambda source, sink: fast.product(source, tables, product.offset, sink)
        key = self.cache_key
        if expected_pixels < (TABLE_PAYS if key is None else CACHED_PAYS):
            return None
        table = ColorTable.of(self.colors, key, expected_pixels)
        return table and table.mapper(loops=_loops(expected_pixels))

    def _plain(self, source: Pixels, sink: Pixels) -> None:
        sink[:] = self.colors(source[:, None])[:, 0]


def _loops(expected_pixels: int) -> bool:
    """Prepare the loops where that pays."""
    return fast.installed() and (fast.ready() or expected_pixels >= LOOPS_PAY) and fast.prepare()


@final
@dataclass(frozen=True, eq=False)
class Compiled(ImageMap):
    """A color map in a prepared form. Everything but the speed is the original's."""

    original: ColorMap
    work: Work
    threads: int = 1

    @property
    def space(self) -> str:
        return self.original.space

    @property
    def status(self) -> Status:
        return self.original.status

    def apply(self, image: Image) -> tuple[Image, Status]:
        checked = rgb(image)
        out = np.empty(checked.shape, np.uint8)
        source, sink = np.ascontiguousarray(checked).reshape(-1, 3), out.reshape(-1, 3)
        strips = min(self.threads, len(source) // STRIP_PAYS)
        if strips <= 1:
            self.work(source, sink)
        else:
            with ThreadPoolExecutor(strips) as pool:
                list(pool.map(self.work, np.array_split(source, strips), np.array_split(sink, strips)))
        return out, self.original.status

    def to_dict(self) -> dict[str, Any]:
        return self.original.to_dict()


def by_blocks(image: RGB, work: Callable[[RGB], RGB]) -> RGB:
    """``work`` on strips of at most :data:`BLOCK` pixels, each given as "n 1 3"; the image's shape comes back."""
    out = np.empty(image.shape, np.uint8)
    source, sink = np.ascontiguousarray(image).reshape(-1, 1, 3), out.reshape(-1, 1, 3)
    for start in range(0, len(source), BLOCK):
        sink[start : start + BLOCK] = work(source[start : start + BLOCK])
    return out


def packed(colors: Callable[[RGB], RGB], threads: int = 1) -> Packed:
    """The answer to every color, 64 MB: red in the lowest byte, of index and of value; 255 in the highest."""
    table = ColorTable(colors)
    table.fill(threads)
    return table.packed
