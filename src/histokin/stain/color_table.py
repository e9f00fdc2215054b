"""A table of colors and their answers, filled in as colors are met.

Tissue shows a small part of all colors, and a slide's patches show it soon. So the cube of colors is cut into
small cubes, each computed when one of its colors is first looked up; the table says itself which are missing.
"""

import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import final

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8, UInt32

from histokin.stain import fast, table_cache
from histokin.types import RGB

COLORS = 1 << 24

SIDE = 4
"""Colors along an edge of the cubes that are computed together: what is near a color is likely to come."""

CUBES = (256 // SIDE) ** 3

CHUNK = 256
"""Cubes computed in one go: 16,384 colors, so that intermediate arrays stay in the processor's cache."""

STRIP = 1 << 14
"""Pixels looked up in one go without compiled loops."""

TABLE_PAYS = 1 << 22
"""Pixels from which a table is quicker than computing each pixel; fewer may hold hardly a color twice."""

CACHED_PAYS = 1 << 19
"""Pixels from which a table that is kept on disk is worth reading."""

WORTH_KEEPING = 1 << 20
"""Colors by which a table must have grown to be written to disk."""

Pixels = UInt8[np.ndarray, "n 3"]
Packed = UInt32[np.ndarray, "16777216"]


@final
class ColorTable:
    """Answers of ``colors``, packed: red in the lowest byte, of index and of value; 255 in the highest where known.

    May be shared between threads: entries are written whole, and always with the same value.

    Parameters
    ----------
    colors : computes an image; always gives one color the same answer.
    budget : how many colors may be computed ahead of need. When images show more than that, which stained
        tissue does not, the rest of them is computed pixel by pixel.
    packed : a table from before; what it lacks is filled in.
    """

    def __init__(self, colors: Callable[[RGB], RGB], budget: int = COLORS, packed: Packed | None = None) -> None:
        self._colors = colors
        self._left = budget
        self._lock = threading.Lock()
        self._looking = self._computing = 0.0
        self._computed = 0
        # Zeros cost nothing until they are written: memory is taken up as colors are met.
        self.packed: Packed = np.zeros(COLORS, np.uint32) if packed is None else packed
        self._known: Bool[np.ndarray, "cubes"] = np.zeros(CUBES, bool) if packed is None else _filled(packed)

    @classmethod
    def of(cls, colors: Callable[[RGB], RGB], key: str | None, expected_pixels: int) -> "ColorTable | None":
        """The table for so many pixels; None where none pays.

        With a ``key`` it begins with what was kept on disk, and what it has learned is kept when it is let go.
        """
        kept = None if key is None else table_cache.load(key)
        if kept is None and expected_pixels < TABLE_PAYS:
            return None
        table = cls(colors, COLORS if key is not None else min(expected_pixels, COLORS), kept)
        if key is not None:
            weakref.finalize(table, _keep, key, table.packed, table._known, int(table._known.sum()))
        return table

    def mapper(self, *, loops: bool) -> Callable[[Pixels, Pixels], None]:
        """What maps pixels into a second array, by the compiled loops (prepared before) or without."""
        look = fast.gather if loops else look_up

        def work(source: Pixels, sink: Pixels) -> None:
            if not look(source, self.packed, sink):
                if self._meet(source):
                    look(source, self.packed, sink)
                else:
                    sink[:] = self._colors(source[:, None])[:, 0]

        return work

    def fill(self, threads: int = 1) -> None:
        """Compute all that is missing."""
        missing = np.flatnonzero(~self._known)
        chunks = np.array_split(missing, max(1, -(-len(missing) // CHUNK)))
        if threads == 1:
            for chunk in chunks:
                self._compute(chunk)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(self._compute, chunks))
        self._known[missing] = True

    def _meet(self, source: Pixels) -> bool:
        """Compute the cubes that these pixels fall in; False where that would pass the budget.

        Once as much time went into finding out what is missing as computing all the rest would take, all the rest
        is computed: a rare color in every patch then costs no second look at the patch.
        """
        began = time.perf_counter()
        met = np.zeros(CUBES, bool)
        for start in range(0, len(source), STRIP):
            keys = _keys(source[start : start + STRIP])
            new = keys[self.packed.take(keys, mode="wrap") < 255 << 24]
            met[new >> 2 & 63 | new >> 4 & 63 << 6 | new >> 6 & 63 << 12] = True
        with self._lock:
            missing = np.flatnonzero(met & ~self._known)
            if len(missing) * SIDE**3 > self._left:
                return False
            self._looking += time.perf_counter() - began
            self._add(missing)
            rest = np.flatnonzero(~self._known)
            affordable = 0 < len(rest) * SIDE**3 <= self._left
            if affordable and self._looking * self._computed >= self._computing * len(rest):
                self._add(rest)
        return True

    def _add(self, cubes: Int64[np.ndarray, "k"]) -> None:
        """Compute these cubes, which are missing; the lock is held."""
        began = time.perf_counter()
        for start in range(0, len(cubes), CHUNK):
            self._compute(cubes[start : start + CHUNK])
        self._left -= len(cubes) * SIDE**3
        self._known[cubes] = True
        self._computed += len(cubes)
        self._computing += time.perf_counter() - began

    def _compute(self, cubes: Int64[np.ndarray, "k"]) -> None:
        import cv2

        edge, inner = 256 // SIDE, np.arange(SIDE)
        b, g, r = cubes // edge**2, cubes // edge % edge, cubes % edge
        image = np.empty((len(cubes), SIDE, SIDE, SIDE, 3), np.uint8)
        for channel, (place, axis) in enumerate(((r, 3), (g, 2), (b, 1))):
            levels = (place * SIDE)[:, None] + inner
            image[..., channel] = levels.reshape([len(cubes), *(SIDE if k == axis else 1 for k in (1, 2, 3))])
        answers = cv2.cvtColor(self._colors(image.reshape(-1, 1, 3)), cv2.COLOR_RGB2RGBA).view(np.uint32)
        cube = self.packed.reshape(edge, SIDE, edge, SIDE, edge, SIDE)
        cube[b, :, g, :, r, :] = answers.reshape(-1, SIDE, SIDE, SIDE)


def _filled(packed: Packed) -> Bool[np.ndarray, "cubes"]:
    """Which cubes of a table are there."""
    corners = packed.reshape(64, SIDE, 64, SIDE, 64, SIDE)[:, 0, :, 0, :, 0]
    return np.asarray(corners >> 24 == 255).reshape(-1)


def _keep(key: str, packed: Packed, known: Bool[np.ndarray, "cubes"], before: int) -> None:
    if (int(known.sum()) - before) * SIDE**3 >= WORTH_KEEPING:
        table_cache.store(key, packed)


def look_up(source: Pixels, table: Packed, sink: Pixels) -> bool:
    """Each pixel looked up in a packed table, without compiled loops; True when all were there."""
    import cv2

    complete = True
    for start in range(0, len(source), STRIP):
        found = table.take(_keys(source[start : start + STRIP]), mode="wrap")
        complete &= bool(found.min() >= 255 << 24)
        sink[start : start + STRIP] = cv2.cvtColor(found.view(np.uint8).reshape(-1, 1, 4), cv2.COLOR_RGBA2RGB)[:, 0]
    return complete


def _keys(pixels: Pixels) -> Int32[np.ndarray, "n"]:
    """Where each pixel's color stands in a table, counted from the table's end as numpy counts: the alpha of 255
    makes it, as a signed number, the color minus the table's length."""
    import cv2

    keys: Int32[np.ndarray, "n"] = cv2.cvtColor(pixels[:, None], cv2.COLOR_RGB2RGBA).view(np.int32).reshape(-1)
    return keys
