"""Why these hits: occlusion maps of the query-hit distances, reconstructions, and the archive in a plane."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import UInt8

from histokin.archive.exact import Metric, exact_distances
from histokin.encoders.base import Encoder
from histokin.encoders.reconstruction import FILE, Reconstructor
from histokin.errors import HistokinError, InputError, UsageError
from histokin.retrieval.answer import Answer, Match
from histokin.retrieval.explaining.latent import LatentMap, latent_map
from histokin.retrieval.explaining.occlusion import BLUR, CELLS, WINDOW, Grid, One, cell_means, changes, occluded
from histokin.retrieval.explaining.pixels import Pictures
from histokin.retrieval.queries import Query
from histokin.retrieval.recipe import Prepared
from histokin.retrieval.searching import Searcher
from histokin.types import RGB, Vectors

EXPLAINED = 10
"""Hits that get maps, from the first on: each costs as many encodings as a picture has windows, and one."""

SAME = 0.01
"""Pictures read again must give their vector to within this share of its length, or they are no longer the same."""


@final
@dataclass(frozen=True, eq=False)
class Side:
    """One picture of a pair as the encoder saw it, with the change of the distance by window, and made again.

    ``remade`` is None where the encoder is no autoencoder.
    """

    picture: RGB
    grid: Grid
    remade: UInt8[np.ndarray, "_ _ 3"] | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the grid as rows of numbers."""
        return {"windows": [[float(v) for v in row] for row in self.grid], "reconstruction_error": self.error}

    @property
    def error(self) -> float | None:
        """Mean absolute difference of the reconstruction, in levels of 0 to 255, or None without one."""
        if self.remade is None:
            return None
        from histokin.encoders.pixels import prepare

        side = self.remade.shape[0]
        return float(np.abs(prepare(self.picture, side).astype(np.float64) - self.remade).mean())


@final
@dataclass(frozen=True, eq=False)
class Pair:
    """The best match of one hit: both sides and their ``distance``, or the ``note`` that says why they are missing."""

    match: Match
    distance: float | None = None
    query: Side | None = None
    hit: Side | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "hit": self.match.hit,
            "query_patch": self.match.query,
            "distance": self.distance,
            "query": self.query.to_dict() if self.query else None,
            "found": self.hit.to_dict() if self.hit else None,
            "note": self.note,
        }


@final
@dataclass(frozen=True, eq=False)
class Explanation:
    """Pairs in the order of the hits, and the latent map (None where there is no hit)."""

    pairs: tuple[Pair, ...]
    latent: LatentMap | None
    seconds: float

    @property
    def scale(self) -> float:
        """The largest change of a cell on any map, by amount: all maps share it. 0 where nothing changes."""
        grids = [side.grid for pair in self.pairs for side in (pair.query, pair.hit) if side]
        return max((float(np.abs(cell_means(grid)).max()) for grid in grids), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: geometry of the windows, the maps as numbers, the plane's shares of variance."""
        return {
            "cells": CELLS,
            "window": WINDOW,
            "fill": f"blur, sigma {BLUR:g} cell",
            "scale": self.scale,
            "pairs": [pair.to_dict() for pair in self.pairs],
            "latent": self.latent.to_dict() if self.latent else None,
            "seconds": round(self.seconds, 4),
        }


def explain(searcher: Searcher, query: Query, answer: Answer, *, hits: int = EXPLAINED) -> Explanation:
    """Why the first ``hits`` hits of an answer were found.

    Each hit is explained by its best match (for a slide or a case: its closest pair of patches), with the image map
    and the encoder of the search. A pair whose pixels cannot be had again carries a note instead of maps.

    Parameters
    ----------
    searcher, query, answer : the answer, what was asked, and the searcher that answered.

    Raises
    ------
    UsageError
        when the answer does not carry the vectors of its query, or the archive holds whole pictures.
    EncoderError
        when the encoder's folder holds a damaged autoencoder.
    """
    began = time.monotonic()
    if searcher.prepared.whole:
        raise UsageError(
            "explanations are of RGB patches, and the archive holds whole pictures or a representation of them",
            remedy="Leave --explain out; --method shows where in a hit the query was found",
        )
    if answer.vectors is None:
        raise UsageError("the answer lost its query's vectors", remedy="Explain an answer that a search just gave")
    best: dict[int, Match] = {}
    for match in answer.matches:  # a hit's matches come from near to far
        best.setdefault(match.hit, match)
    matches = [best[hit.rank] for hit in answer.hits[:hits] if hit.rank in best]
    parts = _Parts(searcher, Pictures(searcher, query, answer), answer.vectors)
    pairs = tuple(parts.pair(match) for match in matches)
    latent = latent_map(searcher.snapshot, answer.vectors, matches) if matches else None
    return Explanation(pairs, latent, time.monotonic() - began)


def find_reconstructor(prepared: Prepared) -> Reconstructor | None:
    """The autoencoder that an encoder is one half of, where its folder has the whole. Raises ``EncoderError``."""
    given = prepared.encoder_options.get("path")
    if given is None:
        return None
    path = Path(given).expanduser()
    folder = path if path.is_dir() else path.parent
    return Reconstructor(folder) if (folder / FILE).is_file() else None


@final
@dataclass(frozen=True, eq=False)
class _Seen:
    """A picture, its vector, and the vectors of its covered copies."""

    picture: RGB
    whole: One
    covered: Vectors
    remade: UInt8[np.ndarray, "_ _ 3"] | None

    def against(self, other: "_Seen", metric: Metric) -> Side:
        return Side(self.picture, changes(self.covered, self.whole, other.whole, metric), self.remade)


@final
class _Parts:
    """Encodes each picture and its covered copies once, however many pairs it is in."""

    def __init__(self, searcher: Searcher, pictures: Pictures, vectors: Vectors) -> None:
        self._snapshot = searcher.snapshot
        self._encoder: Encoder = searcher.prepared.encoder
        self._remake = find_reconstructor(searcher.prepared)
        self._pictures = pictures
        self._vectors = vectors
        self._asked: dict[int, _Seen | str] = {}

    def pair(self, match: Match) -> Pair:
        if match.query not in self._asked:
            stored = self._vectors[match.query : match.query + 1]
            self._asked[match.query] = self._seen(lambda: self._pictures.of_query(match.query), stored, "query")
        query = self._asked[match.query]
        if isinstance(query, str):
            return Pair(match, note=query)
        stored = np.asarray(self._snapshot.vectors[match.row : match.row + 1], np.float32)
        hit = self._seen(lambda: self._pictures.of_match(match), stored, "hit")
        if isinstance(hit, str):
            return Pair(match, note=hit)
        metric = self._snapshot.metric
        distance = float(exact_distances(hit.whole, np.zeros(1, np.int64), query.whole[0], metric)[0])
        return Pair(match, distance, query.against(hit, metric), hit.against(query, metric))

    def _seen(self, read: Callable[[], RGB], stored: Vectors, what: str) -> _Seen | str:
        """The picture with its vectors, or why it cannot be had."""
        try:
            picture = read()
            vectors = self._encode([picture, *occluded(picture)])
        except (HistokinError, OSError) as error:
            where = "cannot be read" if isinstance(error, InputError | OSError) else "cannot be encoded"
            return f"the {what} {where} again ({error.reason if isinstance(error, HistokinError) else error.strerror})"
        apart = float(np.linalg.norm(vectors[0].astype(np.float64) - stored[0]))
        if apart > SAME * max(float(np.linalg.norm(stored[0])), 1e-12):
            return f"the {what}'s pixels no longer give the features that were compared"
        return _Seen(picture, vectors[:1], vectors[1:], self._remake(picture) if self._remake else None)

    def _encode(self, images: Sequence[RGB]) -> Vectors:
        return self._encoder.encode(list(images))
