"""Indexing one slide: one transaction, its patches streamed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Int32

from histokin.archive.counts import Counts
from histokin.archive.records import PatchBatch, Source
from histokin.archive.store import Store
from histokin.errors import BadPixels, NoTissue, UnsupportedFormat
from histokin.retrieval.preparing import Ready, chunks, fast_form, fit_slide, in_order, jpeg, ready_patch
from histokin.retrieval.recipe import BRIGHTFIELD, Prepared
from histokin.retrieval.report import Progress
from histokin.retrieval.scale import Scale, require_same_scale
from histokin.retrieval.sources import THUMBNAIL_PX, Described, make_source
from histokin.slides.base import Slide
from histokin.slides.grid import Grid, grid_patches, keep_tissue
from histokin.slides.reading import open_slide, require_mpp
from histokin.slides.tissue import MASK_MPP, tissue_mask
from histokin.types import Patch, Vectors

ENCODE_BATCH = 64
ENCODE_WHOLE = 8
"""Whole pictures are larger than patches."""


@final
@dataclass(frozen=True)
class Tissue:
    """Where a slide's tissue is, and what was left out on the way there."""

    patches: tuple[Patch, ...]
    counts: dict[str, int]


def find_tissue(slide: Slide, grid: Grid) -> Tissue:
    """The patches of a slide that hold enough tissue.

    Raises :class:`~histokin.errors.MissingScale`, :class:`~histokin.errors.TooCoarse`,
    :class:`~histokin.errors.TooSmall` or :class:`~histokin.errors.NoTissue`.
    """
    mpp = require_mpp(slide)
    regions = grid_patches(slide.width, slide.height, mpp, grid, path=slide.path)
    mask = tissue_mask(slide.overview(MASK_MPP), MASK_MPP)
    patches, counts = keep_tissue(regions, mask, mpp, grid)
    if not patches:
        left_out = ", ".join(f"{value} {name}" for name, value in counts.items() if name not in ("grid", "kept"))
        raise NoTissue(
            f"no patch of {len(regions)} holds at least {grid.min_tissue:.0%} tissue ({left_out})",
            remedy="Look at the slide; for sparse tissue lower --min-tissue",
            path=slide.path,
        )
    return Tissue(tuple(patches), dict(counts))


def index_slide(
    store: Store,
    prepared: Prepared,
    path: Path,
    digest: str,
    said: Described,
    *,
    archived: Scale | None,
    threads: int,
    progress: Progress,
) -> Source:
    """Read, fit, encode and commit one slide; returns its row.

    Raises an ``InputError`` if it cannot be used, ``NotComparable`` beside patches of unknown scale (``archived``).
    """
    if prepared.modality != BRIGHTFIELD:
        raise UnsupportedFormat(
            f"a slide is read as brightfield, the archive holds {prepared.modality} images",
            remedy="Save its pictures as PNG or plain TIFF, with sides up to 4096 pixels",
            path=path,
        )
    appearance = prepared.appearance.for_style(said.style)
    with open_slide(path, mpp=said.mpp) as slide:
        grid = prepared.grid
        require_same_scale(archived, "known", grid, path)
        tissue = find_tissue(slide, grid)
        progress.begin(path.name, len(tissue.patches))
        regions = [patch.region for patch in tissue.patches]
        fitted = fit_slide(slide, regions, appearance, grid.patch_px)
        mapped = prepared.mapping(fast_form(fitted, len(regions) * grid.patch_px**2))
        counts = {**tissue.counts, "blur": 0, "bad": 0}
        source = make_source(
            slide,
            path,
            digest,
            said,
            mpp=slide.mpp,
            group=None,
            appearance=fitted.to_dict(),
            counts=counts,
            thumbnail=jpeg(slide.thumbnail(THUMBNAIL_PX), THUMBNAIL_PX),
        )

        def work(patch: Patch) -> Ready:
            return ready_patch(slide, patch, mapped, px=grid.patch_px, mpp=grid.mpp, crops=prepared.crops)

        ready = _counted(in_order(work, tissue.patches, threads=threads), counts)
        # The row's counts are complete once the last patch is taken: the store writes the row after them.
        store.commit([source], encoded(((0, item) for item in ready), prepared, progress))
        return source


def _counted(results: Iterator[Ready | BadPixels], counts: dict[str, int]) -> Iterator[Ready]:
    """Pass on what could be read, count blurred patches and places that do not decode."""
    last: BadPixels | None = None
    for result in results:
        if isinstance(result, BadPixels):
            counts["bad"] += 1
            counts["kept"] -= 1
            last = result
        else:
            counts["blur"] += "blur" in result.flags
            yield result
    if last is not None and not counts["kept"]:
        raise BadPixels(
            f"none of its {counts['bad']} tissue patches decodes ({last.reason})",
            remedy=last.remedy,
            path=last.path,
        )


def encoded(ready: Iterable[tuple[int, Ready]], prepared: Prepared, progress: Progress) -> Iterator[PatchBatch]:
    """Vectors for ready patches, a batch at a time; each comes with the place of its source in the commit."""
    for batch in chunks(ready, ENCODE_WHOLE if prepared.whole else ENCODE_BATCH):
        items = [item for _, item in batch]
        vectors = prepared.vectors([item.image for item in items])
        places = np.array([place for place, _ in batch], np.int32)
        yield make_batch(items, vectors, places, crops=prepared.crops)
        progress.advance(len(batch))


def make_batch(
    batch: Sequence[Ready],
    vectors: Vectors | Counts,
    sources: Int32[np.ndarray, "n"],
    *,
    crops: bool,
) -> PatchBatch:
    """The store's form of a batch; ``sources`` says which source each patch belongs to."""
    boxes = [(r.region.x, r.region.y, r.region.width, r.region.height) for r in batch]
    return PatchBatch(
        source=sources,
        boxes=np.array(boxes, np.int32).reshape(-1, 4),
        tissue=np.array([item.tissue for item in batch], np.float32),
        flags=[",".join(item.flags) for item in batch],
        vectors=vectors,
        crops=[item.crop or b"" for item in batch] if crops else None,
    )
