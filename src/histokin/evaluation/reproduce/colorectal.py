"""The page of colorectal classification: five classes, three networks, and maps that say where a class comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from histokin.evaluation.page.model import Figure, Note, Page, Table
from histokin.evaluation.page.write import write_page
from histokin.evaluation.reproduce.colorectal_answers import Answers, answers_of
from histokin.evaluation.reproduce.colorectal_data import (
    NOT_GRADED,
    Tiles,
    crc5_tiles,
    foreign_tiles,
    given_tiles,
    gland_tiles,
)
from histokin.evaluation.reproduce.colorectal_figures import figure_one, figures_two_and_three
from histokin.evaluation.reproduce.colorectal_laboratories import laboratories_table, laboratory_jobs, two_classes
from histokin.evaluation.reproduce.colorectal_masking import masking_table
from histokin.evaluation.reproduce.colorectal_networks import Job, Model, Models, train_jobs
from histokin.evaluation.reproduce.colorectal_sets import EPOCHS, divided_parts, division_jobs, set_jobs, set_parts
from histokin.evaluation.reproduce.colorectal_stains import (
    Transfer,
    real_transfer,
    stains_table,
    synthetic_transfer,
    transfer_jobs,
)
from histokin.evaluation.reproduce.colorectal_tables import (
    table_four_published,
    table_one,
    table_three_published,
    table_two,
)
from histokin.evaluation.reproduce.run import Run

Part = Table | Figure | Note

MAPS_SHARE = 0.1
"""Of the minutes, for a StainGAN and its StainNet; classifiers count epochs."""

LEAD = (
    "Classification of colorectal tissue in five classes with ResNet50, DenseNet121 and InceptionV3, and class "
    "activation maps. The paper's hospital data are private: real tiles of five related classes, divided by clusters "
    "that stand in for slides, and synthetic glands in the paper's own classes stand in for them, each marked as what "
    f"it is. {NOT_GRADED} The three networks are trained at a reduced input size for a few epochs where the paper has "
    "200; every table says how far and from which weights. Untrained copies, a color histogram and chance stand beside "
    "everything."
)


@final
@dataclass(frozen=True, eq=False)
class _Plan:
    """Everything that is trained: sets of five classes, one of two for the laboratories, and pairs of scanners."""

    sets: tuple[Tiles, ...]
    real: Tiles | None
    two: Tiles | None
    foreign: tuple[Tiles, ...]
    transfers: tuple[Transfer, ...]


def reproduce_colorectal(run: Run) -> Path:
    """Make the page; returns the path of its ``index.html``. A run that was stopped goes on where it was.

    Raises
    ------
    UsageError
        when the user's data cannot be used.
    """
    plan = _plan(run)
    parts: list[Part] = [table_one(plan.sets), table_two(), table_three_published(), table_four_published()]
    parts.append(figure_one(plan.sets))
    slide = figures_two_and_three(run)
    parts += [slide] if slide else [_absent("Figures 2 and 3", "the slide CMU-1-Small-Region is not at hand")]
    if not plan.real:
        parts.append(_absent("Real tiles", "crc5 is not at hand: nothing here is of real tissue but what you gave"))
    parts += _five_classes(run, plan, parts)
    if plan.two:
        run.say("across laboratories")
        models = train_jobs(run, laboratory_jobs(run, plan.two))
        parts += [laboratories_table(run, plan.two, plan.foreign, models), *_left_out(models, "across laboratories")]
        _write(run, parts)
    for transfer in plan.transfers:
        run.say(f"E1 to E3: {transfer.name}")
        models = train_jobs(run, transfer_jobs(run, transfer))
        parts += [stains_table(run, transfer, models, MAPS_SHARE * run.minutes), *_left_out(models, transfer.name)]
        _write(run, parts)
    return _write(run, parts)


def _five_classes(run: Run, plan: _Plan, before: Sequence[Part]) -> list[Part]:
    """Everything about five classes; the page is written after each set."""
    parts: list[Part] = []
    asked: list[tuple[Model, Answers, Answers]] = []
    for tiles in plan.sets:
        models = train_jobs(run, set_jobs(run, tiles))
        run.say(f"{tiles.name}: tables and figures")
        parts += [*set_parts(run, tiles, models), *_left_out(models, tiles.name)]
        asked += _asked(run, tiles, models)
        _write(run, [*before, *parts])
    if plan.real:
        own = Job(f"{plan.real.slug}/small-none", plan.real, epochs=EPOCHS["small"])
        models = train_jobs(run, [own, *division_jobs(run, plan.real)])
        parts += divided_parts(run, plan.real, models)
    run.say("masking what the maps point at")
    parts.append(masking_table(run, asked))
    _write(run, [*before, *parts])
    return parts


def _plan(run: Run) -> _Plan:
    given, real = given_tiles(run), crc5_tiles(run)
    sets = tuple(tiles for tiles in (given, real, gland_tiles(run)) if tiles is not None)
    foreign = foreign_tiles(run)
    two = two_classes(real) if real else None
    pair = real_transfer(two, foreign) if two else None
    transfers = [pair] if pair else []
    # The synthetic pair is always made, but costs the quick run too much where there is a real one.
    if not (run.quick and pair):
        transfers.append(synthetic_transfer(run))
    return _Plan(sets, real, two, foreign, tuple(transfers))


def _asked(run: Run, tiles: Tiles, models: Models) -> list[tuple[Model, Answers, Answers]]:
    """Trained classifiers and their untrained copies on the test tiles, for the masks."""
    test = tiles.part("test")
    found = []
    for job in set_jobs(run, tiles):
        model = models.get(job.name)
        if model is not None and job.method == "none":
            found.append((model, answers_of(run, model, test), answers_of(run, model, test, untrained=True)))
    return found


def _left_out(models: Models, where: str) -> list[Part]:
    if not models.absent:
        return []
    return [Note(f"Left out: {where}", "\n\n".join(f"{name}: {why}" for name, why in models.absent.items()))]


def _absent(title: str, why: str) -> Note:
    return Note(title, f"Left out: {why}.")


def _write(run: Run, parts: Sequence[Part]) -> Path:
    return write_page(Page("Colorectal classification, reproduced", LEAD, tuple(parts)), run.out)
