"""The contract of every re-ranker: the nearest images, looked at again with the query's picture beside them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, final, runtime_checkable

import numpy as np

from histokin.archive.records import Source
from histokin.encoders.base import LocalFeatures, Points
from histokin.errors import UnreadableFile, UsageError
from histokin.retrieval.answer import Seen
from histokin.retrieval.pictures import whole_picture
from histokin.retrieval.recipe import Prepared
from histokin.slides.reading import open_slide
from histokin.stain.registry import map_from_dict
from histokin.types import Hit, Image, Region

MOST_KEPT = 32
"""Pictures kept in memory: re-ranking looks at each hit once or twice."""


@runtime_checkable
class Describes(Protocol):
    """An encoder that is built on local features."""

    @property
    def features(self) -> LocalFeatures:
        """What it describes an image by."""


@final
@dataclass(frozen=True, eq=False)
class Context:
    """What a re-ranker may know of the archive: pixels and local features of a hit, made comparable.

    ``images`` is how many pictures could have answered: the repository's size.
    """

    prepared: Prepared
    sources: Mapping[str, Source]
    images: int
    _kept: dict[tuple[str, Region], Image] = field(default_factory=dict, repr=False)

    def picture(self, hit: Hit) -> Image:
        """The hit's picture as the encoder saw it: ``uint8`` "h w 1" or "h w 3", at the archive's scale.

        Raises
        ------
        InputError
            when its file is not there any more or does not decode.
        """
        source = self.sources[hit.source]
        region = hit.region or Region(0, 0, source.width, source.height)
        key = (source.id, region)
        if key not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = self._read(source, region)
        return self._kept[key]

    def points(self, hit: Hit) -> Points:
        """The local features of the hit's picture. Raises :class:`UsageError` where the encoder has none."""
        return self.features.describe(self.picture(hit))

    @property
    def features(self) -> LocalFeatures:
        """The local features that the archive's encoder is built on. Raises :class:`UsageError` where it has none."""
        made = self.prepared.encoder
        if not isinstance(made, Describes):
            raise UsageError(
                f"the archive's encoder {made.spec.name} has no local features",
                remedy="Index with --encoder bag-of-words, or search without this method",
            )
        return made.features

    def place(self, hit: Hit, region: Region) -> Region:
        """A part of the hit's picture as a place of its slide, in level-0 pixels."""
        whole = hit.region or Region(0, 0, self.sources[hit.source].width, self.sources[hit.source].height)
        height, width = self.picture(hit).shape[:2]
        across, down = whole.width / width, whole.height / height
        return Region(
            whole.x + round(region.x * across),
            whole.y + round(region.y * down),
            max(1, round(region.width * across)),
            max(1, round(region.height * down)),
        )

    def _read(self, source: Source, region: Region) -> Image:
        path = Path(source.path)
        if not path.is_file():
            raise UnreadableFile(
                "there is no such file, and re-ranking looks at its pixels",
                remedy="Index it again from where it is now, or search without re-ranking",
                path=path,
            )
        mapping = self.prepared.mapping(map_from_dict(source.appearance))
        with open_slide(path, mpp=source.mpp) as slide:
            if slide.kind == "image":
                return mapping(whole_picture(slide, region, self.prepared, self.prepared.modality))
            px = self.prepared.grid.patch_px
            return np.asarray(mapping(slide.read(region, px, px)))


class Reranker(ABC):
    """Puts hits in a better order."""

    @property
    @abstractmethod
    def depth(self) -> int:
        """How many of the first hits it looks at."""

    def most(self, images: int) -> int:
        """How many it may look at where so many could answer: fewer than half, as the paper re-ranks."""
        return max(0, (images - 1) // 2)

    @abstractmethod
    def rerank(self, query: Seen, hits: Sequence[Hit], context: Context) -> list[Hit]:
        """The hits in their new order; each may say by its ``place`` where in it the query was found.

        Parameters
        ----------
        query : the query's picture.
        hits : the first ``depth`` hits, best first; all of them come back, none is added, ranks are given anew.
        context : pixels and local features of hits.

        Raises
        ------
        InputError
            when the pixels of a hit cannot be read.
        """
