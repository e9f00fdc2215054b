"""Word counts of many images as one sparse matrix: what a bag-of-words encoder gives, and how a store keeps it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float32, Int, Int32, Int64

from histokin.errors import ArchiveError


@final
@dataclass(frozen=True, eq=False)
class Counts:
    """Compressed sparse rows: row ``i`` holds ``values[starts[i]:starts[i + 1]]`` at ``words[...]``, ascending.

    ``words`` lie in 0 to ``dim`` - 1, each once a row; ``values`` are how often each occurs, above 0.
    """

    starts: Int64[np.ndarray, "n1"]
    words: Int32[np.ndarray, "z"]
    values: Float32[np.ndarray, "z"]
    dim: int

    @classmethod
    def of(cls, matrix: Any) -> "Counts":
        """From a SciPy sparse matrix, or anything with ``indptr``, ``indices``, ``data`` and ``shape``."""
        sorted_matrix = matrix.sorted_indices()
        return cls(
            np.asarray(sorted_matrix.indptr, np.int64),
            np.asarray(sorted_matrix.indices, np.int32),
            np.asarray(sorted_matrix.data, np.float32),
            int(matrix.shape[1]),
        )

    @classmethod
    def join(cls, parts: Sequence["Counts"], dim: int) -> "Counts":
        """The rows of several, one after the other."""
        lengths = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.starts) for part in parts)])
        words = np.concatenate([np.empty(0, np.int32), *(part.words for part in parts)])
        values = np.concatenate([np.empty(0, np.float32), *(part.values for part in parts)])
        return cls(np.cumsum(lengths).astype(np.int64), words, values, dim)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def matrix(self) -> Any:
        """The same as a SciPy CSR matrix "n dim", float32; nothing is copied."""
        from scipy.sparse import csr_matrix

        return csr_matrix((self.values, self.words, self.starts), shape=(len(self), self.dim), copy=False)

    def rows(self, chosen: Int[np.ndarray, "r"]) -> "Counts":
        """Some rows, in the order given."""
        lengths = np.diff(self.starts)[chosen]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.arange(int(starts[-1])) + np.repeat(self.starts[chosen] - starts[:-1], lengths)
        return Counts(starts, np.asarray(self.words[places]), np.asarray(self.values[places]), self.dim)

    def check(self) -> None:
        """Raises :class:`ArchiveError` for counts that are no counts, or words that the vocabulary does not have."""
        lengths = np.diff(self.starts)
        fits = (
            len(self.starts) > 0
            and int(self.starts[0]) == 0
            and bool((lengths >= 0).all())
            and int(self.starts[-1]) == len(self.words) == len(self.values)
        )
        inside = fits and (not len(self.words) or (int(self.words.min()) >= 0 and int(self.words.max()) < self.dim))
        if not inside or not (np.isfinite(self.values) & (self.values > 0)).all():
            raise ArchiveError(
                f"the word counts do not fit a vocabulary of {self.dim} words", remedy="Check the encoder"
            )
        steps = np.diff(self.words.astype(np.int64))
        steps[self.starts[1:-1][(self.starts[1:-1] > 0) & (self.starts[1:-1] < len(self.words))] - 1] = 1
        if (steps <= 0).any():
            raise ArchiveError("a word is counted twice, or words are out of order", remedy="Check the encoder")


@final
class Gathered:
    """Rows of counts that come in any order, put into theirs at the end."""

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._rows: list[Int64[np.ndarray, "r"]] = []
        self._parts: list[Counts] = []

    def add(self, rows: Int64[np.ndarray, "r"], words: Any, values: Any) -> None:
        """Rows of the result, and for each its list of words and of values (Arrow list arrays)."""
        lengths = words.value_lengths().to_numpy(zero_copy_only=False)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        flat = words.flatten().to_numpy().astype(np.int32), values.flatten().to_numpy().astype(np.float32)
        self._rows.append(np.asarray(rows, np.int64))
        self._parts.append(Counts(starts, *flat, self._dim))

    def counts(self) -> Counts:
        """All rows in order. Every row from 0 to their number was added once, or they do not come out right."""
        together = Counts.join(self._parts, self._dim)
        rows = np.concatenate([np.empty(0, np.int64), *self._rows])
        return together.rows(np.argsort(rows, kind="stable"))
