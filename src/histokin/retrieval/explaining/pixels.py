"""The pictures of an answer again, prepared as they were when they were encoded."""

from collections.abc import Iterator
from contextlib import contextmanager
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
        info = self._answer.query
        region = info.patches[patch]
        own = self._by_path.get(info.slide_of(patch)) if info.source or info.slides else None
        if isinstance(self._query, PatchQuery) and not isinstance(self._query.image, Path):
            image = self._query.image
            picture = square(image[region.y : region.y + region.height, region.x : region.x + region.width], self._px)
        else:
            named = Path(info.name)
            path = named if not info.slides and named.is_file() else Path(info.slide_of(patch))
            picture = self._read(path, region, own.mpp if own else info.mpp)
        fitted = map_from_dict(own.appearance) if own else self._answer.fitted
        return picture if fitted is None else np.asarray(fitted(picture), np.uint8)

    def of_match(self, match: Match) -> RGB:
        """The patch of a hit that a match names, as the encoder saw it. Raises ``InputError`` as above."""
        hit = next(hit for hit in self._answer.hits if hit.rank == match.hit)
        source: Source = self._by_id[hit.source]
        picture = self._read(Path(source.path), match.region, source.mpp)
        return np.asarray(map_from_dict(source.appearance)(picture), np.uint8)

    def _read(self, path: Path, region: Region, mpp: float | None) -> RGB:
        with _opened(path, mpp) as slide:
            if slide.kind == "image" and mpp is None:  # as when it was indexed: read as it is, then resized
                return square(slide.read(region, region.width, region.height), self._px)
            return slide.read(region, self._px, self._px)


@contextmanager
def _opened(path: Path, mpp: float | None) -> Iterator[Slide]:
    if not path.is_file():
        raise UnreadableFile("there is no such file", remedy="Put it back to have its hits explained", path=path)
    with open_slide(path, mpp=mpp) as slide:
        yield slide
