"""Scores units, several processes side by side; every cell is kept, and one that is there is not made again."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, final

from histokin.errors import HistokinError
from histokin.evaluation.cross_modality.cells import Cells
from histokin.evaluation.cross_modality.locating import COUNT
from histokin.evaluation.cross_modality.matching import VERSION, score_cell
from histokin.evaluation.cross_modality.mosaics import locate_cell
from histokin.evaluation.cross_modality.representing import Represented
from histokin.evaluation.cross_modality.subjects import Subjects
from histokin.evaluation.reproduce.cross_modality_features import Features, maps_of
from histokin.evaluation.reproduce.cross_modality_plan import ALL, LOCATED, Unit, cell_name, fold_of
from histokin.evaluation.reproduce.cross_modality_pool import each, processes_for
from histokin.evaluation.reproduce.run import Run
from histokin.retrieval.subimage.locate import SWEEP

QUICK_COUNT = 6
"""Queries in a mosaic of a quick run."""


@final
@dataclass(frozen=True)
class Scored:
    """All cells of a set, by name; ``absent`` says of features and representations that are not there why."""

    subjects: Subjects
    cells: Mapping[str, Any]
    absent: Mapping[str, str]

    def cell(
        self, representation: str, feature: str, size: int, fold: str, *, seed: int = 0, trained: bool = True
    ) -> Any | None:
        """One cell, None where it is not there."""
        return self.cells.get(cell_name(self.subjects.slug, fold, representation, seed, trained, feature, size))

    def note(self, representation: str, feature: str) -> str:
        """What has to be said of a method wherever its scores are shown, "" where nothing."""
        folds = (ALL, *(fold.name for fold in self.subjects.folds))
        cells = [self.cell(representation, feature, size, fold) for fold in folds for size in self.subjects.sizes]
        return next((str(cell["note"]) for cell in cells if isinstance(cell, dict)), "")

    def folds(self, representation: str, feature: str, size: int, *, seed: int = 0, trained: bool = True) -> list[Any]:
        """The cells of all folds, or the one of the fold in which everything asks; none where one is missing."""
        own = self.cell(representation, feature, size, ALL, seed=seed, trained=trained)
        if own is not None:
            return [own]
        parts = [
            self.cell(representation, feature, size, fold.name, seed=seed, trained=trained)
            for fold in self.subjects.folds
        ]
        return [] if any(part is None for part in parts) else parts


def score_units(run: Run, subjects: Subjects, units: Sequence[Unit]) -> Scored:
    """Score all units, what matters most first, on all processors."""
    cells: dict[str, Any] = {}
    absent: dict[str, str] = {}
    began = time.monotonic()
    processes = processes_for(run, len(units))
    for done, (unit, (found, problems)) in enumerate(each(run, subjects, units, score_unit, processes), 1):
        cells |= found
        absent |= problems
        minutes = (time.monotonic() - began) / 60
        run.say(f"{unit.title}: {len(found)} cells ({done} of {len(units)} units, {minutes:.1f} min)")
        for what, why in problems.items():
            run.say(f"left out: {what}: {why}")
    return Scored(subjects, cells, absent)


def score_unit(run: Run, subjects: Subjects, unit: Unit) -> tuple[dict[str, Any], dict[str, str]]:
    """All cells of a unit by name, and what could not be had by (representation and) feature."""
    kept = Cells(run.out / "cells")
    cells: dict[str, Any] = {}
    absent: dict[str, str] = {}
    try:
        maps = maps_of(subjects, unit)
    except HistokinError as error:
        return {}, {unit.representation: str(error)}
    fold = fold_of(subjects, unit.fold)
    represented = Represented(subjects, fold, maps)
    features = Features(subjects, unit)
    for ask in unit.asks:
        try:
            if ask.feature == LOCATED:
                for size in ask.sizes:
                    name = unit.cell(ask.feature, size)
                    identity = {**_identity(represented), "size": size, "sweep": asdict(SWEEP)}
                    cells[name] = kept.made(
                        name, identity, partial(locate_cell, represented, size, QUICK_COUNT if run.quick else COUNT)
                    )
                continue
            matcher = features.matcher(ask.feature)
            for size in ask.sizes:
                name = unit.cell(ask.feature, size)
                how: dict[str, Any] = {"transforms": ask.transforms, "plain": ask.plain, "across": ask.across}
                identity = {**_identity(represented), **how, "size": size, "method": matcher.identity}
                make = partial(score_cell, represented, matcher, size, **how)
                cells[name] = kept.made(name, identity, make)
        except HistokinError as error:
            absent[f"{unit.representation} + {ask.feature}"] = str(error)
    return cells, absent


def _identity(represented: Represented) -> dict[str, Any]:
    """What a cell's scores depend on, beside the method and the size."""
    subjects = represented.subjects
    return {
        "version": VERSION,
        "pairs": subjects.pairs.digest,
        "items": [(item.pair, item.window.x, item.window.y, item.window.side) for item in subjects.items],
        "fold": (represented.fold.test, represented.fold.repository),
        "drawn": (subjects.transforms, subjects.seed, subjects.border),
        "copies": subjects.copies.digest if subjects.copies else "",
        "space": represented.space,
    }
