"""Loose pictures as an archive takes them: cut into patches, or whole and in the channels of their microscope."""

import numpy as np

from histokin.errors import InputError, NoTissue, TooCoarse, TooSmall, UnsupportedFormat
from histokin.retrieval.forms import resampled
from histokin.retrieval.preparing import square
from histokin.retrieval.recipe import BRIGHTFIELD, Prepared
from histokin.slides.base import Slide
from histokin.slides.channels import channel_count, read_channels
from histokin.slides.grid import MAX_UPSAMPLING, Grid, grid_patches
from histokin.slides.tissue import is_blank, luminosity_fraction
from histokin.types import RGB, Image, Region

LARGEST_UNSCALED = 4096
LARGEST_WHOLE = 4096
SMALLEST_WHOLE = 32


def cut_patches(slide: Slide, grid: Grid, mpp: float | None) -> list[tuple[Region, RGB]]:
    """The patches of a loose brightfield image, resized to the grid's patch side.

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
        raise _blank(slide)
    return kept


def picture_patches(slide: Slide, prepared: Prepared, modality: str | None = None) -> list[tuple[Region, Image]]:
    """A loose image as the archive takes it, seen through a microscope (the archive's own where None is named).

    In an archive of whole pictures it stays one, at its own pixels or, where its scale is known, at the grid's, in
    the channels and bits of its file unless it is brightfield; otherwise :func:`cut_patches`.

    Raises
    ------
    NoTissue, TooSmall, TooCoarse, UnsupportedFormat
    """
    if not prepared.whole:
        return [*cut_patches(slide, prepared.grid, slide.mpp)]
    whole = Region(0, 0, slide.width, slide.height)
    picture = whole_picture(slide, whole, prepared, modality or prepared.modality)
    if is_empty(picture, modality or prepared.modality):
        raise _blank(slide)
    return [(whole, picture)]


def whole_picture(slide: Slide, region: Region, prepared: Prepared, modality: str) -> Image:
    """One region in one piece, resampled to the grid's scale where that of the slide is known."""
    height, width = (_at_scale(side, slide.mpp, prepared.grid, slide) for side in (region.height, region.width))
    if modality == BRIGHTFIELD:
        if prepared.representation is not None and channel_count(slide) == 1:
            raise UnsupportedFormat(
                "it has one channel, and brightfield images have three",
                remedy="Say what it is with --modality, or save it as RGB",
                path=slide.path,
            )
        return slide.read(region, width, height)
    image = read_channels(slide)[region.y : region.y + region.height, region.x : region.x + region.width]
    return resampled(image, width, height)


def is_empty(image: Image, modality: str) -> bool:
    """True for a picture without content: blank for brightfield, of one value throughout for other microscopes."""
    if modality == BRIGHTFIELD and image.shape[2] == 3:
        return is_blank(np.asarray(image, np.uint8))
    return bool(image.min() == image.max())


def tissue_share(image: Image, modality: str) -> float:
    """Share of tissue, 0 to 1, by the rule for brightfield patches; 1 for other microscopes, which no rule judges."""
    return luminosity_fraction(np.asarray(image, np.uint8)) if modality == BRIGHTFIELD else 1.0


def _at_scale(side: int, mpp: float | None, grid: Grid, slide: Slide) -> int:
    """A length in pixels at the grid's scale; refused where the picture gets too small or too large to be whole."""
    if mpp is not None and mpp / grid.mpp > MAX_UPSAMPLING:
        raise TooCoarse(
            f"its pixels span {mpp:.4g} µm, more than {MAX_UPSAMPLING:g} times the {grid.mpp:.4g} µm of the archive",
            remedy=f"Use a coarser grid, for example --grid-mpp {mpp:.4g}",
            path=slide.path,
        )
    wanted = side if mpp is None else max(1, round(side * mpp / grid.mpp))
    if wanted < SMALLEST_WHOLE or wanted > LARGEST_WHOLE:
        raise TooSmall(
            f"{wanted} pixels are {'too few' if wanted < SMALLEST_WHOLE else 'too many'} for a picture in one piece",
            remedy=f"Give one with sides of {SMALLEST_WHOLE} to {LARGEST_WHOLE} pixels",
            path=slide.path,
        )
    return wanted


def _blank(slide: Slide) -> InputError:
    remedy = "Leave it out, or look whether it was exported wrongly"
    return NoTissue("the image is blank", remedy=remedy, path=slide.path)
