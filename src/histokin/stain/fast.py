"""Loops over pixels compiled by numba (extra ``fast``): several times numpy, and other threads go on meanwhile.

Only :meth:`ColorMap.compiled` comes here, and only for enough pixels to repay importing and compiling (about
a second, once per process). Nothing is cached on disk, so an installation may be read-only.
"""

import threading
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from inspect import unwrap
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8, UInt32

_building = threading.Lock()
_ready = threading.Event()


def installed() -> bool:
    """True when numba can be found (it is not imported)."""
    return find_spec("numba") is not None


def ready() -> bool:
    """True once the loops are compiled in this process."""
    return _ready.is_set()


def prepare() -> bool:
    """Compile the loops. False where numba is missing or does not work with this numpy."""
    with _building:
        try:
            gather, product = _kernels()
        except (ImportError, OSError):
            return False
        pixel, out = np.zeros(3, np.uint8), np.zeros(3, np.uint8)
        pixel.flags.writeable = False
        gather(pixel, np.zeros(1, np.uint32), out)
        product(pixel, np.zeros((3, 256, 3), np.float32), np.float32(0), out)
        _ready.set()
        return True


def gather(image: UInt8[np.ndarray, "h w 3"], table: UInt32[np.ndarray, "16777216"]) -> UInt8[np.ndarray, "h w 3"]:
    """Each pixel looked up in a packed table (red in the lowest byte, of index and of value)."""
    out = np.empty(image.shape, np.uint8)
    _kernels()[0](_read_only(image), table, out.reshape(-1))
    return out


def product(
    image: UInt8[np.ndarray, "h w 3"], tables: Float32[np.ndarray, "3 256 3"], offset: float
) -> UInt8[np.ndarray, "h w 3"]:
    """``tables[0, r] * tables[1, g] * tables[2, b] + offset`` per pixel, rounded half to even and clipped."""
    out = np.empty(image.shape, np.uint8)
    _kernels()[1](_read_only(image), tables, np.float32(offset), out.reshape(-1))
    return out


def _read_only(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "n"]:
    """A flat view that is always contiguous and read-only: numba compiles once per kind of array."""
    flat = np.ascontiguousarray(image).reshape(-1).view()
    flat.flags.writeable = False
    return flat


@cache
def _kernels() -> tuple[Callable[..., None], Callable[..., None]]:
    from numba import njit

    compiled: Any = njit(nogil=True)
    # The tests wrap every function in a type check, which numba cannot compile.
    return compiled(unwrap(_gather)), compiled(unwrap(_product))


def _gather(pixels: Any, table: Any, out: Any) -> None:
    for i in range(0, len(pixels), 3):
        key = np.uint32(pixels[i]) | np.uint32(pixels[i + 1]) << np.uint32(8)
        value = table[key | np.uint32(pixels[i + 2]) << np.uint32(16)]
        out[i] = value & np.uint32(255)
        out[i + 1] = (value >> np.uint32(8)) & np.uint32(255)
        out[i + 2] = (value >> np.uint32(16)) & np.uint32(255)


def _product(pixels: Any, tables: Any, offset: Any, out: Any) -> None:
    low, high = np.float32(0), np.float32(255)
    for i in range(0, len(pixels), 3):
        r, g, b = pixels[i], pixels[i + 1], pixels[i + 2]
        for c in range(3):
            light = tables[0, r, c] * tables[1, g, c] * tables[2, b, c] + offset
            out[i + c] = np.uint8(np.rint(max(low, min(light, high))))
