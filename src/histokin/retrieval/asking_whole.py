"""Queries in one piece: a picture of any microscope that the archive's representation maps."""

from pathlib import Path
from typing import final

import numpy as np

from histokin.archive.records import Source
from histokin.errors import NotComparable, TooSmall, UsageError
from histokin.retrieval.answer import QueryInfo, Seen
from histokin.retrieval.asked import Asked
from histokin.retrieval.finding import Finder
from histokin.retrieval.forms import as_rgb, resampled
from histokin.retrieval.index_images import few_pixels_warning
from histokin.retrieval.pictures import LARGEST_WHOLE, SMALLEST_WHOLE, is_empty, whole_picture
from histokin.retrieval.preparing import tissue_pixels
from histokin.retrieval.queries import PatchQuery, RegionQuery
from histokin.retrieval.recipe import BRIGHTFIELD, Prepared
from histokin.retrieval.scale import Scale, require_same_scale, scale_of
from histokin.slides.reading import open_slide
from histokin.stain.registry import map_from_dict
from histokin.types import RGB, Image, ImageMap, Region


@final
class PictureAsker:
    """Prepares pictures and regions as queries for an archive of whole pictures."""

    def __init__(self, prepared: Prepared, find: Finder, scale: Scale | None) -> None:
        self._prepared = prepared
        self._find = find
        self._scale = scale

    def ask(self, query: PatchQuery | RegionQuery, label: str | None) -> Asked:
        """The vector or word counts of a picture.

        Raises
        ------
        InputError, UsageError
        NotComparable
            for a modality that nothing maps, or another kind of scale.
        """
        modality = self._prepared.require_modality(query.modality)
        if isinstance(query, RegionQuery):
            info, picture, own = self._from_file(query.slide, query.region, query.mpp, modality)
        elif isinstance(query.image, Path):
            info, picture, own = self._from_file(query.image, None, query.mpp, modality)
        else:
            info, picture, own = *self._from_array(query.image, query.mpp, modality), None
        if is_empty(picture, modality):
            raise TooSmall("the query is blank", remedy="Give a picture or a region with something to see on it")
        fitted, warnings = self._fitted(query, picture, own, modality, info.name)
        mapping = self._prepared.mapping(fitted, modality)
        mapped = mapping(picture)
        known = label or (own.label if own else None)
        info = QueryInfo(info.name, info.source, info.region, info.mpp, known, info.patches)
        return Asked(
            info,
            self._prepared.vectors([mapped]),
            np.ones(1),
            (own,) if own else (),
            warnings + self._across(modality),
            mapping,
            Seen(picture, mapped, modality),
        )

    def _from_file(
        self, named: Path, region: Region | None, mpp: float | None, modality: str
    ) -> tuple[QueryInfo, Image, Source | None]:
        """The picture of a file or of a region of it, and the archive's source that it is, if it is one."""
        own = self._find.archived(named) if modality == self._prepared.modality else None
        path = self._find.file(named, own)
        with open_slide(path, mpp=mpp or (own.mpp if own else None)) as slide:
            require_same_scale(self._scale, scale_of(slide.mpp), self._prepared.grid, path)
            wanted = region or Region(0, 0, slide.width, slide.height)
            inside = wanted.x >= 0 and wanted.y >= 0 and wanted.width > 0 and wanted.height > 0
            if not inside or wanted.x + wanted.width > slide.width or wanted.y + wanted.height > slide.height:
                raise UsageError(
                    f"region {wanted.x},{wanted.y},{wanted.width},{wanted.height} is not inside the picture",
                    remedy=f"Give x,y,w,h in level-0 pixels; this one is {slide.width} x {slide.height}",
                    path=path,
                )
            picture = whole_picture(slide, wanted, self._prepared, modality)
            info = QueryInfo(str(path), own.path if own else None, wanted, slide.mpp, None, (wanted,))
        return info, picture, own

    def _from_array(self, image: Image, mpp: float | None, modality: str) -> tuple[QueryInfo, Image]:
        require_same_scale(self._scale, scale_of(mpp), self._prepared.grid, None)
        if modality == BRIGHTFIELD:
            image = require_rgb(image)
        height, width = image.shape[:2]
        region = Region(0, 0, width, height)
        if mpp is not None:
            width, height = (max(1, round(side * mpp / self._prepared.grid.mpp)) for side in (width, height))
        if min(width, height) < SMALLEST_WHOLE or max(width, height) > LARGEST_WHOLE:
            raise TooSmall(
                f"{width} x {height} pixels are {'few' if min(width, height) < SMALLEST_WHOLE else 'many'}",
                remedy=f"Give a picture with sides of {SMALLEST_WHOLE} to {LARGEST_WHOLE} pixels",
            )
        return QueryInfo("image", None, region, mpp, None, (region,)), resampled(image, width, height)

    def _fitted(
        self, query: PatchQuery | RegionQuery, picture: Image, own: Source | None, modality: str, name: str
    ) -> tuple[ImageMap, tuple[str, ...]]:
        """The stain map of the query, and what there is to say of its fit; brightfield images alone have one."""
        appearance = self._prepared.appearance.for_style(query.centre)
        if own is not None:
            return map_from_dict(own.appearance), ()
        if modality != BRIGHTFIELD or not appearance.looks_at_source:
            return appearance.fit([]), ()
        images = [as_rgb(picture)]
        fitted = appearance.fit(images)
        note = few_pixels_warning(name, tissue_pixels(images), self._prepared.appearance)
        note = note or (None if fitted.status.ok else f"{name}: colors left as they are: {fitted.status.reason}")
        return fitted, (note,) if note else ()

    def _across(self, modality: str) -> tuple[str, ...]:
        made = self._prepared.representation
        if made is None or made.space != "raw" or modality == self._prepared.modality:
            return ()
        return (
            f"{modality} is compared with {self._prepared.modality} by raw pixels: a comparator, not a method; "
            "index with a trained representation",
        )


def require_rgb(image: Image) -> RGB:
    """The image itself, if it is 8-bit RGB. Raises :class:`NotComparable`."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise NotComparable(
            f"an image of shape {image.shape} and type {image.dtype} is no 8-bit RGB image",
            remedy="Give uint8 'h w 3', or name the modality that it is of",
        )
    return np.asarray(image)
