"""A network over an image: mirrored to sides it can take and cut back; large images in overlapping tiles."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

TILE = 1024
"""Side in pixels up to which an image is mapped as a whole (a multiple of every network's)."""

OVERLAP = 128
"""Pixels that neighboring tiles share at least; their answers are blended there."""

Values = Float32[np.ndarray, "_ _ _"]
Run = Callable[[Float32[np.ndarray, "n _ h w"]], Float32[np.ndarray, "n _ h w"]]


def pad_to(values: Values, multiple: int, margin: int = 0) -> tuple[Values, tuple[int, int]]:
    """Mirrored on all sides, evenly, by ``margin`` at least, so that both sides are multiples.

    Returns the larger image, and how much was added at the top and left.

    The edge itself is not repeated. Where it is odd, the bottom and right get the one pixel more.
    """
    height, width = values.shape[:2]
    rows, columns = (2 * margin + -(side + 2 * margin) % multiple for side in (height, width))
    before = (rows // 2, columns // 2)
    widths = ((before[0], rows - before[0]), (before[1], columns - before[1]), (0, 0))
    return np.pad(values, widths, mode="reflect"), before


def unpad(values: Values, before: tuple[int, int], height: int, width: int) -> Values:
    """What :func:`pad_to` was given, out of what it returned."""
    return values[before[0] : before[0] + height, before[1] : before[1] + width]


def run_on(values: Values, multiple: int, run: Run, margin: int = 0) -> Values:
    """``run`` on an image "h w c" of any size: the result has the same h and w."""
    height, width = values.shape[:2]
    rows, columns = _starts(height), _starts(width)
    if len(rows) == len(columns) == 1:
        return _whole(values, multiple, run, margin)
    down, across = _shares(height, rows), _shares(width, columns)
    out: Values | None = None
    for j, top in enumerate(rows):
        for i, left in enumerate(columns):
            made = _whole(values[top : top + TILE, left : left + TILE], multiple, run, margin)
            if out is None:
                out = np.zeros((height, width, made.shape[2]), np.float32)
            share = down[j][:, None, None] * across[i][None, :, None]
            out[top : top + made.shape[0], left : left + made.shape[1]] += made * share
    assert out is not None
    return out


def _whole(values: Values, multiple: int, run: Run, margin: int) -> Values:
    padded, before = pad_to(values, multiple, margin)
    made = run(np.ascontiguousarray(padded.transpose(2, 0, 1)[None]))[0].transpose(1, 2, 0)
    return np.ascontiguousarray(unpad(made, before, *values.shape[:2]))


def _starts(length: int) -> list[int]:
    """Where tiles begin along one side: evenly spread, so that all have the full extent."""
    if length <= TILE:
        return [0]
    count = -(-(length - OVERLAP) // (TILE - OVERLAP))
    return [int(start) for start in np.linspace(0, length - TILE, count).round()]


def _shares(length: int, starts: list[int]) -> Float32[np.ndarray, "tiles extent"]:
    """How much each tile counts at each of its pixels along one side: 1 in all, fading out towards its ends."""
    extent = min(TILE, length)
    ramp = np.minimum(np.arange(extent) + 1, np.arange(extent, 0, -1)).clip(max=OVERLAP).astype(np.float64)
    total = np.zeros(length)
    for start in starts:
        total[start : start + extent] += ramp
    return np.stack([ramp / total[start : start + extent] for start in starts]).astype(np.float32)
