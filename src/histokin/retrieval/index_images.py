"""Indexing loose images: up to 512 of one folder in one transaction, fitted together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from histokin.archive.records import Source
from histokin.archive.store import Store
from histokin.errors import InputError, NoTissue, TooSmall
from histokin.retrieval.index_slide import encoded
from histokin.retrieval.preparing import (
    FEW_TISSUE_PIXELS,
    FIT_SAMPLE,
    Ready,
    fast_form,
    jpeg,
    spread,
    square,
    tissue_pixels,
)
from histokin.retrieval.recipe import Prepared
from histokin.retrieval.report import Progress
from histokin.retrieval.sources import Described, make_source
from histokin.slides.base import Slide
from histokin.slides.grid import Grid, grid_patches
from histokin.slides.reading import open_slide
from histokin.slides.tissue import is_blank, luminosity_fraction
from histokin.stain.base import Appearance
from histokin.types import RGB, ImageMap, Region

BATCH = 512
LARGEST_UNSCALED = 4096


@final
@dataclass(frozen=True)
class LooseImage:
    """One image to index: where, what it holds, and what the user says of it."""

    path: Path
    digest: str
    said: Described


def image_patches(slide: Slide, grid: Grid, mpp: float | None) -> list[tuple[Region, RGB]]:
    """The patches of a loose image, resized to the grid's patch side.

    Without a scale the whole image is one patch. With one, it is cut like a small slide, centered.

    Raises
    ------
    NoTissue
        for an image without any structure.
    TooSmall, TooCoarse
        with a scale, when not one complete patch fits, or only by enlarging too much; without one, when the
        image is far too large to be one patch.
    """
    if mpp is None:
        if max(slide.width, slide.height) > LARGEST_UNSCALED:
            raise TooSmall(
                f"{slide.width} x {slide.height} pixels of unknown scale would shrink to one patch",
                remedy="Give its scale with --mpp, so that it is cut into patches",
                path=slide.path,
            )
        whole = Region(0, 0, slide.width, slide.height)
        cut = [(whole, square(slide.read(whole, slide.width, slide.height), grid.patch_px))]
    else:
        regions = grid_patches(slide.width, slide.height, mpp, grid, centered=True, path=slide.path)
        cut = [(region, slide.read(region, grid.patch_px, grid.patch_px)) for region in regions]
    kept = [(region, image) for region, image in cut if not is_blank(image)]
    if not kept:
        raise NoTissue(
            "the image is blank",
            remedy="Leave it out, or look whether it was exported wrongly",
            path=slide.path,
        )
    return kept


def fit_folder(
    paths: Sequence[Path], describe: Callable[[Path], Described], appearance: Appearance, grid: Grid
) -> tuple[ImageMap, int]:
    """Fit an appearance on an even sample of a folder; returns the map with the tissue pixels that it saw.

    Images that cannot be used are left out here and reported when their own turn comes.
    """
    if not appearance.looks_at_source:
        return appearance.fit([]), 0
    sample: list[RGB] = []
    for path in spread(paths, FIT_SAMPLE):
        try:
            with open_slide(path, mpp=describe(path).mpp) as slide:
                sample.extend(image for _, image in image_patches(slide, grid, slide.mpp)[:4])
        except InputError:
            continue
    return appearance.fit(sample), tissue_pixels(sample)


def few_pixels_warning(name: str, pixels: int, appearance: Appearance) -> str | None:
    """A warning where a fit rests on little tissue, if it rests on any."""
    if pixels >= FEW_TISSUE_PIXELS or not appearance.looks_at_source:
        return None
    return f"{name}: its stain was fitted on {pixels} tissue pixels only; colors may be off"


def index_images(
    store: Store,
    prepared: Prepared,
    images: Sequence[LooseImage],
    *,
    group: str,
    fitted: ImageMap,
    stored_map: dict[str, Any],
    progress: Progress,
    on_failure: Callable[[Exception, Path], None],
) -> list[Source]:
    """Encode and commit one batch of images; broken ones are handed to ``on_failure`` and left out."""
    mapped = fast_form(fitted, len(images) * prepared.grid.patch_px**2)
    progress.begin(group, len(images))
    sources: list[Source] = []

    def ready() -> Iterator[tuple[int, Ready]]:
        for image in images:
            try:
                row, patches = _read(image, prepared, group, stored_map)
            except MemoryError:
                raise
            except Exception as error:  # a reader's surprise with one image must not take its neighbors along
                on_failure(error, image.path)
                continue
            sources.append(row)
            for region, picture in patches:
                yield len(sources) - 1, _ready(region, picture, mapped, prepared)

    # Encoded before the commit begins, so that the rows to commit are known; vectors and crops are small.
    batches = list(encoded(ready(), prepared, progress))
    if sources:
        store.commit(sources, batches)
    return sources


def _read(
    image: LooseImage, prepared: Prepared, group: str, stored_map: dict[str, Any]
) -> tuple[Source, list[tuple[Region, RGB]]]:
    with open_slide(image.path, mpp=image.said.mpp) as slide:
        patches = image_patches(slide, prepared.grid, slide.mpp)
        row = make_source(
            slide,
            image.path,
            image.digest,
            image.said,
            mpp=slide.mpp,
            group=group,
            appearance=stored_map,
            counts={"grid": len(patches), "kept": len(patches)},
            thumbnail=None,
        )
        return row, patches


def _ready(region: Region, picture: RGB, mapped: ImageMap, prepared: Prepared) -> Ready:
    crop = jpeg(picture) if prepared.crops else None
    return Ready(region, mapped(picture), crop, luminosity_fraction(picture), ())
