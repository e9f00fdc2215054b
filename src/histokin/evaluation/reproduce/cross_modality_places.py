"""Tables of the cross-modality page about places in a mosaic: how often they are right, and what their margin tells."""

from collections.abc import Sequence

import numpy as np

from histokin.evaluation.cross_modality.locating import WITHIN_DEGREES, WITHIN_PX, Located, figures
from histokin.evaluation.cross_modality.mosaics import read
from histokin.evaluation.page.model import Table
from histokin.evaluation.reproduce.cross_modality_answers import Way, short
from histokin.evaluation.reproduce.cross_modality_plan import LOCATED, locating
from histokin.evaluation.reproduce.cross_modality_run import Scored
from histokin.evaluation.reproduce.cross_modality_tables import between, percent
from histokin.evaluation.reproduce.run import Run

MARGINS = (0.0, 0.02, 0.05, 0.1, 0.2)
"""Answers are parted at these margins."""


def _ways(*, untrained: bool = True) -> list[Way]:
    return [
        Way(f"{title}{'' if trained else ', untrained'} + placing", representation, LOCATED, trained)
        for title, representation in (("CoMIR", "comir"), ("PlaceNet", "placenet"))
        for trained in ((True, False) if untrained else (True,))
    ]


def located_table(run: Run, scored: Scored) -> Table | None:
    """Where in a mosaic of the first modality a turned patch of the second was taken."""
    subjects = scored.subjects
    rows: list[tuple[object, ...]] = []
    for side in locating(subjects):
        random: list[Located] = []
        for way in _ways():
            cells = scored.folds(way.representation, LOCATED, side, trained=way.trained)
            if cells:
                rows.append((side, way.title, *_located_row(read(cells))))
                random = read(cells, "random")
        if random:
            rows.append((side, "random place and turn", *_located_row(random)))
    if not rows:
        return None
    bf, shg = (short(name) for name in subjects.modalities)
    columns = (
        *("patch, px", "method", "queries", "right", "95 %", "median error, px", "median error, degrees"),
        *("of the right: px", "degrees"),
    )
    note = (
        f"Patches of {shg}, turned by any angle, from cores that the fold's network has not seen, in a mosaic in which "
        f"every core's {bf} image stands once. Right: within {WITHIN_PX:.0f} px and {WITHIN_DEGREES:.0f} degrees. The "
        "folds share the queries; intervals draw whole cores."
    )
    return Table(f"Place and turn in a mosaic of {subjects.name}", columns, tuple(rows), note, run.command)


def _located_row(answers: Sequence[Located]) -> tuple[object, ...]:
    found = figures(answers)
    errors = (found.distance, found.turn, found.distance_right, found.turn_right)
    return (len(answers), percent(found.right.value), between(found.right), *(round(error, 1) for error in errors))


def margins_table(run: Run, scored: Scored) -> Table | None:
    """Of answers with a margin (score over that of the best place elsewhere) between two bounds, how many are right."""
    rows: list[tuple[object, ...]] = []
    for side in locating(scored.subjects):
        for way in _ways(untrained=False):
            cells = scored.folds(way.representation, LOCATED, side)
            answers = read(cells) if cells else []
            margins, right = np.array([one.margin for one in answers]), np.array([one.right for one in answers])
            for low, high in zip(MARGINS, (*MARGINS[1:], np.inf), strict=True) if answers else ():
                own = right[(margins >= low) & (margins < high)]
                shown = f"{low:g} to {high:g}" if np.isfinite(high) else f"{low:g} and more"
                rows.append((side, way.title, shown, len(own), percent(float(own.mean())) if len(own) else None))
    if not rows:
        return None
    columns = ("patch, px", "method", "margin", "queries", "right, %")
    note = (
        "The margin is what 'histokin locate' prints beside a place: its score less that of the best place elsewhere. "
        "With few queries in a row its share is rough."
    )
    return Table(
        f"How far to trust a place: margins on {scored.subjects.name}", columns, tuple(rows), note, run.command
    )
