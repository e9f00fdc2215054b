"""Pictures for pages: the query and its hits at the same physical field of view."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import cv2
import numpy as np
from jaxtyping import UInt8

from histokin.archive.records import Source
from histokin.archive.snapshot import Snapshot
from histokin.archive.store import Store
from histokin.errors import HistokinError
from histokin.retrieval.preparing import jpeg
from histokin.slides.base import Slide
from histokin.slides.reading import open_slide
from histokin.types import RGB, Place, Region

VIEW_PX = 320
EMPTY = 236
OUTLINE = (255, 214, 10)


@final
@dataclass(frozen=True)
class Picture:
    """A picture as a data URI; ``note`` says where it had to come from something other than the slide."""

    uri: str
    note: str = ""


def as_picture(image: RGB, note: str = "") -> Picture:
    """A JPEG data URI."""
    return _from_jpeg(jpeg(image, VIEW_PX), note)


def _from_jpeg(data: bytes, note: str = "") -> Picture:
    return Picture("data:image/jpeg;base64," + base64.b64encode(data).decode(), note)


@final
class Album:
    """Finds pictures for places: from the slide while it is where it was, otherwise from the stored crops."""

    def __init__(self, store: Store, snapshot: Snapshot) -> None:
        self.store = store
        self.snapshot = snapshot
        self._places = {source.path: place for place, source in enumerate(snapshot.sources)}

    def thumbnail(self, path: str) -> Picture | None:
        """The whole slide, small."""
        source = self._source(path)
        stored = self.store.thumbnail(source.id) if source else None
        if stored:
            return _from_jpeg(stored)
        if source is not None and source.kind == "image":
            return self.view(path, Region(0, 0, source.width, source.height))
        return self._from_file(Path(path), source, None, ())

    def view(self, path: str, region: Region, boxes: Sequence[Region | Place] = ()) -> Picture | None:
        """A place of a slide, with outlines around ``boxes``, turned where they say so; gray outside the slide."""
        source = self._source(path)
        picture = self._from_file(Path(path), source, region, boxes)
        if picture is not None or source is None:
            return picture
        return self._from_crops(source, region, boxes)

    def _source(self, path: str) -> Source | None:
        place = self._places.get(path)
        return self.snapshot.sources[place] if place is not None else None

    def _from_file(
        self, path: Path, source: Source | None, region: Region | None, boxes: Sequence[Region | Place]
    ) -> Picture | None:
        if source is not None and not _as_indexed(path, source):
            return None
        try:
            with open_slide(path, mpp=source.mpp if source else None) as slide:
                if region is None:
                    return as_picture(slide.thumbnail(VIEW_PX))
                return as_picture(outline(_read(slide, region), region, boxes))
        except (HistokinError, OSError):
            return None  # the page still shows the stored crops

    def _from_crops(self, source: Source, region: Region, boxes: Sequence[Region | Place]) -> Picture | None:
        """Put together the stored crops of the patches in view."""
        mine = self.snapshot.rows_of(self._places[source.path])
        near = (row for row in range(mine.start, mine.stop) if self.snapshot.region(row).overlaps(region))
        rows = np.fromiter(near, np.int64)
        crops = self.store.crops(rows, self.snapshot) if len(rows) else []
        if not any(crops):
            return None
        scale = VIEW_PX / max(region.width, region.height)
        canvas = np.full((round(region.height * scale), round(region.width * scale), 3), EMPTY, np.uint8)
        for row, crop in zip(rows, crops, strict=True):
            if crop:
                _paste(canvas, _decode(crop), self.snapshot.region(int(row)), region, scale)
        return as_picture(outline(canvas, region, boxes), "from stored crops")


def _as_indexed(path: Path, source: Source) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (source.size, source.mtime_ns)


def _read(slide: Slide, region: Region) -> RGB:
    """The region at page size, gray where it leaves the slide."""
    scale = min(1.0, VIEW_PX / max(region.width, region.height))
    canvas = np.full((max(1, round(region.height * scale)), max(1, round(region.width * scale)), 3), EMPTY, np.uint8)
    left, top = max(0, region.x), max(0, region.y)
    right = min(slide.width, region.x + region.width)
    bottom = min(slide.height, region.y + region.height)
    if right <= left or bottom <= top:
        return canvas
    inside = Region(left, top, right - left, bottom - top)
    size = (max(1, round(inside.width * scale)), max(1, round(inside.height * scale)))
    _paste(canvas, slide.read(inside, *size), inside, region, scale)
    return canvas


def _paste(canvas: RGB, picture: UInt8[np.ndarray, "a b 3"], box: Region, view: Region, scale: float) -> None:
    """Draw ``picture`` where ``box`` lies in ``view``; what leaves the canvas is cut off."""
    x0, y0 = round((box.x - view.x) * scale), round((box.y - view.y) * scale)
    x1, y1 = round((box.x + box.width - view.x) * scale), round((box.y + box.height - view.y) * scale)
    if x1 <= x0 or y1 <= y0:
        return
    if picture.shape[:2] != (y1 - y0, x1 - x0):
        picture = cv2.resize(picture, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    left, top = max(0, x0), max(0, y0)
    right, bottom = min(canvas.shape[1], x1), min(canvas.shape[0], y1)
    if right > left and bottom > top:
        canvas[top:bottom, left:right] = picture[top - y0 : bottom - y0, left - x0 : right - x0]


def _decode(data: bytes) -> RGB:
    image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image[..., ::-1])


def outline(image: RGB, view: Region, boxes: Sequence[Region | Place]) -> RGB:
    """A copy of the picture of ``view`` with a frame around each box; boxes that fill the view are left out."""
    drawn = image.copy()
    scale = image.shape[1] / view.width
    for box in boxes:
        region, angle = (box.region, box.angle) if isinstance(box, Place) else (box, 0.0)
        if not angle and region.width >= 0.95 * view.width and region.height >= 0.95 * view.height:
            continue
        middle = region.x + region.width / 2 - view.x, region.y + region.height / 2 - view.y
        # Pixels are counted from their centers, and OpenCV's angles run clockwise.
        turned = (
            (middle[0] * scale - 0.5, middle[1] * scale - 0.5),
            (region.width * scale - 1, region.height * scale - 1),
        )
        corners = np.rint(cv2.boxPoints((*turned, -angle))).astype(np.int32)
        cv2.polylines(drawn, [corners], True, OUTLINE, 2)
    return drawn
