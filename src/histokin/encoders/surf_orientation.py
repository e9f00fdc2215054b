"""The dominant direction of SURF: the longest sum of Haar responses within 60 degrees.

Source: Bay, Ess, Tuytelaars, Van Gool, "Speeded-Up Robust Features (SURF)", CVIU 110, 2008, section 4.1. The sliding
window moves in steps of 5 degrees.
"""

import numpy as np
from jaxtyping import Float64, Int32, Int64

BINS = 72
WINDOW = BINS // 6
RADIUS = 6
SIGMA = 2.0


def orientations(
    responses: tuple[Int32[np.ndarray, "a b"], Int32[np.ndarray, "a b"]],
    rows: Int64[np.ndarray, "r"],
    columns: Int64[np.ndarray, "c"],
    scale: float,
) -> Float64[np.ndarray, "n"]:
    """Radians from the columns' direction towards the rows', row by row; 0 where nothing varies.

    ``responses`` are right minus left and lower minus upper, of boxes four ``scale`` wide.
    """
    grid = np.arange(-RADIUS, RADIUS + 1)
    v, u = (part.ravel() for part in np.meshgrid(grid, grid, indexing="ij"))
    inside = u**2 + v**2 < RADIUS**2
    u, v = u[inside], v[inside]
    count = len(rows) * len(columns)
    across, down = np.zeros((count, BINS)), np.zeros((count, BINS))
    at = np.arange(count)
    for dx, dy in zip(u.tolist(), v.tolist(), strict=True):
        weight = np.exp(-(dx**2 + dy**2) / (2 * SIGMA**2))
        place = np.ix_(rows + round(dy * scale), columns + round(dx * scale))
        right, lower = (response[place].ravel() for response in responses)
        # Half a bin aside, so that the frequent angles 0, 90, ... are not at the edge of one.
        which = np.floor(np.arctan2(lower, right) * (BINS / (2 * np.pi)) + 0.5).astype(np.int64) % BINS
        across[at, which] += weight * right
        down[at, which] += weight * lower
    x, y = _windowed(across), _windowed(down)
    best = (x**2 + y**2).argmax(axis=1)
    angles: Float64[np.ndarray, "n"] = np.arctan2(y[at, best], x[at, best])
    return angles


def _windowed(bins: Float64[np.ndarray, "n 72"]) -> Float64[np.ndarray, "n 72"]:
    """Sums of twelve neighboring bins, around the circle."""
    summed = np.cumsum(np.concatenate([bins, bins[:, : WINDOW - 1]], axis=1), axis=1)
    out = summed[:, WINDOW - 1 :].copy()
    out[:, 1:] -= summed[:, : BINS - 1]
    return out
