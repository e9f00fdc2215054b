"""The pictures of a set, decoded once as long as memory permits, and what they cost."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import final

import numpy as np

from histokin.cores import usable_cores
from histokin.errors import BadPixels, HistokinError, InputError
from histokin.retrieval.pictures import cut_patches
from histokin.retrieval.preparing import chunks, in_order
from histokin.retrieval.report import Progress
from histokin.slides.grid import Grid
from histokin.slides.reading import open_slide
from histokin.types import RGB

BUDGET = 2 << 30
"""Bytes of pixels that one set may keep; what is beyond is decoded again for every pass."""

BATCH = 64


def load_picture(path: Path, grid: Grid) -> RGB:
    """An image at the grid's patch size.

    Raises
    ------
    InputError
        when it cannot be read, or is blank.
    """
    with open_slide(path) as slide:
        return cut_patches(slide, grid, None)[0][1]


@final
class Pictures:
    """Images at the grid's patch size, in order, after a first look that told which can be used.

    ``seconds`` is the CPU time of all decoding so far, ``decoded`` how many images that were; ``broken`` the images
    that cannot be used, by their place among ``paths``.
    """

    def __init__(self, paths: Sequence[Path], grid: Grid, *, budget: int = BUDGET, progress: Progress) -> None:
        self.grid = grid
        self.seconds, self.decoded = 0.0, 0
        self.broken: dict[int, InputError] = {}
        self._kept: list[RGB | None] = []
        self._paths: list[Path] = []
        room = budget // (grid.patch_px**2 * 3)
        for place, picture in enumerate(self._decode(paths)):
            if isinstance(picture, InputError):
                self.broken[place] = picture
            else:
                self._paths.append(paths[place])
                self._kept.append(picture if len(self._kept) < room else None)
            progress.advance(1)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, place: int) -> RGB:
        kept = self._kept[place]
        return load_picture(self._paths[place], self.grid) if kept is None else kept

    def __iter__(self) -> Iterator[RGB]:
        return (picture for batch in self.batches() for picture in batch)

    def batches(self) -> Iterator[list[RGB]]:
        """All of them, 64 at a time. Raises what an image raises that changed meanwhile."""
        for places in chunks(range(len(self)), BATCH):
            missing = [place for place in places if self._kept[place] is None]
            read = dict(zip(missing, self._decode([self._paths[place] for place in missing]), strict=True))
            batch: list[RGB] = []
            for place in places:
                picture = read.get(place, self._kept[place])
                if isinstance(picture, InputError):
                    raise picture
                assert isinstance(picture, np.ndarray)
                batch.append(picture)
            yield batch

    def _decode(self, paths: Sequence[Path]) -> Iterator[RGB | InputError]:
        began = time.process_time()
        for picture in in_order(partial(_try, grid=self.grid), paths, threads=_cores()):
            self.seconds += time.process_time() - began
            self.decoded += 1
            yield picture
            began = time.process_time()


def _try(path: Path, grid: Grid) -> RGB | InputError:
    try:
        return load_picture(path, grid)
    except InputError as error:
        return type(error)(error.reason, remedy=error.remedy, path=error.path or path)
    except HistokinError as error:
        return BadPixels(error.reason, remedy=error.remedy, path=error.path or path)


def _cores() -> int:
    return min(4, usable_cores())
