"""How well images of two modalities agree in a common space, and how well a map stands rotations."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32, Float64

Values = Float32[np.ndarray, "_ _ _"]
"""An image "h w c" of numbers."""


def correlation(one: Values, other: Values) -> float:
    """Pearson's correlation of two images of one shape, over all pixels and channels; 0 where one is constant."""
    a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 1e-12 else 0.0


def equivariance_score(run: Callable[[Values], Values], images: Sequence[Values]) -> float:
    """Mean correlation of ``run(turned image)``, turned back, with ``run(image)``: all images, three quarter turns.

    1 for a map that turns with its input. Images are square where ``run`` cannot take both orientations.
    """
    found = []
    for image in images:
        straight = run(image)
        for quarters in (1, 2, 3):
            turned = run(np.ascontiguousarray(np.rot90(image, quarters)))
            found.append(correlation(np.ascontiguousarray(np.rot90(turned, -quarters)), straight))
    return float(np.mean(found))


def tile_correlations(
    ones: Sequence[Values], others: Sequence[Values], side: int
) -> Float64[np.ndarray, "tiles tiles"]:
    """Correlation of every tile of ``ones`` with every tile of ``others``; the diagonal holds the same places.

    Images are cut into squares of ``side`` pixels; what is left over at the right and bottom is not used.
    """
    rows = [np.stack([tile for image in images for tile in _tiles(image, side)]) for images in (ones, others)]
    whitened = []
    for tiles in rows:
        centered = tiles - tiles.mean(axis=1, keepdims=True)
        norms = np.linalg.norm(centered, axis=1, keepdims=True)
        whitened.append(np.divide(centered, norms, out=np.zeros_like(centered), where=norms > 1e-9))
    result: Float64[np.ndarray, "tiles tiles"] = whitened[0] @ whitened[1].T
    return result


def tile_top1(correlations: Float64[np.ndarray, "tiles tiles"]) -> float:
    """Share of tiles whose best partner is the tile of the same place, both ways averaged; ties count as wrong."""
    right = np.diag(correlations)
    share = []
    for table in (correlations, correlations.T):
        others = table.copy()
        np.fill_diagonal(others, -np.inf)
        share.append(float(np.mean(right > others.max(axis=1)))) if len(table) > 1 else share.append(1.0)
    return float(np.mean(share))


def _tiles(image: Values, side: int) -> list[Float64[np.ndarray, "_"]]:
    height, width = image.shape[:2]
    return [
        image[top : top + side, left : left + side].ravel().astype(np.float64)
        for top in range(0, height - side + 1, side)
        for left in range(0, width - side + 1, side)
    ]
