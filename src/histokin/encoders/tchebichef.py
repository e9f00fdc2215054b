"""Discrete Tchebichef moments: how much an image is like each product of two polynomials.

R. Mukundan, S. H. Ong, P. A. Lee, "Image analysis by Tchebichef moments", IEEE Transactions on Image Processing 10 (9),
2001, in the orthonormal form with its three-term recurrence (R. Mukundan, "Some computational aspects of discrete
orthonormal moments", IEEE Transactions on Image Processing 13 (8), 2004).
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float64

from histokin.errors import UsageError


def polynomials(count: int, size: int) -> Float64[np.ndarray, "count size"]:
    """The first ``count`` orthonormal Tchebichef polynomials on 0 to ``size - 1``, one a row.

    Their products with each other sum to the identity matrix (to 1e-14 for a few dozen polynomials; the recurrence
    loses accuracy in the highest orders of long ones).

    Raises
    ------
    UsageError
        for more polynomials than points, or none.
    """
    if not 1 <= count <= size:
        raise UsageError(f"{count} polynomials on {size} points", remedy="Give 1 to as many as there are points")
    x = np.arange(size, dtype=np.float64)
    rows = np.empty((count, size))
    rows[0] = 1 / np.sqrt(size)
    if count > 1:
        rows[1] = (2 * x + 1 - size) * np.sqrt(3 / (size * (size**2 - 1.0)))
    for n in range(2, count):
        slope = np.sqrt((4 * n**2 - 1) / (size**2 - n**2)) / n
        ratio = (size**2 - (n - 1) ** 2) / (size**2 - n**2)
        back = -(n - 1) / n * np.sqrt((2 * n + 1) / (2 * n - 3)) * np.sqrt(ratio)
        rows[n] = slope * (2 * x + 1 - size) * rows[n - 1] + back * rows[n - 2]
    return rows


def moments(gray: Float[np.ndarray, "h w"], count: int) -> Float64[np.ndarray, "count count"]:
    """All moments below order ``count`` along each axis; entry [q, p] weighs t_p of the column and t_q of the row.

    Raises
    ------
    UsageError
        when the image has fewer rows or columns than ``count``.
    """
    height, width = gray.shape
    down, across = _kept(count, height), _kept(count, width)
    found: Float64[np.ndarray, "count count"] = down @ gray.astype(np.float64) @ across.T
    return found


def low_moments(gray: Float[np.ndarray, "h w"], order: int) -> Float64[np.ndarray, "n"]:
    """Moments with p + q up to ``order``, by p + q and then by p: (order + 1)(order + 2) / 2 values."""
    table = moments(gray, order + 1)
    return np.array([table[total - p, p] for total in range(order + 1) for p in range(total + 1)])


@lru_cache(maxsize=64)
def _kept(count: int, size: int) -> Float64[np.ndarray, "count size"]:
    return polynomials(count, size)
