"""The page of cross-modality sub-image retrieval: CoMIR, dense SURF and re-ranking, beside what the paper prints."""

import time
from collections.abc import Sequence
from pathlib import Path

from histokin.evaluation.cross_modality.subjects import Subjects
from histokin.evaluation.page.model import Figure, Note, Page, Table
from histokin.evaluation.page.write import write_page
from histokin.evaluation.reproduce.cross_modality_answers import sides
from histokin.evaluation.reproduce.cross_modality_comparisons import (
    absences,
    costs_table,
    improved_table,
    seeds_table,
    table_three,
    table_two,
    training_table,
    untrained_table,
)
from histokin.evaluation.reproduce.cross_modality_data import CORES, SYNTHETIC, TILES, subject_sets
from histokin.evaluation.reproduce.cross_modality_figures import (
    equivariance_table,
    figure_four_a,
    figure_four_b,
    figure_three,
    figure_two,
)
from histokin.evaluation.reproduce.cross_modality_networks import Models, train_models
from histokin.evaluation.reproduce.cross_modality_notes import aerial_note, order_note, published_table
from histokin.evaluation.reproduce.cross_modality_places import located_table, margins_table
from histokin.evaluation.reproduce.cross_modality_plan import FEW, methods_of, units
from histokin.evaluation.reproduce.cross_modality_run import Scored, score_units
from histokin.evaluation.reproduce.cross_modality_summary import summary
from histokin.evaluation.reproduce.cross_modality_tables import data_table, figures_table, table_one
from histokin.evaluation.reproduce.run import Run

Part = Table | Figure | Note

THOROUGH = 90
"""From so many minutes of training on, slow methods are asked with all transforms (but for tiles, which are many)."""

FIRST_SHARE = 0.85
"""Of the minutes for training, so much for the first set; the others share the rest."""

LEAD = (
    "Cross-modality sub-image retrieval: an image of one microscope, or a part of it, turned and shifted, finds the "
    "same tissue among images of another. The paper learns CoMIR representations of 40 pairs and searches 134 "
    "(brightfield and second-harmonic generation, 834 x 834) with dense SURF, a bag of words and re-ranking. Here 21 "
    "cores of 512 x 512 stand in for them, three folds by core: with 21 items to choose from, Acc@2 has the chance "
    "that Acc@10 has there. Networks are small and briefly trained; every table says how far. Chance, untrained copies "
    "and a random order stand beside everything."
)


def reproduce_cross_modality(run: Run) -> Path:
    """Make the page; returns the path of its ``index.html``. A run that was stopped goes on where it was.

    Raises
    ------
    UsageError
        when the user's data cannot be used.
    """
    began = time.monotonic()
    sets = subject_sets(run)
    trained = _train(run, sets)
    parts: list[Part] = [data_table(run, sets), training_table(run, trained)]
    told: list[str] = []
    for subjects in sets:
        models = trained[_models_of(subjects)]
        few = None if run.minutes >= THOROUGH and subjects.name != TILES else FEW
        whole = is_whole(subjects)
        scored = score_units(run, subjects, units(subjects, models, whole=whole, few=few, quick=run.quick))
        told.append(summary(scored))
        parts += _set_parts(run, scored, models, whole=whole)
        run.say(f"{told[-1]}\n{subjects.name} is done, {(time.monotonic() - began) / 60:.1f} min so far")
        _write(run, told, parts)
    return _write(run, told, [*parts, published_table(run)])


def _write(run: Run, told: Sequence[str], parts: Sequence[Part]) -> Path:
    short = Note("In short", "\n\n".join(told))
    return write_page(Page("Cross-modality sub-image retrieval, reproduced", LEAD, (short, *parts)), run.out)


def is_whole(subjects: Subjects) -> bool:
    """Is this the set on which everything in the paper is scored?"""
    return subjects.name in (CORES, SYNTHETIC) or subjects.kind == "given"


def _models_of(subjects: Subjects) -> str:
    """Tiles of cores are mapped by the models of the whole cores: the folds are of the same cores."""
    return CORES if subjects.name == TILES else subjects.name


def _train(run: Run, sets: Sequence[Subjects]) -> dict[str, Models]:
    own = [subjects for subjects in sets if _models_of(subjects) == subjects.name]
    first, *others = own
    share = FIRST_SHARE if others else 1.0
    trained = {}
    for subjects in own:
        minutes = run.minutes * (share if subjects is first else (1 - share) / len(others))
        whole = is_whole(subjects)
        seeds = (0,) if run.quick or not whole else (0, 1, 2)
        trained[subjects.name] = train_models(run, subjects, methods_of(subjects, whole=whole), minutes, seeds)
    return trained


def _set_parts(run: Run, scored: Scored, models: Models, *, whole: bool) -> list[Part]:
    subjects = scored.subjects
    parts: list[Part] = [Note(f"Set: {subjects.name}", subjects.about + "."), figure_two(subjects)]
    if whole:
        parts += table_one(run, scored)
    parts += [figures_table(run, scored, size, title) for size, title in sides(subjects)]
    parts += [*table_two(run, scored)]
    if whole:
        parts += table_three(run, scored)
    parts += _present(
        order_note(scored) if whole else None,
        improved_table(run, scored),
        untrained_table(run, scored),
        seeds_table(run, scored) if whole else None,
        figure_three(scored) if whole else None,
    )
    if whole:
        parts += [figure_four_a(subjects, models), equivariance_table(run, subjects, models)]
        parts += _present(figure_four_b(subjects, models), located_table(run, scored), margins_table(run, scored))
    return [*parts, *_present(aerial_note(scored)), costs_table(run, scored), *_present(absences(scored, models))]


def _present(*parts: Part | None) -> list[Part]:
    return [part for part in parts if part is not None]
