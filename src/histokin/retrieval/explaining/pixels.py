"""The pictures of an answer again, prepared as they were when they were encoded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from histokin.archive.records import Source
from histokin.errors import UnreadableFile
from histokin.retrieval.answer import Answer, Match
from histokin.retrieval.preparing import square
from histokin.retrieval.queries import PatchQuery, Query
from histokin.retrieval.searching import Searcher
from histokin.slides.base import Slide
from histokin.slides.reading import open_slide
from histokin.stain.registry import map_from_dict
from histokin.types import RGB, Region


@final
@dataclass(frozen=True, eq=False)
class Raw:
    """Pixels in the colors of their slide, its row in the archive (None: not there), and its file (None: an array)."""

    pixels: RGB
    source: Source | None
    path: Path | None


@final
class Pictures:
    """Reads the patches of a query and of its hits, and applies the image map that each was encoded with."""

    def __init__(self, searcher: Searcher, query: Query, answer: Answer) -> None:
        self._px = searcher.prepared.grid.patch_px
        self._query = query
        self._answer = answer
        self._by_path = {source.path: source for source in searcher.snapshot.sources}
        self._by_id = {source.id: source for source in searcher.snapshot.sources}

    def of_query(self, patch: int) -> RGB:
        """A patch of the query, by its place in ``answer.query.patches``, as the encoder saw it.

        Raises
        ------
        InputError
            when its slide cannot be read any more.
        """
        raw = self.query(patch)
        fitted = map_from_dict(raw.source.appearance) if raw.source else self._answer.fitted
        return raw.pixels if fitted is None else np.asarray(fitted(raw.pixels), np.uint8)

    def of_match(self, match: Match) -> RGB:
        """The patch of a hit that a match names, as the encoder saw it. Raises ``InputError`` as above."""
        raw = self.match(match)
        assert raw.source is not None
        return np.asarray(map_from_dict(raw.source.appearance)(raw.pixels), np.uint8)

    def query(self, patch: int, field: float | None = None) -> Raw:
        """A patch of the query in the colors of its slide.

        ``field`` is the side in microns to show around its middle, where the scale is known; None for the patch.
        Raises ``InputError`` as above.
        """
        info = self._answer.query
        region = info.patches[patch]
        own = self._by_path.get(info.slide_of(patch)) if info.source or info.slides else None
        if isinstance(self._query, PatchQuery) and not isinstance(self._query.image, Path):
            image = self._query.image
            cut = image[region.y : region.y + region.height, region.x : region.x + region.width]
            return Raw(square(cut, self._px), own, None)
        named = Path(info.name)
        path = named if not info.slides and named.is_file() else Path(info.slide_of(patch))
        return Raw(self._read(path, region, own.mpp if own else info.mpp, field), own, path)

    def match(self, match: Match, field: float | None = None) -> Raw:
        """The patch of a hit that a match names, in the colors of its slide; ``field`` and errors as above."""
        hit = next(hit for hit in self._answer.hits if hit.rank == match.hit)
        source = self._by_id[hit.source]
        path = Path(source.path)
        return Raw(self._read(path, match.region, source.mpp, field), source, path)

    def _read(self, path: Path, region: Region, mpp: float | None, field: float | None = None) -> RGB:
        with _opened(path, mpp) as slide:
            if slide.kind == "image" and mpp is None:  # as when it was indexed: read as it is, then resized
                return square(slide.read(region, region.width, region.height), self._px)
            if field is not None and slide.mpp is not None:
                region = _around(region, max(1, round(field / slide.mpp)))
            return slide.read(region, self._px, self._px)


def _around(region: Region, side: int) -> Region:
    """A square of this side with the same middle."""
    return Region(region.x + (region.width - side) // 2, region.y + (region.height - side) // 2, side, side)


@contextmanager
def _opened(path: Path, mpp: float | None) -> Iterator[Slide]:
    if not path.is_file():
        raise UnreadableFile("there is no such file", remedy="Put it back to have its hits explained", path=path)
    with open_slide(path, mpp=mpp) as slide:
        yield slide
