"""What a classifier says of a query and of its hits, beside what their labels say."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from histokin.errors import HistokinError, InputError, UsageError
from histokin.retrieval.answer import Answer, Match
from histokin.retrieval.classifying.model import Model
from histokin.retrieval.explaining.pixels import Pictures, Raw
from histokin.retrieval.index_slide import find_tissue
from histokin.retrieval.preparing import fit_slide, spread
from histokin.retrieval.queries import Query
from histokin.retrieval.searching import Searcher
from histokin.slides.reading import open_slide
from histokin.types import RGB, ImageMap

MOST_QUERY_PATCHES = 64
"""Of a query, so many patches are classified at most, evenly spread."""


@final
@dataclass(frozen=True, eq=False)
class Opinion:
    """One picture: its pixels as they are, the probabilities of the classes, and the map of the likeliest one.

    ``note`` says why there is nothing to see; then the rest is None.
    """

    picture: RGB | None
    probabilities: Float32[np.ndarray, "c"] | None
    map: Float32[np.ndarray, "gh gw"] | None
    note: str = ""


@final
@dataclass(frozen=True, eq=False)
class Opinions:
    """A classifier's opinion of a query's patches and of each hit, in the order of the hits."""

    classes: tuple[str, ...]
    query: tuple[Opinion, ...]
    hits: tuple[Opinion, ...]
    votes: dict[str, int]

    @cached_property
    def shares(self) -> Float32[np.ndarray, "c"] | None:
        """Probabilities of the query: the mean over its patches; None where none could be read."""
        rows = [one.probabilities for one in self.query if one.probabilities is not None]
        return np.mean(rows, axis=0).astype(np.float32) if rows else None

    @property
    def predicted(self) -> str | None:
        """The query's likeliest class."""
        return None if self.shares is None else self.classes[int(self.shares.argmax())]

    @property
    def voted(self) -> str | None:
        """The label that most hits have; None for a tie, or without labels."""
        most = sorted(self.votes.items(), key=lambda pair: -pair[1])
        tied = len(most) > 1 and most[0][1] == most[1][1]
        return most[0][0] if most and not tied else None

    @property
    def disagree(self) -> bool | None:
        """True where classifier and votes name different classes; None where they cannot be compared."""
        if self.predicted is None or self.voted not in self.classes:
            return None
        return self.predicted != self.voted

    @property
    def says(self) -> str:
        """Both, in one sentence."""
        if self.shares is None:
            return "The classifier could not see the query."
        told = f"The classifier says {self.predicted} ({float(self.shares.max()):.2f})"
        hits = sum(self.votes.values())
        if self.voted is None:
            return f"{told}, the neighbors do not decide."
        if self.voted not in self.classes:
            return f"{told}; the neighbors say {self.voted}, which is none of its classes."
        votes = f"({self.votes[self.voted]} of {hits})"
        if self.disagree:
            return f"{told}, the neighbors say {self.voted} {votes}: they DISAGREE. Trust neither without looking."
        return f"{told}, and so do the neighbors {votes}."

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "classes": list(self.classes),
            "query": None if self.shares is None else self._named(self.shares),
            "predicted": self.predicted,
            "voted": self.voted,
            "disagree": self.disagree,
            "hits": [
                {"probabilities": None if one.probabilities is None else self._named(one.probabilities)}
                | ({"note": one.note} if one.note else {})
                for one in self.hits
            ],
        }

    def _named(self, row: Float32[np.ndarray, "c"]) -> dict[str, float]:
        return {name: float(p) for name, p in zip(self.classes, row, strict=True)}


def opinions(searcher: Searcher, query: Query, answer: Answer, model: Model) -> Opinions:
    """Classify the query and the best match of every hit, each normalized as the classifier's training images were.

    Where scales are known, the classifier sees the field of view that it learned from. A picture that cannot be read
    again carries a note.

    Raises
    ------
    UsageError
        when the archive holds whole pictures or another microscope's, which a classifier of H&E patches cannot judge.
    """
    if searcher.prepared.whole:
        raise UsageError(
            "the archive holds whole pictures or a representation of them, a classifier judges patches of H&E",
            remedy="Leave --model out",
        )
    return _Judge(searcher, query, answer, model).all()


@final
class _Judge:
    def __init__(self, searcher: Searcher, query: Query, answer: Answer, model: Model) -> None:
        self._pictures = Pictures(searcher, query, answer)
        self._answer, self._model = answer, model
        spec = model.classifier.spec
        self._field = spec.mpp * spec.input_px if spec.mpp else None
        self._maps: dict[Path, ImageMap] = {}

    def all(self) -> Opinions:
        best: dict[int, Match] = {}
        for match in self._answer.matches:
            held = best.get(match.hit)
            best[match.hit] = match if held is None or match.distance < held.distance else held
        patches = spread(range(len(self._answer.query.patches)), MOST_QUERY_PATCHES)
        asked = [self._of_query(patch) for patch in patches]
        found = [self._of_match(best.get(hit.rank)) for hit in self._answer.hits]
        return Opinions(self._model.classes, tuple(asked), tuple(found), self._answer.votes)

    def _of_query(self, patch: int) -> Opinion:
        try:
            return self._judged(self._pictures.query(patch, self._field))
        except InputError as error:
            return _unseen(error)

    def _of_match(self, match: Match | None) -> Opinion:
        if match is None:
            return Opinion(None, None, None, "no patch of it is at hand")
        try:
            return self._judged(self._pictures.match(match, self._field))
        except InputError as error:
            return _unseen(error)

    def _judged(self, raw: Raw) -> Opinion:
        mapped = np.asarray(self._fitted(raw)(raw.pixels), np.uint8)
        found = self._model.classifier.explain([mapped])
        return Opinion(raw.pixels, found.probabilities[0], found.maps[0])

    def _fitted(self, raw: Raw) -> ImageMap:
        """The normalizer's map of the slide, fitted on its tissue; of an image, on what is seen of it."""
        appearance = self._model.appearance
        if raw.path is None or raw.source is None or raw.source.kind == "image" or not appearance.looks_at_source:
            return appearance.fit([raw.pixels])
        if raw.path not in self._maps:
            with open_slide(raw.path, mpp=raw.source.mpp) as slide:
                regions = [patch.region for patch in find_tissue(slide, self._model.grid).patches]
                self._maps[raw.path] = fit_slide(slide, regions, appearance, self._model.grid.patch_px)
        return self._maps[raw.path]


def _unseen(error: HistokinError) -> Opinion:
    return Opinion(None, None, None, error.reason)


def likeliest(row: Float32[np.ndarray, "c"], classes: Sequence[str], most: int = 3) -> list[tuple[str, float]]:
    """The classes with the highest probabilities, from high to low."""
    return [(classes[i], float(row[i])) for i in np.argsort(-row, kind="stable")[:most]]
