"""An index of visual words: tf-idf weights of images, and exact cosine search among them.

Source: Sivic and Zisserman, "Video Google: a text retrieval approach to object matching in videos", ICCV 2003; word
frequency range and match threshold as in the image index that cross-modality retrieval was published with.

Words are looked up, images are not: rare words have lists of the images that hold them, of which a query reads its
own. Words in a large part of the images lie in one dense matrix, which is smaller than their lists and quicker to read
as a whole.
"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from histokin.errors import ArchiveError, UsageError
from histokin.extras import loaded

DIGITS = 10
"""Similarities that agree to so many decimals are ties."""

CHUNK = 1024
"""Images measured exactly at once, to bound memory."""

FREQUENT = 0.3
"""Words in a larger share of the images lie in the dense matrix; it changes time and memory, never the answer."""


@final
@dataclass(frozen=True, eq=False)
class Matches:
    """Images from most to least similar; -1 and 0 where fewer than k answer."""

    rows: Int64[np.ndarray, "m k"]
    similarity: Float64[np.ndarray, "m k"]

    @property
    def distances(self) -> Float64[np.ndarray, "m k"]:
        """1 - similarity; infinity where no image answers."""
        return np.where(self.rows >= 0, 1.0 - self.similarity, np.inf)


@final
@dataclass(frozen=True, eq=False)
class _Query:
    """One query: its weights, of length 1 or all zero, and which words it asks for."""

    weights: Float64[np.ndarray, "k"]
    asked: Float64[np.ndarray, "k"]


@final
class InvertedIndex:
    """Images by the words in them. The weight of word k in image d is ``(n_kd / n_d) ln(N / N_k)``, scaled to length 1.

    ``n_kd`` counts the word in the image, ``n_d`` all its words, ``N`` the images and ``N_k`` those that hold the
    word. A query is weighted in the same way, with the index's ``N`` and ``N_k``; the similarity is the cosine.

    Parameters
    ----------
    counts : ``scipy.sparse`` matrix "n k", one row per image, not negative; float32 CSR without explicit zeros is
        kept as it is, not copied.
    idf : False leaves out the logarithm.
    word_freq_range : words held by a smaller or a larger share of the images are ignored, in images and in queries.
    match_threshold : an image answers only if it holds at least this share of the query's different words, of those
        that are not ignored.
    sublinear : ``1 + ln(n_kd)`` in place of ``n_kd``.

    Raises
    ------
    UsageError
        when a count is negative or not finite, or an option makes no sense.
    ArchiveError
        when scipy is not installed.
    """

    def __init__(
        self,
        counts: Any,
        *,
        idf: bool = True,
        word_freq_range: tuple[float, float] = (0.01, 0.9),
        match_threshold: float = 0.01,
        sublinear: bool = False,
    ) -> None:
        low, high = word_freq_range
        if not (0 <= low <= high <= 1 and 0 <= match_threshold <= 1):
            raise UsageError(
                f"no word frequencies from {low:g} to {high:g} and match threshold {match_threshold:g}",
                remedy="Give shares in 0 to 1, the lower one first",
            )
        self._counts = _checked(counts)
        self._threshold, self._sublinear = match_threshold, sublinear
        images = len(self)
        held = np.bincount(self._counts.indices, minlength=self.words)
        share = held / max(images, 1)
        self._used: Bool[np.ndarray, "k"] = (held > 0) & (share >= low) & (share <= high)
        rarity = np.log(np.maximum(images, 1) / np.maximum(held, 1)) if idf else np.ones(self.words)
        self._idf: Float64[np.ndarray, "k"] = np.where(self._used, rarity, 0.0)
        weights = self._all_weights().T.tocsr()
        often = np.flatnonzero(self._used & (share > FREQUENT))
        self._rare = np.flatnonzero(self._used & (share <= FREQUENT)).astype(np.int32)
        self._often, self._lists = often.astype(np.int32), weights[self._rare]
        self._block: Float32[np.ndarray, "f n"] = weights[often].toarray()
        longest = int(np.diff(self._counts.indptr).max(initial=0))
        # Of a sum of so many terms in single precision whose exact value is at most 1.
        self._slack = float(np.finfo(np.float32).eps) * (longest + 8)

    def __len__(self) -> int:
        return int(self._counts.shape[0])

    @property
    def words(self) -> int:
        """Number of columns of the counts."""
        return int(self._counts.shape[1])

    @property
    def used(self) -> Bool[np.ndarray, "k"]:
        """Words that are not ignored."""
        return self._used.copy()

    @property
    def idf(self) -> Float64[np.ndarray, "k"]:
        """What the share of each word is multiplied by; 0 where it is ignored."""
        return self._idf.copy()

    def similarities(self, queries: Any) -> Float32[np.ndarray, "m n"]:
        """Cosine, 0 to 1, of every query with every image, in single precision; the match threshold is not applied."""
        asked = _checked(queries, self.words)
        out = np.empty((asked.shape[0], len(self)), np.float32)
        for row in range(len(out)):
            out[row] = self._scores(self._query(asked, row))
        return np.clip(out, 0.0, 1.0, out=out)

    def search(self, queries: Any, k: int, *, rows: Bool[np.ndarray, "n"] | None = None) -> Matches:
        """The ``k`` most similar images of every query; ties go to the lower row.

        Parameters
        ----------
        queries : ``scipy.sparse`` matrix "m k" of counts.
        rows : images that may answer; None for all. The weights remain those of all images.

        Raises
        ------
        UsageError
            when the queries have other words than the index.
        """
        asked = _checked(queries, self.words)
        k = max(k, 0)
        found, similarity = np.full((asked.shape[0], k), -1, np.int64), np.zeros((asked.shape[0], k))
        for row in range(asked.shape[0]):
            near, measured = self._nearest(self._query(asked, row), k, rows)
            found[row, : len(near)], similarity[row, : len(near)] = near, measured
        return Matches(found, similarity)

    def _scores(self, query: _Query) -> Float32[np.ndarray, "n"]:
        """Cosines in single precision."""
        weights = query.weights.astype(np.float32)
        held = np.flatnonzero(weights[self._rare])
        scores: Float32[np.ndarray, "n"] = weights[self._often] @ self._block
        scores += self._lists[held].T @ weights[self._rare[held]]
        return scores

    def _nearest(
        self, query: _Query, k: int, rows: Bool[np.ndarray, "n"] | None
    ) -> tuple[Int64[np.ndarray, "r"], Float64[np.ndarray, "r"]]:
        """The best by single precision are measured exactly; more of them, until k share enough words."""
        scores = self._scores(query)
        allowed = np.arange(len(scores)) if rows is None else np.flatnonzero(rows)
        scores = scores[allowed]
        wanted = min(k, len(allowed))
        while wanted:
            limit = np.partition(scores, len(scores) - wanted)[len(scores) - wanted] - 2 * self._slack
            near = allowed[scores >= limit].astype(np.int64)
            exact, shares = self._measured(near, query)
            order = np.lexsort((near, -exact))
            order = order[shares[order]]
            if len(order) >= k or len(near) == len(allowed):
                return near[order[:k]], exact[order[:k]]
            wanted = min(4 * wanted, len(allowed))
        return np.empty(0, np.int64), np.empty(0)

    def _measured(
        self, rows: Int64[np.ndarray, "r"], query: _Query
    ) -> tuple[Float64[np.ndarray, "r"], Bool[np.ndarray, "r"]]:
        """Cosines in double precision, rounded so that ties are ties, and whether enough words are shared."""
        exact, shares = np.empty(len(rows)), np.empty(len(rows), bool)
        needed = self._threshold * query.asked.sum()
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            some = self._counts[rows[part]].astype(np.float64)
            some.data = self._frequency(some.data) * self._idf[some.indices]
            lengths = np.sqrt(some.multiply(some).sum(axis=1)).A1
            products = some @ query.weights
            cosines = np.divide(products, lengths, out=np.zeros(len(products)), where=lengths > 0)
            exact[part] = np.clip(np.round(cosines, DIGITS), 0.0, 1.0)
            some.data = np.ones_like(some.data)
            shares[part] = some @ query.asked >= needed
        return exact, shares

    def _query(self, counts: Any, row: int) -> _Query:
        part = slice(int(counts.indptr[row]), int(counts.indptr[row + 1]))
        words = counts.indices[part]
        weights, asked = np.zeros(self.words), np.zeros(self.words)
        weights[words] = self._frequency(counts.data[part].astype(np.float64)) * self._idf[words]
        asked[words] = self._used[words]
        length = float(np.sqrt((weights**2).sum()))
        return _Query(weights / length if length > 0 else weights, asked)

    def _all_weights(self) -> Any:
        """Every image's weights, float32 and of length 1 or zero; columns are shared with the counts."""
        sparse, counts = _sparse(), self._counts
        weights = self._frequency(counts.data.astype(np.float32)) * self._idf.astype(np.float32)[counts.indices]
        sizes = np.diff(counts.indptr)
        filled = np.flatnonzero(sizes)
        squares = np.zeros(len(self))
        if len(filled):
            squares[filled] = np.add.reduceat((weights**2).astype(np.float64), counts.indptr[filled])
        scale = np.divide(1.0, np.sqrt(squares), out=np.zeros(len(self)), where=squares > 0).astype(np.float32)
        weights *= np.repeat(scale, sizes)
        return sparse.csr_matrix((weights, counts.indices, counts.indptr), shape=counts.shape)

    def _frequency(self, counts: np.ndarray) -> np.ndarray:
        """Occurrences of a word as they count; dividing by all of the image's changes no cosine."""
        return np.asarray(1 + np.log(counts)) if self._sublinear else counts


def _checked(counts: Any, words: int | None = None) -> Any:
    """The counts as float32 CSR with sorted columns and without explicit zeros; the same object where it is one."""
    matrix = _sparse().csr_matrix(counts)
    if words is not None and matrix.shape[1] != words:
        raise UsageError(
            f"the query has counts of {matrix.shape[1]} words, the index of {words}",
            remedy="Count the query's words with the encoder of the index",
        )
    if not np.isfinite(matrix.data).all() or (matrix.data < 0).any():
        raise UsageError("counts of words are negative or not finite", remedy="Give counts of 0 or more")
    if matrix.dtype != np.float32:
        matrix = matrix.astype(np.float32)
    if not matrix.has_canonical_format or (matrix.data == 0).any():
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    return matrix


def _sparse() -> Any:
    return loaded("an index of visual words", "scipy.sparse", extra="subimage", error=ArchiveError)
