"""Normalizing pictures to files: loose images by folder or one by one, slides whole or a region of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import cv2
import numpy as np

from histokin.errors import HistokinError, InputError, UsageError
from histokin.retrieval.normalizing_slide import copy_name, fit_whole_slide, normalize_slide
from histokin.retrieval.preparing import FIT_SAMPLE, fast_form, spread
from histokin.retrieval.report import Failure, Progress, Silent
from histokin.slides.discover import ImageFolder, discover
from histokin.slides.ome_writer import QUALITY
from histokin.slides.reading import open_slide
from histokin.stain.base import Appearance
from histokin.types import RGB, ImageMap, Region, Status


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
            "failed": [f.to_dict() for f in self.failed],
        }


@final
@dataclass(frozen=True)
class Wanted:
    """How to normalize: the method, and the choices of :func:`normalize_paths`."""

    out: Path
    appearance: Appearance
    each: bool = False
    region: Region | None = None
    mpp: float | None = None
    threads: int = 2
    quality: int = QUALITY
    legacy_skip: bool = False


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
    legacy_skip: bool = False,
) -> Normalized:
    """Write ``out/<folder>/<name>.png`` for every image, ``out/<name>.ome.tif`` for every slide.

    With ``region``, ``out/<name>_<x>_<y>.png`` of that part of every slide instead. ``quality`` is that of the JPEG
    tiles of slides. Inputs that fail are listed, and the others done. An image without stain to estimate comes out as
    it went in and is named; with ``legacy_skip`` it is left out without a word, as published scripts do.

    Raises
    ------
    UsageError
        when ``out`` cannot be written to.
    """
    if region is not None and min(region.x, region.y, region.width - 1, region.height - 1) < 0:
        raise UsageError("the region is empty or starts outside", remedy="Give x,y,w,h in level-0 pixels")
    wanted = Wanted(out, appearance, each, region, mpp, threads, quality, legacy_skip)
    return _Run(wanted, progress or Silent()).over(paths)


@final
class _Run:
    def __init__(self, wanted: Wanted, progress: Progress) -> None:
        self._wanted, self._progress = wanted, progress
        self._result = Normalized()
        self._taken: dict[Path, Path] = {}

    def over(self, paths: Sequence[Path]) -> Normalized:
        found = discover(paths)
        for error in found.failures:
            self._result.failed.append(Failure.of(error, ""))
        self._progress.start(len(found.slides) + sum(len(folder.images) for folder in found.folders))
        for path in found.slides:
            self._one(path, self._slide if self._wanted.region is None else self._region)
        for folder in found.folders:
            self._folder(folder)
        return self._result

    def _one(self, path: Path, work: Callable[[Path], None]) -> None:
        """One input, whose failure is noted and ends nothing else."""
        outcome = "failed"
        try:
            work(path)
            outcome = "done"
        except UsageError:
            raise
        except HistokinError as error:
            self._result.failed.append(Failure.of(error, str(path)))
        self._progress.finish(path.name, 1, outcome)

    def _take(self, source: Path, target: Path) -> Path:
        """``target``, unless another input of this run was written there."""
        other = self._taken.setdefault(target, source)
        if other != source:
            raise InputError(
                f"its copy would replace that of {other}",
                remedy="Normalize the two into different folders (--out)",
                path=source,
            )
        return target

    def _slide(self, path: Path) -> None:
        wanted, result = self._wanted, self._result
        copy = normalize_slide(
            path,
            self._take(path, wanted.out / copy_name(path)),
            wanted.appearance,
            mpp=wanted.mpp,
            threads=wanted.threads,
            quality=wanted.quality,
            progress=self._progress,
        )
        (result.kept if copy.kept else result.written).append(str(copy.path))
        self._note(path, copy.status)
        if copy.bad:
            reason = f"{copy.bad} of its tiles do not decode and are white in the copy"
            result.failed.append(Failure(str(path), reason, "Copy the slide again from its source"))

    def _region(self, path: Path) -> None:
        region = self._wanted.region
        assert region is not None
        with open_slide(path, mpp=self._wanted.mpp) as slide:
            fitted = fit_whole_slide(slide, self._wanted.appearance)
            image = slide.read(region, region.width, region.height)
        self._write(path, image, fitted, self._wanted.out / f"{path.stem}_{region.x}_{region.y}.png")

    def _folder(self, folder: ImageFolder) -> None:
        self._progress.begin(folder.path.name, len(folder.images))
        shared = None if self._wanted.each else self._shared(folder)

        def image(path: Path) -> None:
            pixels = _load(path)
            fitted = shared or self._wanted.appearance.fit([pixels])
            self._write(path, pixels, fitted, self._wanted.out / folder.path.name / f"{path.stem}.png")

        for path in folder.images:
            self._one(path, image)
            self._progress.advance(1)

    def _shared(self, folder: ImageFolder) -> ImageMap:
        """One map for a folder, fitted on a sample of its images."""
        looks = self._wanted.appearance.looks_at_source
        paths = spread(folder.images, FIT_SAMPLE if looks else 1)
        pictures = [image for path in paths if (image := _try(path)) is not None]
        pixels = sum(image.size // 3 for image in pictures) * len(folder.images) // max(1, len(pictures))
        return fast_form(self._wanted.appearance.fit(pictures), pixels)

    def _write(self, source: Path, image: RGB, fitted: ImageMap, target: Path) -> None:
        self._take(source, target)
        mapped, status = fitted.apply(image)
        if self._wanted.legacy_skip and not status.ok:
            return
        _, data = cv2.imencode(".png", np.ascontiguousarray(np.asarray(mapped)[..., ::-1]))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(bytes(data))
        except OSError as error:
            raise UsageError(
                f"cannot be written ({error.strerror or error})", remedy="Choose another --out", path=target
            ) from None
        self._result.written.append(str(target))
        self._note(source, status)

    def _note(self, source: Path, status: Status) -> None:
        if not status.ok:
            self._result.unchanged.append((str(source), status.reason))


def _load(path: Path) -> RGB:
    with open_slide(path) as slide:
        return slide.read(Region(0, 0, slide.width, slide.height), slide.width, slide.height)


def _try(path: Path) -> RGB | None:
    """The image, or None where it is broken: it is reported when its own turn comes."""
    try:
        return _load(path)
    except InputError:
        return None
