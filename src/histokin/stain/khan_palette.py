"""A palette of colors from an octree, and the histogram of an image over it."""

import heapq
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float64, Int64, UInt8

BITS = 5
"""Depth of the tree: the leading bits of each channel that tell colors apart."""

SIDE = 1 << BITS

Cells = Int64[np.ndarray, "n"]


@final
@dataclass(frozen=True, eq=False)
class Palette:
    """Boxes of the color cube, each a node of an octree."""

    box: Int64[np.ndarray, "32768"]
    """Which box each of the 32x32x32 cells of the cube belongs to."""

    size: int

    def histogram(self, pixels: UInt8[np.ndarray, "n 3"]) -> Float64[np.ndarray, "size"]:
        """Share of the pixels in each box; sums to 1 unless there are none."""
        counts = np.bincount(self.box[cells(pixels)], minlength=self.size).astype(np.float64)
        shares: Float64[np.ndarray, "size"] = counts / max(len(pixels), 1)
        return shares


def cells(pixels: UInt8[np.ndarray, "n 3"]) -> Cells:
    """Index of each pixel's cell, its bits interleaved, so that a node of the octree is a range of cells."""
    spread = np.array([sum((v >> k & 1) << 3 * k for k in range(BITS)) for v in range(SIDE)], np.int64)
    r, g, b = (spread[pixels[:, i] >> (8 - BITS)] for i in range(3))
    indices: Cells = r << 2 | g << 1 | b
    return indices


def octree(pixels: UInt8[np.ndarray, "n 3"], size: int = 256) -> Palette:
    """The palette of at most ``size`` boxes: the fullest box is split into its occupied octants while they fit.

    Cells without training pixels go to the occupied box whose mean color is nearest.
    """
    counts = np.bincount(cells(pixels), minlength=SIDE**3)
    total = np.concatenate([[0], np.cumsum(counts)])
    heap = [(-int(total[-1]), 0, SIDE**3)]
    done: list[tuple[int, int]] = []
    while heap:
        _, start, length = heapq.heappop(heap)
        step = length // 8
        octants = [] if length == 1 else [(start + k * step, step) for k in range(8)]
        filled = [(a, n) for a, n in octants if total[a + n] > total[a]]
        if not filled or len(done) + len(heap) + len(filled) > size:
            done.append((start, length))
            continue
        for a, n in filled:
            heapq.heappush(heap, (-int(total[a + n] - total[a]), a, n))
    return _with_empty_cells(sorted(done), counts)


def _with_empty_cells(boxes: list[tuple[int, int]], counts: Int64[np.ndarray, "32768"]) -> Palette:
    color = _cell_colors()
    box = np.full(SIDE**3, -1, np.int64)
    means = np.empty((len(boxes), 3))
    for i, (start, length) in enumerate(boxes):
        box[start : start + length] = i
        weight = counts[start : start + length, None]
        means[i] = (color[start : start + length] * weight).sum(axis=0) / max(weight.sum(), 1)
    (empty,) = np.nonzero(box < 0)
    distance = (means**2).sum(axis=1) - 2 * color[empty] @ means.T
    box[empty] = distance.argmin(axis=1)
    return Palette(box, len(boxes))


def _cell_colors() -> Float64[np.ndarray, "32768 3"]:
    """Color at the middle of every cell, in the order of :func:`cells`."""
    levels = np.arange(SIDE, dtype=np.uint8) << (8 - BITS)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    out = np.empty((SIDE**3, 3))
    out[cells(grid)] = grid + (1 << (7 - BITS))
    return out
