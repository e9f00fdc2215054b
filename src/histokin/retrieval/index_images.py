"""Indexing loose images: up to 512 of one folder in one transaction, fitted together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from histokin.archive.records import Source
from histokin.archive.store import Store
from histokin.errors import InputError
from histokin.retrieval.forms import as_rgb
from histokin.retrieval.index_slide import encoded
from histokin.retrieval.pictures import picture_patches, tissue_share
from histokin.retrieval.preparing import (
    FEW_TISSUE_PIXELS,
    FIT_SAMPLE,
    Ready,
    fast_form,
    jpeg,
    spread,
    tissue_pixels,
)
from histokin.retrieval.recipe import BRIGHTFIELD, Prepared
from histokin.retrieval.report import Progress
from histokin.retrieval.sources import Described, make_source
from histokin.slides.reading import open_slide
from histokin.stain.base import Appearance
from histokin.types import RGB, Image, ImageMap, Region

BATCH = 512


@final
@dataclass(frozen=True)
class LooseImage:
    """One image to index: where, what it holds, and what the user says of it."""

    path: Path
    digest: str
    said: Described


def fit_folder(
    paths: Sequence[Path], describe: Callable[[Path], Described], appearance: Appearance, prepared: Prepared
) -> tuple[ImageMap, int]:
    """Fit an appearance on an even sample of a folder; returns the map with the tissue pixels that it saw.

    Images that cannot be used are left out here and reported when their own turn comes.
    """
    if not appearance.looks_at_source or prepared.modality != BRIGHTFIELD:
        return appearance.fit([]), 0
    sample: list[RGB] = []
    for path in spread(paths, FIT_SAMPLE):
        try:
            with open_slide(path, mpp=describe(path).mpp) as slide:
                sample.extend(as_rgb(image) for _, image in picture_patches(slide, prepared)[:4])
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
    mapped = prepared.mapping(fast_form(fitted, len(images) * prepared.grid.patch_px**2))
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
) -> tuple[Source, list[tuple[Region, Image]]]:
    with open_slide(image.path, mpp=image.said.mpp) as slide:
        patches = picture_patches(slide, prepared)
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


def _ready(region: Region, picture: Image, mapped: ImageMap, prepared: Prepared) -> Ready:
    crop = jpeg(as_rgb(picture)) if prepared.crops else None
    return Ready(region, mapped(picture), crop, tissue_share(picture, prepared.modality), ())
