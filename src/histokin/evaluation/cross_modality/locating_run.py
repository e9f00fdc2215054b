"""One fold's localization: its mosaic, its queries, every way of answering them, and the random baseline."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from histokin.errors import UsageError
from histokin.evaluation.cross_modality.folds import Fold, cross_validation
from histokin.evaluation.cross_modality.locating import (
    COUNT,
    SIDE,
    Figures,
    Located,
    Mosaic,
    Query,
    at_random,
    chance,
    drawn_queries,
    figures,
    located,
    mosaic_of,
)
from histokin.modality.base import Representation
from histokin.training.pairs import PairSet

Say = Callable[[str], None]


@final
@dataclass(frozen=True, eq=False)
class Task:
    """What is asked: a mosaic of one modality with every pair once, and patches of the other from a fold's cores."""

    mosaic: Mosaic
    queries: tuple[Query, ...]
    asked: str
    searched: str


@final
@dataclass(frozen=True)
class Row:
    """One way of answering: its figures and every answer."""

    name: str
    figures: Figures
    answers: tuple[Located, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"name": self.name, **asdict(self.figures), "answers": [asdict(answer) for answer in self.answers]}


def fold_of(pairs: PairSet, number: int) -> Fold:
    """Fold ``number`` (from 1) of the cross-validation by core. Raises :class:`UsageError` where there is none."""
    folds = cross_validation(pairs.groups)
    if not 1 <= number <= len(folds):
        raise UsageError(f"there is no fold {number}", remedy=f"Choose 1 to {len(folds)}")
    return folds[number - 1]


def task_of(pairs: PairSet, fold: Fold, *, count: int = COUNT, side: int = SIDE, seed: int = 0) -> Task:
    """The mosaic shows the first modality, patches of the second are looked for.

    Raises
    ------
    UsageError
        when the images differ in size, or patches are too large for them.
    """
    loaded = [pairs.load(place) for place in range(len(pairs))]
    mosaic = mosaic_of([one for one, _ in loaded], seed=seed)
    queries = drawn_queries([other for _, other in loaded], mosaic, fold.test, count=count, side=side, seed=seed)
    return Task(mosaic, tuple(queries), pairs.modalities[1], pairs.modalities[0])


def answered(task: Task, ways: Mapping[str, Representation], *, say: Say = lambda _: None) -> list[Row]:
    """Every way's answers, and those of random places."""
    rows = []
    for name, representation in ways.items():

        def told(done: int, name: str = name) -> None:
            say(f"{name}: {done} of {len(task.queries)} queries")

        maps = representation.map(task.asked), representation.map(task.searched)
        answers = located(task.queries, task.mosaic, maps[0], maps[1], say=told)
        rows.append(Row(name, figures(answers), tuple(answers)))
    random = at_random(task.queries, task.mosaic)
    return [*rows, Row("random places", figures(random), tuple(random))]


def trained_here(pairs: PairSet, fold: Fold, out: Path, *, minutes: float | None, seed: int, watch: Any) -> Path:
    """A PlaceNet of the fold's other cores, trained into ``out`` or taken from there."""
    from histokin.training.placenet import train_placenet

    trained = train_placenet(pairs.some(fold.train), out, minutes=minutes, seed=seed, watch=watch)
    return trained.folder


def check_apart(pairs: PairSet, fold: Fold, representation: Representation) -> None:
    """Raises :class:`UsageError` where a representation was not trained on exactly the fold's other cores."""
    digest = representation.facts.get("pairs")
    if digest is not None and digest != pairs.some(fold.train).digest:
        raise UsageError(
            f"{representation.name} was not trained on the other cores of fold {fold.name}, so that answers would tell "
            "nothing",
            remedy="Choose the fold it was trained for, or leave --representation out to train one",
        )


def summary(task: Task, rows: Sequence[Row], fold: Fold) -> dict[str, Any]:
    """JSON-ready: what was asked, chance, and all answers."""
    height, width = task.mosaic.pixels.shape[:2]
    return {
        "fold": fold.name,
        "mosaic": [width, height],
        "images": len(task.mosaic.corners),
        "cores_asked": len(set(fold.test)),
        "queries": len(task.queries),
        "side": int(np.shape(task.queries[0].pixels)[0]),
        "asked": task.asked,
        "searched": task.searched,
        "chance": chance(task.mosaic),
        "rows": [row.to_dict() for row in rows],
    }
