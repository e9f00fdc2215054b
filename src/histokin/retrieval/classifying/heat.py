"""From maps of tiles to one map of a slide."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from histokin.types import Region

Plane = Float32[np.ndarray, "h w"]


@final
@dataclass(frozen=True, eq=False)
class Heat:
    """One number per pixel of a small picture of the slide; ``known`` is False where no tile was looked at."""

    values: Plane
    known: Bool[np.ndarray, "h w"]

    def scaled(self, low: float | int, high: float | int) -> Plane:
        """Values from ``low`` to ``high`` as 0 to 1, cut off outside; 0 where nothing is known."""
        span = max(high - low, 1e-30)
        scaled = np.clip((self.values - low) / span, 0, 1)
        return np.where(self.known, scaled, 0).astype(np.float32)


def stitch(
    regions: Sequence[Region],
    maps: Float32[np.ndarray, "n gh gw"],
    size: tuple[int, int],
    shown: tuple[int, int],
) -> Heat:
    """Lay the maps of tiles side by side over a slide; where tiles overlap their mean counts.

    Parameters
    ----------
    regions : of the tiles, in level-0 pixels.
    maps : one per tile, of any resolution; enlarged bilinearly.
    size : width and height of the slide in level-0 pixels.
    shown : width and height of the picture in pixels.
    """
    across, down = shown[0] / size[0], shown[1] / size[1]
    total = np.zeros((shown[1], shown[0]), np.float32)
    count = np.zeros_like(total)
    for region, values in zip(regions, maps, strict=True):
        left, right = _ends(region.x, region.width, across, shown[0])
        top, bottom = _ends(region.y, region.height, down, shown[1])
        how = cv2.INTER_LINEAR if values.shape[0] < bottom - top else cv2.INTER_AREA
        total[top:bottom, left:right] += cv2.resize(values, (right - left, bottom - top), interpolation=how)
        count[top:bottom, left:right] += 1
    known = count > 0
    return Heat((total / np.maximum(count, 1)).astype(np.float32), known)


def _ends(start: int, length: int, scale: float, most: int) -> tuple[int, int]:
    """First pixel and the one after the last; at least one, inside the picture."""
    first = min(max(0, round(start * scale)), most - 1)
    return first, min(max(first + 1, round((start + length) * scale)), most)
