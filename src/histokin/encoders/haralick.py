"""Texture from gray-level co-occurrence, the same for an image and its quarter turns.

R. M. Haralick, K. Shanmugam, I. Dinstein, "Textural features for image classification", IEEE Transactions on Systems,
Man and Cybernetics SMC-3 (6), 1973: the first 13 of its 14 features, over four directions. A mean and a range over the
directions do not change when the image is turned by 90 degrees or mirrored.
"""

import numpy as np
from jaxtyping import Float64, UInt8

from histokin.errors import UsageError

NAMES = (
    "angular second moment",
    "contrast",
    "correlation",
    "sum of squares",
    "inverse difference moment",
    "sum average",
    "sum variance",
    "sum entropy",
    "entropy",
    "difference variance",
    "difference entropy",
    "information measure of correlation 1",
    "information measure of correlation 2",
)

STEPS = ((0, 1), (1, 1), (1, 0), (1, -1))
"""Rows down and columns right to the neighbor: 0, 135, 90 and 45 degrees."""


def co_occurrence(gray: UInt8[np.ndarray, "h w"], levels: int = 256) -> Float64[np.ndarray, "4 levels levels"]:
    """How often two gray levels are neighbors, at distance 1 in four directions; symmetric, each summing to 1.

    Raises
    ------
    UsageError
        when the image has fewer than 2 rows or columns, or a value of ``levels`` or more.
    """
    height, width = gray.shape
    if min(height, width) < 2:
        raise UsageError(f"texture of {height} x {width} pixels", remedy="Give at least 2 rows and 2 columns")
    if int(gray.max()) >= levels:
        raise UsageError(f"the gray level {int(gray.max())} where there are {levels}", remedy="Give more levels")
    wide = gray.astype(np.int64)
    tables = np.empty((len(STEPS), levels, levels))
    for i, (down, right) in enumerate(STEPS):
        here = wide[: height - down, max(0, -right) : width - max(0, right)]
        there = wide[down:, max(0, right) : width - max(0, -right)]
        counts = np.bincount((here * levels + there).ravel(), minlength=levels**2).reshape(levels, levels)
        both = counts + counts.T
        tables[i] = both / both.sum()
    return tables


def features(table: Float64[np.ndarray, "levels levels"]) -> Float64[np.ndarray, "13"]:
    """The 13 features of one table, as in :data:`NAMES`; logarithms to base 2.

    The sum variance is taken about the sum average, the difference variance about the mean difference. A correlation
    that is not defined (one gray level only) is 1, an information measure then 0.
    """
    levels = len(table)
    level = np.arange(levels, dtype=np.float64)
    i, j = np.meshgrid(level, level, indexing="ij")
    across = table.sum(axis=1)
    mean = float(level @ across)
    variance = float((level - mean) ** 2 @ across)
    sums = np.bincount((i + j).astype(np.int64).ravel(), table.ravel(), 2 * levels - 1)
    differences = np.bincount(np.abs(i - j).astype(np.int64).ravel(), table.ravel(), levels)
    total = np.arange(2 * levels - 1, dtype=np.float64)
    sum_average, mean_difference = float(total @ sums), float(level @ differences)
    covariance = float((table * (i - mean) * (j - mean)).sum())
    found = (
        float((table**2).sum()),
        float(level**2 @ differences),
        covariance / variance if variance > 0 else 1.0,
        variance,
        float((differences / (1 + level**2)).sum()),
        sum_average,
        float((total - sum_average) ** 2 @ sums),
        _entropy(sums),
        _entropy(table),
        float((level - mean_difference) ** 2 @ differences),
        _entropy(differences),
        *_information(table, across),
    )
    return np.array(found)


def rotation_invariant(gray: UInt8[np.ndarray, "h w"], levels: int = 256) -> Float64[np.ndarray, "26"]:
    """The mean of each feature over the four directions, then the range of each."""
    each = np.stack([features(table) for table in co_occurrence(gray, levels)])
    return np.concatenate([each.mean(axis=0), np.ptp(each, axis=0)])


def _entropy(shares: np.ndarray) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log2(some)).sum())


def _information(table: np.ndarray, across: np.ndarray) -> tuple[float, float]:
    """Information measures of correlation: both 0 where the levels of neighbors are independent."""
    joint, single = _entropy(table), _entropy(across)
    apart = 2 * single  # the entropy of the product of the two equal margins, as is the cross-entropy with it
    first = (joint - apart) / single if single > 0 else 0.0
    second = float(np.sqrt(max(0.0, 1 - np.exp(-2 * (apart - joint)))))
    return first, second
