"""Finding turned patches in a mosaic as a kept cell: queries of one fold's test cores, one representation."""

from typing import Any

from histokin.evaluation.cross_modality.locating import (
    COUNT,
    Located,
    Mosaic,
    Query,
    at_random,
    drawn_queries,
    located,
    mosaic_of,
)
from histokin.evaluation.cross_modality.representing import Represented
from histokin.evaluation.cross_modality.subjects import Subjects
from histokin.retrieval.subimage.locate import SWEEP


def share_of(subjects: Subjects, fold: str, count: int) -> int:
    """How many of all queries a fold's cores ask."""
    names = [one.name for one in subjects.folds]
    place = names.index(fold)
    return count * (place + 1) // len(names) - count * place // len(names)


def asked_of(represented: Represented, side: int, count: int = COUNT) -> tuple[list[Query], Mosaic]:
    """A fold's queries, patches of the second modality, and the mosaic of the first, every item once."""
    subjects, fold = represented.subjects, represented.fold
    everything = range(len(subjects.items))
    mosaic = mosaic_of([subjects.image(place, 0) for place in everything])
    images = [subjects.image(place, 1) for place in everything]
    own = share_of(subjects, fold.name, count)
    return drawn_queries(images, mosaic, fold.test, count=own, side=side), mosaic


def locate_cell(represented: Represented, side: int, count: int = COUNT) -> list[dict[str, Any]]:
    """Every query placed: a list of ``Located`` as dictionaries, random places beside them."""
    queries, mosaic = asked_of(represented, side, count)
    first, second = represented.subjects.modalities
    found = located(queries, mosaic, represented.maps.map(second), represented.maps.map(first), sweep=SWEEP)
    rows = zip(found, at_random(queries, mosaic), strict=True)
    return [{"placed": _row(one), "random": _row(other)} for one, other in rows]


def read(cells: list[list[dict[str, Any]]], kind: str = "placed") -> list[Located]:
    """The answers of several folds."""
    return [Located(**row[kind]) for cell in cells for row in cell]


def _row(one: Located) -> dict[str, Any]:
    return {
        "image": int(one.image),
        "distance": float(one.distance),
        "turn": float(one.turn),
        "score": float(one.score),
        "margin": float(one.margin),
    }
