"""Pictures by laboratory, for comparing stains: each named folder, slide or image is a group."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import final

import numpy as np

from histokin.errors import HistokinError, InputError, UsageError
from histokin.retrieval.index_slide import find_tissue
from histokin.retrieval.preparing import spread
from histokin.retrieval.report import Failure
from histokin.slides.discover import discover
from histokin.slides.grid import Grid
from histokin.slides.reading import open_slide
from histokin.types import RGB, Region

MOST_PX = 1024
"""Larger images are cut down to a square of this side in their middle, so that one gigapixel image ends nothing."""


@final
@dataclass(frozen=True)
class Group:
    """One laboratory: pictures with their names, and with the aligned target of each where pairs were given."""

    name: str
    names: tuple[str, ...]
    images: tuple[RGB, ...]
    targets: tuple[RGB, ...] = ()


@final
@dataclass
class Gathered:
    """The groups, and every input that could not be used."""

    groups: list[Group] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


def gather(sources: Sequence[Path], most: int, pairs: Path | None = None, mpp: float | None = None) -> Gathered:
    """At most ``most`` pictures of every source, spread evenly: loose images as they are, tissue patches of slides.

    ``pairs`` is a folder of aligned targets with the images' file names. Two sources of one name are told apart by
    their folders. Raises :class:`UsageError` when nothing can be used.
    """
    result = Gathered()
    names = [source.name for source in sources]
    for source in sources:
        name = source.name if names.count(source.name) == 1 else "/".join(source.parts[-2:])
        group = _group(source, name, most, pairs, mpp, result.failed)
        if group.images:
            result.groups.append(group)
    if not result.groups:
        first = result.failed[0] if result.failed else None
        raise UsageError(
            f"no picture can be used{f' ({first.path}: {first.reason})' if first else ''}",
            remedy=first.remedy if first else "Give folders of images, images or slides",
        )
    return result


def _group(source: Path, name: str, most: int, pairs: Path | None, mpp: float | None, failed: list[Failure]) -> Group:
    found = discover([source])
    failed.extend(Failure.of(error, str(source)) for error in found.failures)
    names: list[str] = []
    images: list[RGB] = []
    targets: list[RGB] = []

    def attempt(path: Path, work: Callable[[], None]) -> None:
        try:
            work()
        except UsageError:
            raise
        except HistokinError as error:
            failed.append(Failure.of(error, str(path)))

    def loose(path: Path) -> None:
        image = middle(path)
        if pairs is not None:
            targets.append(_target(path, pairs, image))
        names.append(path.name)
        images.append(image)

    for path in spread([path for folder in found.folders for path in folder.images], most):
        attempt(path, partial(loose, path))
    for path in found.slides:
        if pairs is not None:
            failed.append(
                Failure(str(path), "a slide has no aligned target", "Give pairs of images, or leave --pairs out")
            )
            continue
        attempt(path, partial(_patches, path, most, mpp, names, images))
    return Group(name, tuple(names), tuple(images), tuple(targets))


def _target(path: Path, pairs: Path, image: RGB) -> RGB:
    found = sorted(p for p in pairs.iterdir() if p.stem == path.stem) if pairs.is_dir() else []
    if not found:
        raise InputError(
            "it has no target of its name", remedy=f"Put the aligned target into {pairs} under the same name", path=path
        )
    target = middle(found[0])
    if target.shape != image.shape:
        sizes = f"{image.shape[1]} x {image.shape[0]} and {target.shape[1]} x {target.shape[0]}"
        raise InputError(f"it and its target differ in size ({sizes})", remedy="Give aligned images", path=path)
    return target


def _patches(path: Path, most: int, mpp: float | None, names: list[str], images: list[RGB]) -> None:
    grid = Grid()
    with open_slide(path, mpp=mpp) as slide:
        for patch in spread(find_tissue(slide, grid).patches, most):
            images.append(slide.read(patch.region, grid.patch_px, grid.patch_px))
            names.append(f"{path.name} {patch.region.x},{patch.region.y}")


def middle(path: Path, most: int = MOST_PX) -> RGB:
    """A loose image, or the middle of one larger than ``most`` pixels. Raises what reading raises."""
    with open_slide(path) as slide:
        width, height = min(slide.width, most), min(slide.height, most)
        region = Region((slide.width - width) // 2, (slide.height - height) // 2, width, height)
        return np.ascontiguousarray(slide.read(region, width, height))
