"""Normalizing pictures to files: loose images by folder or one by one, slides whole or a region of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import cv2
import numpy as np

from histokin.errors import HistokinError, InputError, UsageError
from histokin.retrieval.normalizing_slide import SlideCopy, fit_whole_slide, normalize_slide
from histokin.retrieval.preparing import FIT_SAMPLE, fast_form, spread
from histokin.retrieval.report import Failure, Progress, Silent
from histokin.slides.discover import ImageFolder, discover
from histokin.slides.ome_writer import QUALITY
from histokin.slides.reading import open_slide
from histokin.stain.base import Appearance
from histokin.types import RGB, ImageMap, Region


@final
@dataclass
class Normalized:
    """What was written, what was there already, what came out as it went in (with the reason), and what failed."""

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    unchanged: list[tuple[str, str]] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "written": self.written,
            "kept": self.kept,
            "unchanged": [{"path": path, "reason": reason} for path, reason in self.unchanged],
            "failed": [{"path": f.path, "reason": f.reason, "remedy": f.remedy} for f in self.failed],
        }


def normalize_paths(
    paths: Sequence[Path],
    out: Path,
    appearance: Appearance,
    *,
    each: bool = False,
    region: Region | None = None,
    mpp: float | None = None,
    threads: int = 2,
    quality: int = QUALITY,
    progress: Progress | None = None,
) -> Normalized:
    """Write ``out/<folder>/<name>.png`` for every image, ``out/<name>.ome.tif`` for every slide.

    With ``region``, ``out/<name>_<x>_<y>.png`` of that part of every slide instead. ``quality`` is that of the JPEG
    tiles of slides. Inputs that fail are listed, and the others done.

    Raises
    ------
    UsageError
        when ``out`` cannot be written to.
    """
    result = Normalized()
    progress = progress or Silent()
    found = discover(paths)
    for error in found.failures:
        result.failed.append(Failure.of(error, ""))
    progress.start(len(found.slides) + sum(len(folder.images) for folder in found.folders))
    for path in found.slides:
        try:
            if region is None:
                copy = normalize_slide(
                    path, out, appearance, mpp=mpp, threads=threads, quality=quality, progress=progress
                )
                _note(path, copy, result)
            else:
                _region(path, out, appearance, region, mpp, result)
            progress.finish(path.name, 1, "done")
        except InputError as error:
            result.failed.append(Failure.of(error, str(path)))
            progress.finish(path.name, 1, "failed")
    for folder in found.folders:
        progress.begin(folder.path.name, len(folder.images))
        _folder(folder, out, appearance, each, result, progress)
    return result


def _note(path: Path, copy: SlideCopy, result: Normalized) -> None:
    (result.kept if copy.kept else result.written).append(str(copy.path))
    if not copy.status.ok:
        result.unchanged.append((str(path), copy.status.reason))
    if copy.bad:
        reason = f"{copy.bad} of its tiles do not decode and are white in the copy"
        result.failed.append(Failure(str(path), reason, "Copy the slide again from its source"))


def _region(
    path: Path,
    out: Path,
    appearance: Appearance,
    region: Region,
    mpp: float | None,
    result: Normalized,
) -> None:
    with open_slide(path, mpp=mpp) as slide:
        if region.x < 0 or region.y < 0 or region.width < 1 or region.height < 1:
            raise UsageError("the region is empty or starts outside", remedy="Give x,y,w,h in level-0 pixels")
        fitted = fit_whole_slide(slide, appearance)
        image = slide.read(region, region.width, region.height)
    _write(path, image, fitted, out / f"{path.stem}_{region.x}_{region.y}.png", result)


def _folder(
    folder: ImageFolder, out: Path, appearance: Appearance, each: bool, result: Normalized, progress: Progress
) -> None:
    shared = None
    if not each:
        sample = spread(folder.images, FIT_SAMPLE) if appearance.looks_at_source else []
        pictures = [image for path in sample if (image := _try(path)) is not None]
        shared = fast_form(appearance.fit(pictures), _pixels(pictures, len(folder.images)))
    for path in folder.images:
        try:
            image = _load(path)
            fitted = shared or appearance.fit([image])
            _write(path, image, fitted, out / folder.path.name / f"{path.stem}.png", result)
        except UsageError:
            raise
        except HistokinError as error:
            result.failed.append(Failure.of(error, str(path)))
        progress.advance(1)
        progress.finish(path.name, 1, "done")


def _pixels(sample: Sequence[RGB], images: int) -> int:
    """About how many pixels so many images hold, going by some of them."""
    return sum(image.size // 3 for image in sample) * images // max(1, len(sample))


def _load(path: Path) -> RGB:
    with open_slide(path) as slide:
        return slide.read(Region(0, 0, slide.width, slide.height), slide.width, slide.height)


def _try(path: Path) -> RGB | None:
    """The image, or None where it is broken: it is reported when its own turn comes."""
    try:
        return _load(path)
    except InputError:
        return None


def _write(source: Path, image: RGB, fitted: ImageMap, target: Path, result: Normalized) -> None:
    mapped, status = fitted.apply(image)
    _, data = cv2.imencode(".png", np.ascontiguousarray(np.asarray(mapped)[..., ::-1]))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(bytes(data))
    except OSError as error:
        raise UsageError(
            f"cannot be written ({error.strerror or error})", remedy="Choose another --out", path=target
        ) from None
    result.written.append(str(target))
    if not status.ok:
        result.unchanged.append((str(source), status.reason))
