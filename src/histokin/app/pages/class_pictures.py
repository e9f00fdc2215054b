"""Pictures of what a classifier says: an image with its activation map, a slide in the colors of its classes."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from histokin.classifiers.cam import heat, overlay, unit, upsampled
from histokin.errors import UsageError
from histokin.retrieval.classifying.geojson import color_of
from histokin.retrieval.classifying.heat import stitch
from histokin.retrieval.classifying.images import ImageClasses
from histokin.retrieval.classifying.model import Model
from histokin.retrieval.classifying.slide import SlideClasses
from histokin.types import RGB

TINT = 0.45
LEAST_TEXT_PX = 14
SMALLEST_PX, LARGEST_PX = 256, 448
"""Panels are brought between these sides: captions can be read, and a thousand panels are written in a minute."""

Picture = UInt8[np.ndarray, "_ _ 3"]


def draw_image(found: ImageClasses, model: Model, target: Path) -> None:
    """The image, the map of its predicted class in gray, and both: side by side as a PNG.

    Raises
    ------
    UsageError
        when the file cannot be written.
    """
    image = _of_size(found.image)
    winner = int(found.probabilities.argmax())
    cam = found.maps[winner]
    gray = heat(unit(upsampled(cam, *image.shape[:2])), "gray")
    gap = np.full((image.shape[0], 4, 3), 255, np.uint8)
    panel = np.concatenate([image, gap, gray, gap, np.asarray(overlay(image, cam), np.uint8)], axis=1)
    order = np.argsort(-found.probabilities, kind="stable")[:3]
    words = ", ".join(f"{model.classes[i]} {found.probabilities[i]:.2f}" for i in order)
    save(_captioned(panel, [f"{found.path.name}: {words}"]), target)


def draw_slide(found: SlideClasses, model: Model, stem: Path) -> list[Path]:
    """``<stem>.classes.png``: tiles in the colors of their classes; ``<stem>.cam-<class>.png``: a heat map for each
    class that wins a tile. Returns the files. Raises :class:`UsageError` when one cannot be written.
    """
    classes = stem.with_name(f"{stem.name}.classes.png")
    save(_class_picture(found, model.classes), classes)
    files = [classes]
    for place in np.unique(found.probabilities.argmax(axis=1)).tolist():
        name = model.classes[place]
        target = stem.with_name(f"{stem.name}.cam-{_plain(name)}.png")
        save(_heat_picture(found, place, name), target)
        files.append(target)
    return files


def save(picture: Picture, target: Path) -> None:
    """Write a PNG. Raises :class:`UsageError` with the place when that fails."""
    try:
        Pillow.fromarray(picture).save(target)
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error})"
        raise UsageError(reason, remedy="Choose another folder", path=target) from None


def _class_picture(found: SlideClasses, classes: Sequence[str]) -> Picture:
    """Tiles tinted by their class, the stronger the surer; a legend with each class's part of the tissue."""
    picture = found.picture.astype(np.float32)
    scale = picture.shape[1] / found.size[0]
    for region, row in zip(found.regions, found.probabilities, strict=True):
        winner = int(row.argmax())
        left, top = round(region.x * scale), round(region.y * scale)
        right, bottom = round((region.x + region.width) * scale), round((region.y + region.height) * scale)
        share = TINT * float(row[winner])
        tile = picture[top:bottom, left:right]
        tile[:] = (1 - share) * tile + share * np.array(color_of(winner), np.float32)
    shares = found.shares(classes)
    lines = [f"{name}: {share:.0%} of {len(found.regions)} tiles" for name, share in shares.items()]
    colors = [color_of(place) for place in range(len(classes))]
    return _captioned(np.rint(picture).astype(np.uint8), lines, colors)


def _heat_picture(found: SlideClasses, place: int, name: str) -> Picture:
    """The activation map of one class over the slide; one scale for all tiles, from the 1st to the 99th percentile."""
    maps: Float32[np.ndarray, "n gh gw"] = found.maps[:, place]
    low, high = (float(v) for v in np.percentile(maps, (1, 99)))
    height, width = found.picture.shape[:2]
    laid = stitch(found.regions, maps, found.size, (width, height))
    colors = heat(laid.scaled(low, high)).astype(np.float32)
    share = np.where(laid.known, np.float32(TINT), np.float32(0))[..., None]
    mixed = np.rint((1 - share) * found.picture + share * colors).astype(np.uint8)
    return _captioned(mixed, [f"activation map of {name}: blue {low:.1f}, red {high:.1f} (adds up to its score)"])


def _of_size(image: RGB) -> Picture:
    height, width = image.shape[:2]
    scale = max(1.0, SMALLEST_PX / min(height, width)) * min(1.0, LARGEST_PX / max(height, width))
    if scale == 1:
        return image
    how = cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA
    resized: Picture = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=how)
    return resized


def _captioned(picture: Picture, lines: Sequence[str], colors: Sequence[tuple[int, int, int]] = ()) -> Picture:
    """The picture above lines of text, each behind a square of its color where there are colors."""
    size = max(LEAST_TEXT_PX, picture.shape[1] // 64)
    line_px = round(1.6 * size)
    canvas = Pillow.new("RGB", (picture.shape[1], picture.shape[0] + line_px * len(lines) + 6), "white")
    canvas.paste(Pillow.fromarray(picture), (0, 0))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size)
    for i, line in enumerate(lines):
        y = picture.shape[0] + 4 + i * line_px
        if colors:
            pen.rectangle((6, y + 2, 6 + size, y + 2 + size), fill=colors[i])
        pen.text((14 + size if colors else 6, y), line, fill="black", font=font)
    return np.asarray(canvas, np.uint8)


def _plain(name: str) -> str:
    """A class's name as part of a file's."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)
