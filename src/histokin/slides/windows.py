"""Where training patches are cut: sliding windows over an area, and random ones beside them."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from histokin.errors import UsageError
from histokin.types import Region

OverlapMode = Literal["linear", "iou"]
PUBLISHED_SIDE = 400
PUBLISHED_OVERLAP = 0.3
TRIES = 200
"""Random places that may fail in a row before no more are looked for."""


def step_of(side: int, overlap: float | int = PUBLISHED_OVERLAP, mode: OverlapMode = "linear") -> int:
    """Pixels from one window to the next.

    ``linear``: ``overlap`` is the share of the side that neighbors have in common. ``iou``: it is their
    intersection over union, which takes a linear overlap of ``2 iou / (1 + iou)``.

    Raises
    ------
    UsageError
        for an overlap that is not from 0 up to, but not, 1, or another mode.
    """
    if not 0 <= overlap < 1 or mode not in ("linear", "iou"):
        raise UsageError(
            f"windows cannot overlap by {overlap} ({mode})", remedy="Give 0 up to, but not, 1, as linear or iou"
        )
    linear = overlap if mode == "linear" else 2 * overlap / (1 + overlap)
    return max(1, round(side * (1 - linear)))


def starts(length: int, side: int, step: int) -> list[int]:
    """Where windows begin along one axis: every ``step``, and one that ends with the area; none where none fits."""
    if length < side:
        return []
    places = list(range(0, length - side + 1, step))
    return places if places[-1] == length - side else [*places, length - side]


def windows(
    area: Region,
    side: int,
    *,
    overlap: float | int = PUBLISHED_OVERLAP,
    mode: OverlapMode = "linear",
    legacy: bool = False,
    pad_small: bool = False,
) -> list[Region]:
    """Squares of ``side`` level-0 pixels over an area, row by row.

    They cover the area, none is there twice, and none reaches outside. With ``pad_small`` an area smaller than a
    window along an axis gets one that begins with it and reaches outside, to be filled by reflection; otherwise
    it gets none.

    ``legacy`` gives :func:`published_windows` instead.
    """
    if side < 1:
        raise UsageError(f"a window of {side} pixels", remedy="Give a side of at least 1")
    step = step_of(side, overlap, mode)
    if legacy:
        return published_windows(area, side, step)
    columns, rows = (
        [0] if pad_small and length < side else starts(length, side, step) for length in (area.width, area.height)
    )
    return [Region(area.x + x, area.y + y, side, side) for y in rows for x in columns]


def published_windows(area: Region, side: int, step: int, *, inclusive: bool = True) -> list[Region]:
    """The windows of the published listing, for the record; do not train on them.

    As printed, the crop is taken before the offsets move on, so that every window is the one meant before it: the
    first comes twice, the last never. The steps are counted without overlap though they are shorter, so that the
    right and lower bands are missed; and with ``inclusive`` loops windows reach outside small areas.

    Source: the colorectal classification paper, algorithm of Figure 4.
    """
    across, down = (length // side + inclusive for length in (area.width, area.height))
    found, x, y = [], 0, 0
    for row in range(down):
        for column in range(across):
            found.append(Region(area.x + x, area.y + y, side, side))
            x, y = column * step, row * step
    return found


def iou(one: Region, other: Region) -> float:
    """Intersection over union of two rectangles, 0 to 1."""
    return float(_ious(one, np.array([(other.x, other.y, other.width, other.height)], np.int64))[0])


def _ious(one: Region, others: Int64[np.ndarray, "n 4"]) -> Float64[np.ndarray, "n"]:
    """Of one rectangle with each of several: left, top, width, height."""
    x, y, width, height = others.T
    across = np.minimum(one.x + one.width, x + width) - np.maximum(one.x, x)
    down = np.minimum(one.y + one.height, y + height) - np.maximum(one.y, y)
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    ratio: Float64[np.ndarray, "n"] = shared / (one.width * one.height + width * height - shared)
    return ratio


def random_windows(
    area: Region,
    side: int,
    count: int,
    rng: np.random.Generator,
    *,
    max_iou: float | int = 1.0,
    taken: Sequence[Region] = (),
    accept: Callable[[Region], bool] = lambda _: True,
) -> list[Region]:
    """Up to ``count`` windows at places drawn uniformly from the area.

    A place is passed over when its window overlaps an earlier one, or one of ``taken``, by more than ``max_iou``, when
    it is there already, or when ``accept`` says no. Fewer come back when so many do not fit.

    Raises
    ------
    UsageError
        for a negative count, or ``max_iou`` outside 0 to 1.
    """
    if count < 0 or not 0 <= max_iou <= 1:
        raise UsageError(
            f"{count} random windows with an IoU of at most {max_iou}", remedy="Give 0 or more, and 0 to 1"
        )
    room_x, room_y = area.width - side, area.height - side
    if min(room_x, room_y) < 0:
        return []
    found: list[Region] = []
    boxes = np.array([(r.x, r.y, r.width, r.height) for r in taken], np.int64).reshape(-1, 4)
    failed = 0
    while len(found) < count and failed < TRIES:
        x, y = int(rng.integers(0, room_x + 1)), int(rng.integers(0, room_y + 1))
        one = Region(area.x + x, area.y + y, side, side)
        failed += 1
        if one not in found and (_ious(one, boxes) <= max_iou).all() and accept(one):
            found.append(one)
            boxes = np.append(boxes, [(one.x, one.y, side, side)], axis=0)
            failed = 0
    return found


def shared_out(wanted: int, parts: int) -> list[int]:
    """``wanted`` things over ``parts`` as evenly as can be, the first ones getting one more."""
    if not parts:
        return []
    each, more = divmod(max(0, wanted), parts)
    return [each + (i < more) for i in range(parts)]


def thinned(count: int, most: int) -> list[int]:
    """``most`` of ``count`` places, spread evenly; all where there are no more."""
    if count <= most:
        return list(range(count))
    return [math.floor((i + 0.5) * count / most) for i in range(most)]
