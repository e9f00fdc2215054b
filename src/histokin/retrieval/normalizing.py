"""Normalizing pictures to files: loose images by folder or one by one, regions of slides by slide."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import cv2
import numpy as np

from histokin.errors import HistokinError, InputError, UsageError
from histokin.retrieval.index_slide import find_tissue
from histokin.retrieval.preparing import FIT_SAMPLE, fit_slide, spread
from histokin.retrieval.report import Failure
from histokin.slides.discover import ImageFolder, discover
from histokin.slides.grid import Grid
from histokin.slides.reading import open_slide
from histokin.stain.base import Appearance
from histokin.types import RGB, ImageMap, Region


@final
@dataclass
class Normalized:
    """What was written, what came out as it went in (with the reason), and what failed."""

    written: list[str] = field(default_factory=list)
    unchanged: list[tuple[str, str]] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "written": self.written,
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
) -> Normalized:
    """Write ``out/<folder>/<name>.png`` for every image, ``out/<name>_<x>_<y>.png`` for a slide's region.

    Raises
    ------
    UsageError
        when ``out`` cannot be written to.
    """
    result = Normalized()
    found = discover(paths)
    for error in found.failures:
        result.failed.append(Failure.of(error, ""))
    for path in found.slides:
        try:
            _slide(path, out, appearance, region, mpp, result)
        except InputError as error:
            result.failed.append(Failure.of(error, str(path)))
    for folder in found.folders:
        _folder(folder, out, appearance, each, result)
    return result


def _slide(
    path: Path,
    out: Path,
    appearance: Appearance,
    region: Region | None,
    mpp: float | None,
    result: Normalized,
) -> None:
    if region is None:
        raise InputError(
            "a whole slide is not written as one PNG",
            remedy="Give the part you want with --region x,y,w,h in level-0 pixels",
            path=path,
        )
    grid = Grid()
    with open_slide(path, mpp=mpp) as slide:
        if region.x < 0 or region.y < 0 or region.width < 1 or region.height < 1:
            raise UsageError("the region is empty or starts outside", remedy="Give x,y,w,h in level-0 pixels")
        patches = [patch.region for patch in find_tissue(slide, grid).patches]
        fitted = fit_slide(slide, patches, appearance, grid.patch_px)
        image = slide.read(region, region.width, region.height)
    _write(path, image, fitted, out / f"{path.stem}_{region.x}_{region.y}.png", result)


def _folder(folder: ImageFolder, out: Path, appearance: Appearance, each: bool, result: Normalized) -> None:
    shared = (
        None if each else appearance.fit([i for p in spread(folder.images, FIT_SAMPLE) if (i := _try(p)) is not None])
    )
    for path in folder.images:
        try:
            image = _load(path)
            fitted = shared or appearance.fit([image])
            _write(path, image, fitted, out / folder.path.name / f"{path.stem}.png", result)
        except UsageError:
            raise
        except HistokinError as error:
            result.failed.append(Failure.of(error, str(path)))


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
