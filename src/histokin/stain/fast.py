"""Loops over pixels in machine code (extra ``fast``): several times numpy, and other threads go on meanwhile.

Four pixels are twelve bytes: they are read as three words, worked on in registers, and written as three words.
Byte by byte the same loops run at a third of the speed. Only :meth:`ColorMap.compiled` comes here, and only for
enough pixels to repay getting ready (a twentieth of a second, once per process). Nothing is kept on disk.
"""

import threading
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8, UInt32

Pixels = UInt8[np.ndarray, "n 3"]
Bytes = UInt8[np.ndarray, "_"]

_building = threading.Lock()
_ready = threading.Event()


def installed() -> bool:
    """True when llvmlite can be found (it is not imported)."""
    return find_spec("llvmlite") is not None


def ready() -> bool:
    """True once the loops are compiled in this process."""
    return _ready.is_set()


def prepare() -> bool:
    """Compile the loops. False where LLVM is missing or cannot make code for this machine."""
    with _building:
        try:
            _loops()
        except (ImportError, OSError, RuntimeError):
            return False
        _ready.set()
        return True


def gather(source: Pixels, table: UInt32[np.ndarray, "16777216"], sink: Pixels) -> bool:
    """Each pixel looked up in a packed table (red in the lowest byte, of index and of value), into ``sink``.

    All arrays are contiguous. True when the highest byte of every value met was 255, which marks it as filled in.
    """
    loop = _loops().gather
    met = [loop(_at(part), _at(table), _at(out), len(part) // 12) for part, out in _whole_words(source, sink)]
    return all(each >> 24 == 255 for each in met)


def product(source: Pixels, tables: Float32[np.ndarray, "3 256 4"], offset: float | int, sink: Pixels) -> None:
    """``tables[0, r] * tables[1, g] * tables[2, b] + offset``, rounded half to even and clipped, into ``sink``.

    All arrays are contiguous. The fourth column of the tables is padding.
    """
    loop: Callable[..., None] = _loops().product
    for part, out in _whole_words(source, sink):
        loop(_at(part), _at(tables), _at(out), len(part) // 12, float(offset))


def _at(array: np.ndarray) -> int:
    """Its address. Raises for an array that is not contiguous: the loops would read elsewhere."""
    if not array.flags.c_contiguous:
        raise ValueError("the array is not contiguous")
    return int(array.ctypes.data)


def _whole_words(source: Pixels, sink: Pixels) -> Iterator[tuple[Bytes, Bytes]]:
    """Flat pieces that the loops can take: they leave out up to three pixels at the end, so those come again."""
    if source.shape != sink.shape:
        raise ValueError("source and sink differ in length")
    flat, out = source.reshape(-1), sink.reshape(-1)
    if len(source) >= 4:
        yield flat, out
        if len(source) % 4:
            yield flat[-12:], out[-12:]
    elif len(source):
        padded, answers = np.tile(flat, 4)[:12], np.empty(12, np.uint8)
        yield padded, answers
        out[:] = answers[: len(out)]


@cache
def _loops() -> Any:
    from histokin.stain.fast_words import Loops

    return Loops()
