"""From a query to vectors, prepared by the archive's own recipe."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

import cv2
import numpy as np
from jaxtyping import Float64

from histokin.archive.records import Source
from histokin.archive.snapshot import Snapshot
from histokin.encoders.imported import Imported
from histokin.errors import NotComparable, TooSmall, UsageError
from histokin.retrieval.answer import QueryInfo
from histokin.retrieval.asked import Asked
from histokin.retrieval.asking_whole import PictureAsker, require_rgb
from histokin.retrieval.finding import Finder
from histokin.retrieval.forms import as_rgb
from histokin.retrieval.index_images import few_pixels_warning
from histokin.retrieval.index_slide import ENCODE_BATCH, find_tissue
from histokin.retrieval.pictures import cut_patches
from histokin.retrieval.preparing import chunks, fit_slide, spread, square, tissue_pixels
from histokin.retrieval.queries import CaseQuery, PatchQuery, Query, RegionQuery, SlideQuery
from histokin.retrieval.recipe import BRIGHTFIELD, Prepared
from histokin.retrieval.scale import Scale, require_same_scale, scale_of
from histokin.slides.base import Slide
from histokin.slides.grid import fitting_side, grid_patches
from histokin.slides.reading import open_slide, require_mpp
from histokin.slides.tissue import luminosity_fraction
from histokin.stain.base import Appearance
from histokin.stain.registry import map_from_dict
from histokin.types import RGB, ImageMap, Region, Vectors

SAMPLE_PER_REPRESENTATIVE = 4
"""A slide outside the archive is sampled at this many patches per representative."""

MOST_REGION_PATCHES = 256
EDGE_SLACK = 8
"""Pixels by which a region may exceed whole patches without another row of them."""


@final
class Asker:
    """Prepares queries for one archive."""

    def __init__(self, prepared: Prepared, snapshot: Snapshot, scale: Scale | None) -> None:
        self.prepared = prepared
        self.snapshot = snapshot
        self.scale = scale
        self.find = Finder(snapshot.sources)
        self.pictures = PictureAsker(prepared, self.find, scale)

    def ask(self, query: Query, label: str | None) -> Asked:
        """Vectors of a query. Raises ``InputError``, ``UsageError`` or ``NotComparable``."""
        if isinstance(query, PatchQuery | RegionQuery):
            self.prepared.require_modality(query.modality)
            if self.prepared.whole:
                return self.pictures.ask(query, label)
        elif self.prepared.encoder.spec.kind == "counts":
            raise UsageError(
                "an archive of word counts is searched by pictures, not by whole slides or cases",
                remedy="Give --image FILE, or --slide with --region",
            )
        match query:
            case PatchQuery():
                return self._image(query, label)
            case RegionQuery():
                return self._region(query, label)
            case SlideQuery():
                return self._slide(query, label)
            case CaseQuery():
                return self._case(query, label)

    def _image(self, query: PatchQuery, label: str | None) -> Asked:
        own = None
        if isinstance(query.image, Path):
            path = query.image
            own = self.find.archived(path)
            if own is not None and self._only_stored(path):
                return self._stored(own, None, label)
            with open_slide(path, mpp=query.mpp or (own.mpp if own else None)) as slide:
                mpp = slide.mpp
                require_same_scale(self.scale, scale_of(mpp), self.prepared.grid, path)
                patches = cut_patches(slide, self.prepared.grid, mpp)
            name = str(path)
        else:
            mpp, name = query.mpp, "image"
            require_same_scale(self.scale, scale_of(mpp), self.prepared.grid, None)
            patches = self._cut_array(require_rgb(query.image), mpp)
        images = [image for _, image in patches]
        warnings: tuple[str, ...] = ()
        if own is not None:
            fitted = map_from_dict(own.appearance)
        else:
            fitted = self._styled(query).fit(images)
            note = few_pixels_warning(name, tissue_pixels(images), self.prepared.appearance)
            note = note or (None if fitted.status.ok else f"{name}: colors left as they are: {fitted.status.reason}")
            warnings = (note,) if note else ()
        regions = tuple(region for region, _ in patches)
        whole = _hull(regions)
        info = QueryInfo(name, own.path if own else None, whole, mpp, label or _label(own), regions)
        return Asked(info, self._encode(images, fitted), _even(len(images)), _some(own), warnings, fitted)

    def _cut_array(self, image: RGB, mpp: float | None) -> list[tuple[Region, RGB]]:
        px = self.prepared.grid.patch_px
        height, width = image.shape[:2]
        if mpp is None:
            return [(Region(0, 0, width, height), square(image, px))]
        regions = grid_patches(width, height, mpp, self.prepared.grid, centered=True)
        cut = [(r, image[r.y : r.y + r.height, r.x : r.x + r.width]) for r in regions]
        return [(region, square(picture, px)) for region, picture in cut]

    def _region(self, query: RegionQuery, label: str | None) -> Asked:
        own = self.find.archived(query.slide)
        if own is not None and self._only_stored(Path(own.path)):
            return self._stored(own, query.region, label)
        path = self.find.file(query.slide, own)
        with open_slide(path, mpp=query.mpp or (own.mpp if own else None)) as slide:
            require_same_scale(self.scale, scale_of(require_mpp(slide)), self.prepared.grid, path)
            region, warnings = self._whole_patch(slide, query.region)
            regions, images, note = self._read_region(slide, region)
            fitted = map_from_dict(own.appearance) if own else self._fit(slide, self._styled(query))
            info = QueryInfo(
                str(path), own.path if own else None, region, slide.mpp, label or _label(own), tuple(regions)
            )
        return Asked(info, self._encode(images, fitted), _even(len(images)), _some(own), warnings + note, fitted)

    def _whole_patch(self, slide: Slide, region: Region) -> tuple[Region, tuple[str, ...]]:
        """The region, grown to one patch where it is smaller; refused where it leaves the slide."""
        inside = region.x >= 0 and region.y >= 0 and region.width > 0 and region.height > 0
        if not inside or region.x + region.width > slide.width or region.y + region.height > slide.height:
            raise UsageError(
                f"region {region.x},{region.y},{region.width},{region.height} is not inside the slide",
                remedy=f"Give x,y,w,h in level-0 pixels; this slide is {slide.width} x {slide.height}",
                path=slide.path,
            )
        grid = self.prepared.grid
        side = fitting_side(slide.width, slide.height, require_mpp(slide), grid, path=slide.path)
        if region.width >= side and region.height >= side:
            return region, ()
        width, height = max(region.width, side), max(region.height, side)
        x = min(max(0, region.x + (region.width - width) // 2), slide.width - width)
        y = min(max(0, region.y + (region.height - height) // 2), slide.height - height)
        note = f"the region is smaller than one patch ({side} x {side} pixels here) and was grown to it"
        return Region(x, y, width, height), (note,)

    def _read_region(self, slide: Slide, region: Region) -> tuple[list[Region], list[RGB], tuple[str, ...]]:
        """The tissue patches of a region, and a note on what was left out; all where none holds enough tissue."""
        grid = self.prepared.grid
        regions = spread(cover(region, grid.side(require_mpp(slide))), MOST_REGION_PATCHES)
        images = [slide.read(r, grid.patch_px, grid.patch_px) for r in regions]
        kept = [i for i, image in enumerate(images) if luminosity_fraction(image) >= grid.min_tissue]
        kept = kept or list(range(len(regions)))
        out = len(regions) - len(kept)
        note = (
            (f"{out} of {len(regions)} places in the region hold too little tissue and were left out",) if out else ()
        )
        return [regions[i] for i in kept], [images[i] for i in kept], note

    def _slide(self, query: SlideQuery, label: str | None) -> Asked:
        own = self.find.archived(query.slide)
        if own is not None:
            return self._from_archive((own,), own.path, query.patches, label or _label(own))
        path = self.find.file(query.slide, own)
        if self.prepared.modality != BRIGHTFIELD:
            raise NotComparable(
                f"a slide is read as brightfield, the archive holds {self.prepared.modality} images",
                remedy="Search with a picture: --image FILE --modality NAME",
                path=path,
            )
        with open_slide(path, mpp=query.mpp) as slide:
            require_same_scale(self.scale, scale_of(require_mpp(slide)), self.prepared.grid, path)
            grid = self.prepared.grid
            tissue = [patch.region for patch in find_tissue(slide, grid).patches]
            wanted = spread(tissue, SAMPLE_PER_REPRESENTATIVE * query.patches)
            fitted = fit_slide(slide, tissue, self._styled(query), grid.patch_px)
            images = (slide.read(region, grid.patch_px, grid.patch_px) for region in wanted)
            vectors = np.concatenate([self._encode(batch, fitted) for batch in chunks(images, ENCODE_BATCH)])
            mpp = slide.mpp
        rows, weights = representatives(vectors, query.patches)
        info = QueryInfo(str(path), None, None, mpp, label, tuple(wanted[i] for i in rows))
        return Asked(info, vectors[rows], weights, fitted=fitted)

    def _case(self, query: CaseQuery, label: str | None) -> Asked:
        own = tuple(s for s in self.snapshot.sources if s.columns.get("patient") == query.patient)
        if not own:
            patients = sorted({s.columns["patient"] for s in self.snapshot.sources if "patient" in s.columns})
            raise UsageError(
                f"no slide of patient '{query.patient}' is in the archive",
                remedy=f"Patients there: {', '.join(patients[:10])}{', ...' if len(patients) > 10 else ''}"
                if patients
                else "Index with --labels TABLE, where the table has a column 'patient'",
            )
        labels = {s.label for s in own}
        known = label or (labels.pop() if len(labels) == 1 else None)
        return self._from_archive(own, query.patient, query.patches, known)

    def _from_archive(self, own: Sequence[Source], name: str, patches: int, label: str | None) -> Asked:
        """Representative vectors of slides that are in the archive; nothing is read or encoded again."""
        places = {source.id: place for place, source in enumerate(self.snapshot.sources)}
        mine = np.concatenate([np.r_[self.snapshot.rows_of(place)] for place in sorted(places[s.id] for s in own)])
        rows = np.array(spread(mine.tolist(), 16 * patches), np.int64)
        vectors = np.asarray(self.snapshot.vectors[rows], np.float32)
        chosen, weights = representatives(vectors, patches)
        regions = tuple(self.snapshot.region(int(rows[i])) for i in chosen)
        slides = tuple(self.snapshot.sources[self.snapshot.source_index[rows[i]]].path for i in chosen)
        source = own[0].path if len(own) == 1 else None
        info = QueryInfo(name, source, None, own[0].mpp, label, regions, slides)
        return Asked(info, vectors[chosen], weights, tuple(own))

    def _only_stored(self, path: Path) -> bool:
        """True where vectors were imported, and neither pixels nor encoder are here to make the query's anew."""
        encoder = self.prepared.encoder
        return isinstance(encoder, Imported) and (not path.is_file() or encoder.missing is not None)

    def _stored(self, own: Source, region: Region | None, label: str | None) -> Asked:
        """A query by the archive's own vectors of an image, or of the patches centered in a region."""
        place = next(i for i, source in enumerate(self.snapshot.sources) if source.id == own.id)
        mine = self.snapshot.rows_of(place)
        rows = np.arange(mine.start, mine.stop)
        if region is not None:
            boxes = self.snapshot.boxes[mine].astype(np.int64)
            offset = boxes[:, :2] + boxes[:, 2:] // 2 - [region.x, region.y]
            rows = rows[((offset >= 0) & (offset < [region.width, region.height])).all(axis=1)]
        if not len(rows):
            remedy = "Give a larger region; the archive holds its patches only"
            raise UsageError("no patch of the archive lies in the region", remedy=remedy, path=own.path)
        chosen = spread(rows.tolist(), MOST_REGION_PATCHES)
        regions = tuple(self.snapshot.region(row) for row in chosen)
        vectors = np.asarray(self.snapshot.vectors[chosen], np.float32)
        info = QueryInfo(own.path, own.path, region or _hull(regions), own.mpp, label or own.label, regions)
        note = f"{own.name}: searched for by the vectors in the archive"
        return Asked(info, vectors, _even(len(chosen)), (own,), (note,))

    def _styled(self, query: PatchQuery | RegionQuery | SlideQuery) -> Appearance:
        """The appearance for where the query comes from. Raises :class:`~histokin.errors.MissingStyle`."""
        return self.prepared.appearance.for_style(query.centre)

    def _fit(self, slide: Slide, appearance: Appearance) -> ImageMap:
        patches = find_tissue(slide, self.prepared.grid).patches
        px = self.prepared.grid.patch_px
        return fit_slide(slide, [patch.region for patch in patches], appearance, px)

    def _encode(self, images: Sequence[RGB], fitted: ImageMap) -> Vectors:
        if fitted.input.channels != 3:
            raise NotComparable(
                f"the query has 3 channels, its map takes {fitted.input.channels}",
                remedy="Search with an image of the modality the map was made for",
            )
        if not images:
            raise TooSmall("the query holds no patch", remedy="Give a larger image or region")
        mapped = self.prepared.mapping(fitted)
        return self.prepared.encoder.encode([as_rgb(mapped(image)) for image in images])


def cover(region: Region, side: int) -> list[Region]:
    """Squares that cover a region to its edges, evenly spread, row by row; they overlap where it is no multiple.

    A region of one square is that square.
    """
    across = [region.x + offset for offset in _offsets(region.width, side)]
    down = [region.y + offset for offset in _offsets(region.height, side)]
    return [Region(x, y, side, side) for y in down for x in across]


def _offsets(length: int, side: int) -> list[int]:
    count = max(1, -(-(length - EDGE_SLACK) // side))
    return [int(offset) for offset in np.linspace(0, max(0, length - side), count).round()]


def representatives(vectors: Vectors, count: int) -> tuple[list[int], Float64[np.ndarray, "m"]]:
    """At most ``count`` rows that stand for all: the members nearest to the centers of k-means clusters.

    Returns their indices in ascending order, and the share of all rows in each one's cluster (sums to 1).
    """
    if len(vectors) <= count:
        return list(range(len(vectors))), _even(len(vectors))
    cv2.setRNGSeed(0)  # k-means++ seeds from OpenCV's generator
    stop = (cv2.TERM_CRITERIA_MAX_ITER, 10, 0.0)
    _, labels, centers = cv2.kmeans(vectors, count, None, stop, 1, cv2.KMEANS_PP_CENTERS)
    labels = labels.ravel()
    distances = np.linalg.norm(vectors - centers[labels], axis=1)
    order = np.lexsort((distances, labels))
    _, first, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    chosen = order[first]
    by_row = np.argsort(chosen)
    return [int(i) for i in chosen[by_row]], (sizes[by_row] / len(vectors)).astype(np.float64)


def _even(count: int) -> Float64[np.ndarray, "n"]:
    return np.full(count, 1.0 / max(count, 1))


def _label(own: Source | None) -> str | None:
    return own.label if own else None


def _some(own: Source | None) -> tuple[Source, ...]:
    return (own,) if own else ()


def _hull(regions: Sequence[Region]) -> Region:
    left, top = min(r.x for r in regions), min(r.y for r in regions)
    right = max(r.x + r.width for r in regions)
    return Region(left, top, right - left, max(r.y + r.height for r in regions) - top)
