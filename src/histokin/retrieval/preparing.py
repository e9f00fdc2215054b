"""From places to comparable pictures: read, judge, map. The one path that patches and queries both take."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, final

import cv2
import numpy as np
from jaxtyping import UInt8

from histokin.errors import BadPixels
from histokin.slides.base import Slide
from histokin.slides.quality import is_blurred
from histokin.slides.tissue import luminosity_fraction
from histokin.stain.base import Appearance
from histokin.stain.color_map import ColorMap
from histokin.types import RGB, Image, ImageMap, Patch, Region

FIT_SAMPLE = 64
"""Patches (or loose images) that one stain fit sees, spread evenly over the source."""

FEW_TISSUE_PIXELS = 10_000
"""A fit on fewer tissue pixels than this comes with a warning."""

CROP_PX = 160
CROP_QUALITY = 80

T = TypeVar("T")
R = TypeVar("R")


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` of ``items``, evenly spaced, first and last included; always the same ones."""
    if len(items) <= count:
        return list(items)
    places = np.linspace(0, len(items) - 1, count).round().astype(int)
    return [items[i] for i in places]


def jpeg(image: RGB, max_px: int = CROP_PX) -> bytes:
    """A small JPEG, at most ``max_px`` on its longer side."""
    height, width = image.shape[:2]
    scale = max_px / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, CROP_QUALITY])
    return bytes(data)


def square(image: RGB, px: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """The image resized to ``px`` by ``px`` (area when shrinking, linear when enlarging)."""
    if image.shape[:2] == (px, px):
        return image
    how = cv2.INTER_AREA if min(image.shape[:2]) >= px else cv2.INTER_LINEAR
    resized: UInt8[np.ndarray, "_ _ 3"] = cv2.resize(image, (px, px), interpolation=how)
    return resized


@final
@dataclass(frozen=True)
class Ready:
    """A patch made comparable: its mapped picture, a small JPEG of the original, tissue share and flags."""

    region: Region
    image: Image
    crop: bytes | None
    tissue: float
    flags: tuple[str, ...]


def fit_slide(slide: Slide, regions: Sequence[Region], appearance: Appearance, px: int) -> ImageMap:
    """Fit the appearance on a sample of a slide's patches; places that do not decode are left out of it."""
    if not appearance.looks_at_source:
        return appearance.fit([])
    sample: list[RGB] = []
    for region in spread(regions, FIT_SAMPLE):
        try:
            sample.append(slide.read(region, px, px))
        except BadPixels:
            continue  # counted when the patch itself is read
    return appearance.fit(sample)


def tissue_pixels(images: Iterable[RGB]) -> int:
    """Pixels darker than the luminosity threshold, over all images."""
    return sum(round(luminosity_fraction(image) * image.shape[0] * image.shape[1]) for image in images)


def fast_form(fitted: ImageMap, pixels: int) -> ImageMap:
    """The quickest exact form of a map for this many pixels."""
    return fitted.compiled(pixels) if isinstance(fitted, ColorMap) else fitted


def ready_patch(slide: Slide, patch: Patch, fitted: ImageMap, *, px: int, mpp: float, crops: bool) -> Ready:
    """Read one patch and make it comparable. Raises :class:`BadPixels` where the file does not decode."""
    image = slide.read(patch.region, px, px)
    flags = (*patch.flags, "blur") if is_blurred(image, mpp) else patch.flags
    return Ready(patch.region, fitted(image), jpeg(image) if crops else None, patch.tissue, flags)


def in_order(work: Callable[[T], R], items: Iterable[T], *, threads: int, window: int = 96) -> Iterator[R | BadPixels]:
    """Run ``work`` on a few threads and yield its results in order, at most ``window`` of them in memory.

    A place that does not decode comes out as the error instead of ending the run; anything else is raised.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="histokin-read") as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= window:
                    first = _result(waiting.popleft())
                    yield first
            while waiting:
                first = _result(waiting.popleft())
                yield first
        finally:
            for future in waiting:
                future.cancel()


def _result(future: Future[R]) -> R | BadPixels:
    try:
        return future.result()
    except BadPixels as error:
        return error


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one shorter."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
