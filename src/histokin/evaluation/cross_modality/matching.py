"""What ranks a repository: the contract of every method compared, and a scored cell."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from jaxtyping import Float32, UInt8

from histokin.evaluation.cross_modality.representing import Represented
from histokin.evaluation.cross_modality.scoring import Answers, order_of, rank_of

Pixels = UInt8[np.ndarray, "_ _ _"]
TOP = 15

VERSION = 2
"""Of what a cell holds and how it is made; a higher one has all cells made anew."""


class Indexed(ABC):
    """A repository made ready for queries."""

    @abstractmethod
    def similarity(self, image: Pixels) -> Float32[np.ndarray, "n"]:
        """How alike the query is to each item, greater is nearer."""


class Matcher(ABC):
    """A method that ranks images of one representation.

    ``name`` tells it in tables, ``identity`` all that its scores depend on beside the images, ``note`` what has to be
    said wherever its scores are shown.
    """

    name: str
    note: str = ""

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """JSON-ready."""

    @abstractmethod
    def index(self, repository: Sequence[Pixels], modality: int) -> Indexed:
        """Learn from and keep the repository's images, which show modality 0 or 1."""

    def sized(self, size: int) -> "Matcher":
        """The same for queries of ``size`` px, where it matters."""
        return self


@final
class Kept(Indexed):
    """Similarities that are known beforehand, query by query; for tests and for random orders."""

    def __init__(self, rows: Sequence[Float32[np.ndarray, "n"]]) -> None:
        self._rows = iter(rows)

    def similarity(self, image: Pixels) -> Float32[np.ndarray, "n"]:
        return next(self._rows)


def score_cell(
    represented: Represented,
    matcher: Matcher,
    size: int,
    *,
    transforms: int | None = None,
    plain: bool = True,
    across: bool = False,
) -> dict[str, Any]:
    """Ask a fold's queries of one size: both repositories, both kinds of queries, transformed and (``plain``) not.

    ``transforms`` is how many of the subjects' are used; ``across`` leaves out queries within a modality.

    Returns ``{"sets": {"R|Q|T": {"places", "numbers", "ranks", "first"}}, "items": n, "seconds": s per query, "note"}``
    where R and Q are the numbers of the repository's and the query's modality and T is 1 for transformed queries.
    ``first`` holds the places of the first fifteen answers.
    """
    subjects, fold = represented.subjects, represented.fold
    sized = matcher.sized(size)
    indexed = [sized.index(represented.repository(modality), modality) for modality in (0, 1)]
    where = {place: i for i, place in enumerate(fold.repository)}
    numbers = [None] * plain + list(subjects.numbers())[:transforms]
    sets: dict[str, dict[str, list[Any]]] = {}
    began, asked = time.perf_counter(), 0
    for asking in (0, 1):
        for place in fold.test:
            for number in numbers:
                image = represented.query(place, asking, number, size)
                for answering in (1 - asking,) if across else (0, 1):
                    values = indexed[answering].similarity(image)
                    key = set_key(answering, asking, number is not None)
                    own = sets.setdefault(key, {"places": [], "numbers": [], "ranks": [], "first": []})
                    own["places"].append(place)
                    own["numbers"].append(-1 if number is None else number)
                    own["ranks"].append(rank_of(values, where[place]))
                    own["first"].append([fold.repository[i] for i in order_of(values)[:TOP].tolist()])
                    asked += 1
    seconds = (time.perf_counter() - began) / max(1, asked)
    return {"sets": sets, "items": len(where), "seconds": seconds, "note": matcher.note}


def set_key(answering: int, asking: int, moved: bool) -> str:
    """Name of a query set against a repository."""
    return f"{answering}|{asking}|{int(moved)}"


def answers(cell: dict[str, Any], key: str, cores: Sequence[str]) -> Answers:
    """The ranks of one set; ``cores`` are those of all items."""
    own = cell["sets"][key]
    names = np.array([cores[place] for place in own["places"]])
    asked = np.array([f"{key} {place} {number}" for place, number in zip(own["places"], own["numbers"], strict=True)])
    return Answers(np.array(own["ranks"], np.int64), names, int(cell["items"]), asked)
