"""Occlusion: how the distance of two pictures changes when a part of one of them is covered.

The method is that of Zeiler and Fergus (Visualizing and understanding convolutional networks, ECCV 2014), with the
distance to another picture in the place of a class score. What covers is the picture's own blur (Fong and Vedaldi,
Interpretable explanations of black boxes by meaningful perturbation, ICCV 2017) rather than gray or the mean color:
blur takes the structure away and leaves the local color, so that no foreign color and no edge comes in, and covering
glass by glass changes nothing.
"""

from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float32, Float64

from histokin.archive.exact import Metric, exact_distances
from histokin.types import RGB, Vectors

CELLS = 7
"""Cells per side of a picture."""

WINDOW = 2
"""Side of the covered window, in cells; windows move on by one cell, so that neighbors overlap by half."""

WINDOWS = CELLS - WINDOW + 1
"""Windows per side."""

BLUR = 1.0
"""Standard deviation of the blur, in cells: half the window, so that nothing of its structure is left."""

One = Float32[np.ndarray, "1 d"]
Grid = Float64[np.ndarray, "windows windows"]
Cells = Float64[np.ndarray, "cells cells"]


def edges(length: int) -> list[int]:
    """Where the cells of a side of ``length`` pixels begin, and its end: ``CELLS + 1`` numbers."""
    return [int(edge) for edge in np.linspace(0, length, CELLS + 1).round()]


def blurred(image: RGB) -> RGB:
    """What covers: the picture under a Gaussian as wide as a cell, mirrored at the edges."""
    sigma = BLUR * max(image.shape[:2]) / CELLS
    cover: RGB = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return cover


def occluded(image: RGB) -> list[RGB]:
    """Copies of ``image`` with one window each covered, row by row: ``WINDOWS`` x ``WINDOWS`` of them."""
    cover = blurred(image)
    height, width = image.shape[:2]
    downs, acrosses = edges(height), edges(width)
    copies: list[RGB] = []
    for top, bottom in zip(downs, downs[WINDOW:], strict=False):
        for left, right in zip(acrosses, acrosses[WINDOW:], strict=False):
            copy = image.copy()
            copy[top:bottom, left:right] = cover[top:bottom, left:right]
            copies.append(copy)
    return copies


def changes(covered: Vectors, whole: One, other: One, metric: Metric) -> Grid:
    """Change of the distance to ``other`` with each window covered: d(covered, other) - d(whole, other).

    Positive where covering takes the two apart, so where what is covered made them alike; negative where covering
    brings them together, so where what is covered set them apart.

    Parameters
    ----------
    covered : vectors of :func:`occluded`, in its order.
    whole, other : one row each: the vector of the picture itself, and of the picture it is compared with.
    """
    rows = np.arange(len(covered))
    apart = exact_distances(covered, rows, other[0], metric)
    before = exact_distances(whole, np.zeros(1, np.int64), other[0], metric)
    grid: Grid = (apart - before).reshape(WINDOWS, WINDOWS)
    return grid


def cell_means(grid: Grid) -> Cells:
    """One value per cell: the mean over the windows that cover it."""
    total, count = np.zeros((CELLS, CELLS)), np.zeros((CELLS, CELLS))
    for row in range(WINDOWS):
        for column in range(WINDOWS):
            total[row : row + WINDOW, column : column + WINDOW] += grid[row, column]
            count[row : row + WINDOW, column : column + WINDOW] += 1
    means: Cells = total / count
    return means


def spread_out(cells: Cells, height: int, width: int) -> Float64[np.ndarray, "height width"]:
    """The cells as a picture of ``height`` x ``width`` pixels, each cell flat: nothing finer was measured."""
    out = np.empty((height, width))
    for row, (top, bottom) in enumerate(pairwise(edges(height))):
        for column, (left, right) in enumerate(pairwise(edges(width))):
            out[top:bottom, left:right] = cells[row, column]
    return out
