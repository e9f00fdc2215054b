"""Images in which queries are placed, with what queries of one size have in common kept for the next one."""

from collections.abc import Iterator, Sequence
from typing import final

from histokin.retrieval.subimage.masked_correlation import Covered, Field, Shared, Spectra, covered
from histokin.retrieval.subimage.pyramid import Pixels, Pyramid

MOST_BYTES = 1 << 29
"""Of memory for what is kept, half a gigabyte."""


@final
class Gallery:
    """Images for many queries: the spectra of the images and what turned masks cover of them are worked out once.

    Both depend on a query's size alone, not on its pixels; of queries of another size nothing can be used again.

    Parameters
    ----------
    images : "h w c" of any data type, with equally many channels.
    most_bytes : what may be kept; what does not fit is worked out for every query, with the same result.
    """

    def __init__(self, images: Sequence[Pixels], most_bytes: int = MOST_BYTES) -> None:
        self._pyramids = [Pyramid(image) for image in images]
        self._most, self._bytes = most_bytes, 0
        self._size: tuple[int, ...] = ()
        self._fields: dict[int, Field] = {}
        self._covered: dict[tuple[int, float], Covered] = {}

    def __len__(self) -> int:
        return len(self._pyramids)

    def __iter__(self) -> Iterator[Pyramid]:
        return iter(self._pyramids)

    def __getitem__(self, number: int) -> Pyramid:
        return self._pyramids[number]

    def prepare(self, height: int, width: int, shrink: int) -> None:
        """Be ready for queries of this size at this shrink: what was kept for others is dropped."""
        if self._size != (height, width, shrink):
            self._fields.clear()
            self._covered.clear()
            self._size, self._bytes = (height, width, shrink), 0

    def field(self, number: int, shrink: int, reach: int) -> Field:
        """Spectra of an image at one level, see :meth:`Pyramid.field`."""
        if number in self._fields:
            return self._fields[number]
        made = self._pyramids[number].field(shrink, reach)
        if self._fits(made.nbytes):
            self._fields[number] = made
        return made

    def covered(self, number: int, angle: float, query: Spectra, where: Field, common: Shared) -> Covered:
        """What the query's mask, turned by ``angle``, covers of an image."""
        if (number, angle) in self._covered:
            return self._covered[number, angle]
        made = covered(query, where, common)
        if self._fits(made.nbytes):
            self._covered[number, angle] = made
        return made

    def _fits(self, count: int) -> bool:
        if self._bytes + count > self._most:
            return False
        self._bytes += count
        return True
