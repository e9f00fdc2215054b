"""Seams: how much a picture steps where tiles meet, when each tile was normalized by itself."""

from dataclasses import dataclass
from typing import final

import numpy as np

from histokin.stain.base import Appearance
from histokin.types import RGB

TILE = 224
LEAST_TILE = 32


@final
@dataclass(frozen=True)
class Seam:
    """Gray levels of step at tile borders beyond the steps within tiles: fitted per tile, and once on the whole.

    ``unchanged`` tiles (of ``tiles``) held too little stain to be fitted by themselves.
    """

    per_tile: float
    whole: float
    tiles: int
    unchanged: int


def seam(image: RGB, appearance: Appearance, tile: int = TILE) -> Seam | None:
    """Both ways on one image; None where not even two tiles of 32 pixels fit side by side."""
    side = min(tile, image.shape[0] // 2, image.shape[1] // 2)
    if side < LEAST_TILE:
        return None
    rows, columns = image.shape[0] // side, image.shape[1] // side
    image = image[: rows * side, : columns * side]
    pieced = np.empty_like(image)
    unchanged = 0
    for row in range(rows):
        for column in range(columns):
            place = (slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side))
            piece = np.ascontiguousarray(image[place])
            mapped, status = appearance.fit([piece]).apply(piece)
            unchanged += not status.ok
            pieced[place] = mapped
    together = np.asarray(appearance.fit([image])(image))
    return Seam(border_step(pieced, side), border_step(together, side), rows * columns, unchanged)


def border_step(image: RGB, side: int) -> float:
    """Mean absolute step (gray levels) between pixels across tile borders, less that everywhere else."""
    levels = image.astype(np.int16)
    across = np.abs(np.diff(levels, axis=1)).mean(axis=(0, 2))
    down = np.abs(np.diff(levels, axis=0)).mean(axis=(1, 2))
    border, inside = [], []
    for steps in (across, down):
        at_border = np.arange(len(steps)) % side == side - 1
        border.append(steps[at_border])
        inside.append(steps[~at_border])
    return float(np.concatenate(border).mean() - np.concatenate(inside).mean())
