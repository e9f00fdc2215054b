"""Makers of slides and images for tests: tissue that looks stained, written as scanners write it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from jaxtyping import Shaped

from histokin.errors import UsageError
from histokin.slides.base import Slide
from histokin.types import RGB, Region

_HEMATOXYLIN = np.array([0.65, 0.70, 0.29])
_EOSIN = np.array([0.07, 0.99, 0.11])
_INK = {"blue": (30, 60, 170), "green": (20, 130, 60), "black": (15, 15, 18)}


def tissue(height: int, width: int, *, seed: int = 0, strength: float = 1.0) -> RGB:
    """An H&E-looking field without glass: eosin ground, hematoxylin nuclei of about 12 pixels.

    ``strength`` scales the stains; 0.3 is pale. 8-bit RGB.
    """
    random = np.random.default_rng(seed)
    coarse = random.random((height // 16 + 2, width // 16 + 2)).astype(np.float32)
    ground = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    nuclei = np.zeros((height, width), np.float32)
    for x, y, r in random.integers((0, 0, 4), (width, height, 9), (max(1, height * width // 900), 3)).tolist():
        cv2.circle(nuclei, (x, y), r, float(random.uniform(0.6, 1.0)), -1)
    nuclei = np.asarray(cv2.GaussianBlur(nuclei, (0, 0), 1.0))
    grain = random.normal(0, 0.02, (height, width)).astype(np.float32)
    eosin = (0.25 + 0.35 * ground + grain).clip(0)
    density = strength * (eosin[..., None] * _EOSIN + (0.9 * nuclei + 0.05)[..., None] * _HEMATOXYLIN)
    return np.asarray((255 * np.exp(-density)).round().clip(0, 255), np.uint8)


def glass(height: int, width: int, *, color: tuple[int, int, int] = (243, 242, 244), seed: int = 0) -> RGB:
    """Empty glass with a little camera noise."""
    noise = np.random.default_rng(seed).normal(0, 1.2, (height, width, 3))
    return (np.array(color) + noise).round().clip(0, 255).astype(np.uint8)


def section(height: int, width: int, *, seed: int = 0, strength: float = 1.0) -> RGB:
    """Glass with an ellipse of tissue in the middle that spans 70 % of either side."""
    image = glass(height, width, seed=seed)
    shape = np.zeros((height, width), np.uint8)
    cv2.ellipse(shape, (width // 2, height // 2), (int(width * 0.35), int(height * 0.35)), 0, 0, 360, 1, -1)
    inside = shape.astype(bool)
    image[inside] = tissue(height, width, seed=seed, strength=strength)[inside]
    return image


def with_pen(image: RGB, color: str, box: tuple[int, int, int, int]) -> RGB:
    """A copy with a filled stroke of ``blue``, ``green`` or ``black`` ink at left, top, width, height."""
    out = image.copy()
    x, y, width, height = box
    out[y : y + height, x : x + width] = _INK[color]
    return out


def write_svs(path: Path, pixels: RGB, *, mpp: float | None = 0.5, tile: int = 240, quality: int = 90) -> Path:
    """A JPEG-tiled file that OpenSlide opens as Aperio; ``mpp=None`` leaves the scale out."""
    height, width = pixels.shape[:2]
    scale = "" if mpp is None else f"|AppMag = 20|MPP = {mpp:g}"
    text = (
        f"Aperio Image Library v11.2.1 \n{width}x{height} [0,0 {width}x{height}] ({tile}x{tile}) JPEG/RGB Q={quality}"
    )
    tifffile.imwrite(
        path,
        pixels,
        tile=(tile, tile),
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": quality},
        description=text + scale,
        metadata=None,
        software=False,
        datetime=False,
    )
    return path


def write_ome(
    path: Path, pixels: RGB, *, mpp: float | None = 0.5, unit: str = "µm", levels: int = 3, tile: int = 256
) -> Path:
    """A tiled OME-TIFF pyramid with lossless tiles; each level is half of the one above."""
    size: dict[str, Any] = {"axes": "YXS"}
    if mpp is not None:
        size |= {f"PhysicalSize{a}": mpp for a in "XY"} | {f"PhysicalSize{a}Unit": unit for a in "XY"}
    options: dict[str, Any] = {"tile": (tile, tile), "photometric": "rgb", "compression": "deflate"}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(pixels, subifds=levels - 1, metadata=size, **options)
        for _ in range(levels - 1):
            half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
            pixels = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_AREA), np.uint8)
            writer.write(pixels, subfiletype=1, **options)
    return path


def write_tiff(path: Path, pixels: Shaped[np.ndarray, "..."], **options: Any) -> Path:
    """A plain TIFF; ``options`` go to ``tifffile.imwrite``."""
    tifffile.imwrite(path, pixels, metadata=None, software=False, **options)
    return path


def tag_position(path: Path, name: str) -> int:
    """Byte position of the value of a tag of the first page, to overwrite in place."""
    with tifffile.TiffFile(path) as tif:
        return int(tif.pages[0].tags[name].valueoffset)


def overwrite(path: Path, position: int, data: bytes) -> Path:
    """Change bytes of a file in place."""
    with path.open("r+b") as file:
        file.seek(position)
        file.write(data)
    return path


def spoil_tile(path: Path, index: int, *, keep: int = 0) -> Path:
    """Overwrite tile ``index`` of the first page with zeros, all but its first ``keep`` bytes."""
    with tifffile.TiffFile(path) as tif:
        offset, count = tif.pages[0].dataoffsets[index], tif.pages[0].databytecounts[index]
    return overwrite(path, offset + keep, bytes(count - keep))


def check_slide(opened: Callable[[], Slide]) -> None:
    """The contract of every reader; ``opened`` opens the same file anew, at least 32 x 32 pixels large.

    Raises ``AssertionError`` where pixels depend on what was read before, the outside is not white, sizes
    are not those asked for, or closing does not close.
    """
    with opened() as slide:
        middle = Region(slide.width // 4, slide.height // 4, slide.width // 2, slide.height // 2)
        places = (middle, Region(0, 0, 32, 32), Region(slide.width - 16, slide.height - 16, 32, 32))
        sizes = ((32, 32), (20, 30), (50, 50))
        first = [slide.read(place, *size) for place in places for size in sizes]
    with opened() as slide:
        slide.thumbnail(64)
        with ThreadPoolExecutor(4) as pool:
            jobs = [(place, size) for place in places for size in sizes]
            again = list(pool.map(lambda job: slide.read(job[0], *job[1]), reversed(jobs)))[::-1]
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True)), "reads are not repeatable"
        for (_, (width, height)), pixels in zip(jobs, first, strict=True):
            assert pixels.shape == (height, width, 3), "wrong size"
            assert pixels.dtype == np.uint8, "not 8-bit"
        assert (first[6][17:, 17:] == 255).all(), "the outside is not white"
        assert (slide.read(Region(-500, -500, 40, 40), 20, 20) == 255).all(), "the outside is not white"
        assert slide.bad == [], "places that read well are called bad"
        assert max(slide.thumbnail(40).shape) <= 40, "the thumbnail is too large"
    try:
        slide.read(middle, 8, 8)
    except UsageError:
        return
    raise AssertionError("a closed slide still reads")
