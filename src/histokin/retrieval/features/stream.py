"""A file's rows in pieces that end where a commit ends."""

from collections.abc import Iterator
from typing import final

import numpy as np

from histokin.retrieval.features.base import Chunk


@final
class Stream:
    """Chunks of a file, to be taken up to one entry after the other."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self._rest: Chunk | None = None

    def upto(self, stop: int) -> Iterator[Chunk]:
        """The rows not taken yet of entries before ``stop``."""
        while True:
            chunk = self._rest if self._rest is not None else next(self._chunks, None)
            self._rest = None
            if chunk is None:
                return
            cut = int(np.searchsorted(chunk.entry, stop))
            if cut:
                yield chunk.between(0, cut)
            if cut < len(chunk.entry):
                self._rest = chunk.between(cut, len(chunk.entry))
                return
