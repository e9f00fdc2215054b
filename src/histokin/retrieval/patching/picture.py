"""What was cut, as a picture: the areas on the slide, and the windows in one of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

import cv2
import numpy as np
from jaxtyping import Int32

from histokin.errors import BadPixels, UsageError
from histokin.retrieval.patching.plan import RANDOM, SLIDING, PlannedArea, SlidePlan
from histokin.slides.areas import Area
from histokin.slides.base import Slide
from histokin.types import RGB, Region

WHOLE_PX = AREA_PX = 900
TITLE_PX = 36
GAP_PX = 16
LEGEND_PX = 170

Color = tuple[int, int, int]
COLORS: tuple[Color, ...] = (
    *((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)),
    *((230, 159, 0), (86, 180, 233), (0, 0, 0), (240, 228, 66)),
)
"""Of the classes; told apart by most color-blind readers (Okabe and Ito)."""

KINDS: Mapping[str, Color] = {SLIDING: (0, 51, 204), RANDOM: (255, 0, 200)}


def draw_overview(path: Path, slide: Slide, plan: SlidePlan) -> None:
    """Write a PNG: the slide with every area and window on it, and beside it the area that has most windows.

    Raises
    ------
    UsageError
        the picture cannot be written.
    """
    busiest = max(plan.areas, key=lambda area: len(area.windows), default=None)
    sides = [_whole(slide, plan), *([] if busiest is None else [_close(slide, busiest)])]
    height = max(len(side) for side in sides)
    padded = [np.pad(side, ((0, height - len(side)), (0, GAP_PX), (0, 0)), constant_values=255) for side in sides]
    _, data = cv2.imencode(".png", np.ascontiguousarray(np.hstack(padded)[..., ::-1]))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(data))
    except OSError as error:
        reason = f"cannot be written ({(error.strerror or 'refused').lower()})"
        raise UsageError(reason, remedy="Choose another --out", path=path) from None


def _whole(slide: Slide, plan: SlidePlan) -> RGB:
    labels = sorted({area.label for area in plan.areas})
    colors = {label: COLORS[i % len(COLORS)] for i, label in enumerate(labels)}
    canvas = _Canvas(slide.thumbnail(WHOLE_PX), Region(0, 0, slide.width, slide.height))
    for area in plan.areas:
        for window in area.windows:
            canvas.box(window.region, colors[area.label], 1)
    for area in plan.areas:
        canvas.outline(area.area, colors[area.label], 3)
    patches = {label: sum(len(a.windows) for a in plan.areas if a.label == label) for label in labels}
    legend = [(f"{label}: {patches[label]}", color) for label, color in colors.items()]
    return canvas.framed(f"{plan.name}: {len(plan.areas)} areas, {plan.patches} patches", legend)


def _close(slide: Slide, area: PlannedArea) -> RGB:
    frame = area.frame
    scale = min(1.0, AREA_PX / max(frame.width, frame.height))
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    try:
        picture = slide.read(frame, width, height)
    except BadPixels:
        picture = np.full((height, width, 3), 255, np.uint8)  # the report names the places
    canvas = _Canvas(picture, frame)
    canvas.outline(area.area, (0, 0, 0), 1)
    legend = []
    for kind, color in KINDS.items():
        mine = [window.region for window in area.windows if window.kind == kind]
        for region in mine:
            canvas.box(region, color, 2)
        if mine:
            legend.append((f"{len(mine)} {kind}", color))
    return canvas.framed(f"area {area.name}, {area.label}: {frame.width} x {frame.height} px", legend)


@final
class _Canvas:
    """A picture of a region of the slide, drawn on in level-0 pixels."""

    def __init__(self, picture: RGB, region: Region) -> None:
        # small pictures are enlarged, so that lines stay thin beside them
        grow = max(1, 450 // max(picture.shape[:2]))
        size = (picture.shape[1] * grow, picture.shape[0] * grow)
        self._picture = np.array(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        self._scale = np.array([size[0] / region.width, size[1] / region.height])
        self._corner = np.array([region.x, region.y])

    def box(self, region: Region, color: Color, width: int) -> None:
        far = (region.x + region.width, region.y + region.height)
        low, high = (self._place(corner).tolist() for corner in ((region.x, region.y), far))
        cv2.rectangle(self._picture, low, high, color, width, cv2.LINE_AA)

    def outline(self, area: Area, color: Color, width: int) -> None:
        for polygon in area.polygons:
            rings = [self._place(ring) for ring in (polygon.outer, *polygon.holes)]
            cv2.polylines(self._picture, rings, True, color, width, cv2.LINE_AA)

    def framed(self, title: str, legend: Sequence[tuple[str, Color]]) -> RGB:
        """The picture under its title, with the legend to the right."""
        from PIL import Image, ImageDraw, ImageFont

        height, width = self._picture.shape[:2]
        whole = np.full((max(height, 20 * len(legend)) + TITLE_PX, width + LEGEND_PX, 3), 255, np.uint8)
        whole[TITLE_PX : TITLE_PX + height, :width] = self._picture
        picture = Image.fromarray(whole)
        draw = ImageDraw.Draw(picture)
        draw.text((4, 8), title, (0, 0, 0), ImageFont.load_default(size=18))
        for i, (text, color) in enumerate(legend):
            top = TITLE_PX + 20 * i
            draw.rectangle((width + 8, top + 4, width + 20, top + 16), color)
            draw.text((width + 26, top + 2), text, (0, 0, 0), ImageFont.load_default(size=13))
        return np.asarray(picture, np.uint8)

    def _place(self, corners: object) -> Int32[np.ndarray, "..."]:
        places = (np.asarray(corners, np.float64) - self._corner) * self._scale
        return np.asarray(np.clip(np.rint(places), -(2**14), 2**14), np.int32)
