"""Normalizing a whole slide, streamed, into a pyramidal OME-TIFF."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from histokin.errors import BadPixels, InputError
from histokin.retrieval.index_slide import find_tissue
from histokin.retrieval.preparing import fast_form, fit_slide, in_order
from histokin.retrieval.report import Progress
from histokin.slides.base import Slide, require_mpp
from histokin.slides.fingerprint import fingerprint
from histokin.slides.grid import Grid
from histokin.slides.ome_writer import ENDING, description_of, tile_places, write_pyramid
from histokin.slides.reading import open_slide
from histokin.stain.base import Appearance
from histokin.types import RGB, ImageMap, Region, Status

MARGIN = 64
"""Pixels around a tile that a map which looks at neighbors is also shown."""

Tile = tuple[int, int, int, int]


@final
@dataclass(frozen=True)
class SlideCopy:
    """A written copy: where, how the fit went, places that did not decode (white), or ``kept`` from another run."""

    path: Path
    status: Status
    bad: int = 0
    kept: bool = False


def fit_whole_slide(slide: Slide, appearance: Appearance) -> ImageMap:
    """The slide's map, fitted on a sample of its tissue at the usual scale. Raises what finding tissue raises."""
    if not appearance.looks_at_source:
        return appearance.fit([])
    grid = Grid()
    regions = [patch.region for patch in find_tissue(slide, grid).patches]
    return fit_slide(slide, regions, appearance, grid.patch_px)


def copy_name(path: Path) -> str:
    """What the copy of a slide is called."""
    return path.name.removesuffix(path.suffix).removesuffix(".ome") + ENDING


def normalize_slide(
    path: Path,
    target: Path,
    appearance: Appearance,
    *,
    mpp: float | None,
    threads: int,
    quality: int,
    progress: Progress,
) -> SlideCopy:
    """Write ``target`` (OME-TIFF) at the full resolution of the slide, with smaller levels.

    A copy that an earlier run made of the same bytes into the same space is kept as it is. Label and macro
    images and the vendor's metadata are not copied.

    Raises
    ------
    InputError
        the slide cannot be used, or nowhere decodes, or is the target itself.
    UsageError
        the copy cannot be written.
    """
    note = json.dumps({"histokin": {"space": appearance.space, "source": fingerprint(path), "quality": quality}})
    if target.exists() and target.samefile(path):
        raise InputError("its copy would replace it", remedy="Choose another --out", path=path)
    if target.exists() and description_of(target) == note:
        return SlideCopy(target, Status(), kept=True)
    with open_slide(path, mpp=mpp) as slide:
        require_mpp(slide)
        fitted = fit_whole_slide(slide, appearance)
        places = list(tile_places(slide.width, slide.height))
        progress.begin(path.name, len(places))
        mapped = fast_form(fitted, slide.width * slide.height)
        bad: list[BadPixels] = []
        tiles = _tiles(slide, mapped, places, threads, bad, progress)
        write_pyramid(
            target,
            tiles,
            width=slide.width,
            height=slide.height,
            mpp=require_mpp(slide),
            description=note,
            quality=quality,
        )
    return SlideCopy(target, fitted.status, len(bad))


def _tiles(
    slide: Slide, mapped: ImageMap, places: list[Tile], threads: int, bad: list[BadPixels], progress: Progress
) -> Iterator[RGB]:
    """Mapped tiles in order; a place that does not decode is white and noted in ``bad``."""
    margin = MARGIN if mapped.looks_around else 0

    def work(place: Tile) -> RGB:
        x, y, w, h = place
        region = Region(x - margin, y - margin, w + 2 * margin, h + 2 * margin)
        image = mapped(slide.read(region, region.width, region.height))
        return np.ascontiguousarray(np.asarray(image)[margin : margin + h, margin : margin + w])

    results = in_order(work, places, threads=threads, window=4 * threads)
    for (_, _, w, h), result in zip(places, results, strict=True):
        if isinstance(result, BadPixels):
            bad.append(result)
            if len(bad) == len(places):
                raise result
            yield np.full((h, w, 3), 255, np.uint8)
        else:
            yield result
        progress.advance(1)
