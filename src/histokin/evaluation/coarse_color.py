"""How far color tells classes apart at large, beside how far it finds the nearest picture.

A class whose pictures differ in color from other classes everywhere (a radiograph of a hand, of a head) is told by a
straight line through color space. Where only the nearest neighbor tells it, many small clusters do: slides, each with
its own staining and its own label.
"""

import numpy as np
from jaxtyping import Float32, Float64, Int, Shaped

from histokin.types import Vectors

COMPONENTS = 10
FOLDS = 5
RIDGE = 1e-6

Asked = tuple[Float32[np.ndarray, "q d"], Shaped[np.ndarray, "q"]]


def nearest_accuracy(colors: Vectors, labels: Shaped[np.ndarray, "n"], asked: Asked | None = None) -> float:
    """Share of pictures whose nearest other one has their label (nearest of ``colors``, where ``asked`` ask)."""
    queries, truth = (colors, labels) if asked is None else asked
    if len(colors) < 2 or not len(queries):
        return 0.0
    right = 0
    squares = (colors.astype(np.float64) ** 2).sum(axis=1)
    for start in range(0, len(queries), 1024):
        part = queries[start : start + 1024].astype(np.float64)
        distance = squares[None, :] - 2 * part @ colors.T.astype(np.float64)
        if asked is None:
            here = np.arange(len(part))
            distance[here, start + here] = np.inf
        right += int((labels[distance.argmin(axis=1)] == truth[start : start + 1024]).sum())
    return right / len(queries)


def coarse_accuracy(colors: Vectors, labels: Shaped[np.ndarray, "n"], asked: Asked | None = None) -> float:
    """Accuracy of linear discriminant analysis on the first ten principal components of the colors.

    Fitted on ``colors`` and tried on ``asked``; without it, in five folds that each hold every class.
    """
    if len(np.unique(labels)) < 2:
        return 1.0
    if asked is not None:
        return float((_predict(colors, labels, asked[0]) == asked[1]).mean()) if len(asked[0]) else 0.0
    fold = _folds(labels)
    right = 0
    for number in range(FOLDS):
        test = fold == number
        if test.any() and len(np.unique(labels[~test])) > 1:
            right += int((_predict(colors[~test], labels[~test], colors[test]) == labels[test]).sum())
    return right / len(labels)


def _folds(labels: Shaped[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
    """A fold for every item: within each class, shuffled (always alike), then dealt out in turn."""
    rng = np.random.default_rng(0)
    fold = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        fold[places] = np.arange(len(places)) % FOLDS
    return fold


def _predict(
    known: Float32[np.ndarray, "n d"], labels: Shaped[np.ndarray, "n"], asked: Float32[np.ndarray, "q d"]
) -> Shaped[np.ndarray, "q"]:
    mean = known.mean(axis=0)
    _, _, axes = np.linalg.svd((known - mean).astype(np.float64), full_matrices=False)
    axes = axes[:COMPONENTS].T
    x, q = (known - mean) @ axes, (asked - mean) @ axes
    classes = np.unique(labels)
    centers = np.array([x[labels == label].mean(axis=0) for label in classes])
    within = sum(_scatter(x[labels == label]) for label in classes) / len(x)
    inverse = np.linalg.inv(within + RIDGE * np.eye(x.shape[1]))
    share = np.array([(labels == label).mean() for label in classes])
    scores = q @ inverse @ centers.T - 0.5 * np.einsum("ci,ij,cj->c", centers, inverse, centers) + np.log(share)
    predicted: Shaped[np.ndarray, "q"] = classes[scores.argmax(axis=1)]
    return predicted


def _scatter(values: Float64[np.ndarray, "m k"]) -> Float64[np.ndarray, "k k"]:
    centered = values - values.mean(axis=0)
    product: Float64[np.ndarray, "k k"] = centered.T @ centered
    return product
