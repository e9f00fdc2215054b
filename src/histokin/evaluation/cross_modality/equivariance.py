"""Does a representation turn with its image? The correlation of f(x) with f(T x) moved back, where both show x."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from histokin.evaluation.cross_modality.transforms import Rigid, Window, moved

Pixels = UInt8[np.ndarray, "_ _ _"]
Mapping = Callable[[Any], Any]


def aligned(mapping: Mapping, image: Pixels, rigid: Rigid) -> tuple[Pixels, Pixels, Bool[np.ndarray, "_ _"]]:
    """The representation of the image, that of the moved image moved back, and where both show the image."""
    side = min(image.shape[:2])
    window = Window((image.shape[1] - side) // 2, (image.shape[0] - side) // 2, side)
    square = np.ascontiguousarray(image[window.y : window.y + side, window.x : window.x + side])
    whole = Window(0, 0, side)
    plain = _shaped(mapping(square))
    back = moved(_shaped(mapping(moved(square, whole, rigid))), whole, rigid.inverse())
    return plain, back, seen(side, rigid)


def seen(side: int, rigid: Rigid) -> Bool[np.ndarray, "side side"]:
    """Pixels of the image that are still in it after the transform: their places when moved are inside."""
    rows, columns = np.mgrid[:side, :side].astype(np.float64)
    center = ((side - 1) / 2, (side - 1) / 2)
    there = rigid.points(np.stack([columns.ravel(), rows.ravel()], axis=1), center)
    inside: np.ndarray = ((there >= 1) & (there <= side - 2)).all(axis=1).reshape(side, side)
    return inside


def correlation(one: Pixels, other: Pixels, mask: Bool[np.ndarray, "_ _"]) -> float:
    """Pearson correlation of the pixels in the mask, all channels together; NaN where either is constant."""
    a, b = (image[mask].astype(np.float64).ravel() for image in (one, other))
    if not len(a) or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def equivariance(mapping: Mapping, image: Pixels, rigids: Sequence[Rigid]) -> list[float]:
    """The correlation for each transform."""
    return [correlation(*aligned(mapping, image, rigid)) for rigid in rigids]


def likeness(images: Sequence[Pixels]) -> float:
    """Mean correlation between different images: near 1 where a generator paints one picture for all of them."""
    flat = [image.astype(np.float64).mean(axis=2).ravel() for image in images]
    values = [
        float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 1.0
        for i, a in enumerate(flat)
        for b in flat[i + 1 :]
    ]
    return float(np.mean(values)) if values else float("nan")


def _shaped(image: Any) -> Pixels:
    array = np.asarray(image)
    return array.reshape(*array.shape[:2], -1)
