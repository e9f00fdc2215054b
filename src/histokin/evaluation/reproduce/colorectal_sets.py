"""One set of five classes: trainings, Tables 3 and 4, Figures 6 to 10; and how it reads when divided otherwise."""

from collections.abc import Sequence

import numpy as np

from histokin.errors import HistokinError
from histokin.evaluation.page.model import Figure, Note, Table
from histokin.evaluation.reproduce.colorectal_answers import Answers, answers_of, histogram_answers
from histokin.evaluation.reproduce.colorectal_data import Tiles, folded, randomly_divided
from histokin.evaluation.reproduce.colorectal_figures import (
    figure_eight,
    figure_nine,
    figure_seven,
    figure_six,
    figure_ten,
    reliability_figure,
)
from histokin.evaluation.reproduce.colorectal_networks import NETWORKS, Job, Model, Models
from histokin.evaluation.reproduce.colorectal_tables import Row, folds_table, random_table, table_four, table_three
from histokin.evaluation.reproduce.run import Run

Part = Table | Figure | Note

NORMALIZER = "reinhard"
"""The one that helps most in the encoder table."""

EPOCHS = {"small": 6, "resnet50": 3, "densenet121": 3, "inception_v3": 3}
FEW, MORE = 500, 2
"""Sets of fewer training tiles have more epochs."""

FOLDS = 5
BASELINE = "color histogram, logistic regression"
BEGINS = "-"


def set_jobs(run: Run, tiles: Tiles) -> list[Job]:
    """Every network, on real tiles with and without the normalizer; only the small one where the run is quick."""
    more = MORE if tiles.images.splits.count("train") < FEW else 1
    return [
        Job(f"{tiles.slug}/{network}-{method}", tiles, network, method, more * EPOCHS[network])
        for network in (NETWORKS[:1] if run.quick else NETWORKS)
        for method in _methods(run, tiles)
    ]


def set_parts(run: Run, tiles: Tiles, models: Models) -> list[Part]:
    """What the page says of one set."""
    test = tiles.part("test")
    rows: list[Row] = []
    trained: list[Row] = []
    plain: list[Model] = []
    for job in set_jobs(run, tiles):
        model = models.get(job.name)
        if model is None:
            continue
        trained.append(_row(run, model, test))
        raw = answers_of(run, model, test, untrained=True)
        rows += [trained[-1], Row.of(f"{model.title}, untrained", job.method, "RANDOM", "0", raw)]
        plain += [model] if job.method == "none" else []
    baselines = [row for method in _methods(run, tiles) if (row := _baseline(run, tiles, method)) is not None]
    rows += baselines
    parts: list[Part] = [Note(f"Set: {tiles.name}", tiles.about.rstrip(".") + ".")]
    parts += [table_three(run, tiles, rows, baselines[0] if baselines else None)]
    parts += [table_four(run, tiles, [*trained, *baselines[:1]])]
    return parts + _figures(run, tiles, plain)


def division_jobs(run: Run, tiles: Tiles) -> list[Job]:
    """The small network on other divisions of the same tiles: at random, and in folds by group."""
    jobs = [Job(f"{tiles.slug}/small-none-at-random", randomly_divided(tiles), epochs=EPOCHS["small"])]
    if run.quick:
        return jobs
    return jobs + [_fold_job(tiles, fold) for fold in _folds(run, tiles)]


def divided_parts(run: Run, tiles: Tiles, models: Models) -> list[Part]:
    """How far the division decides: at random, and every group tested once, in folds."""
    main = models.get(f"{tiles.slug}/small-none")
    jobs = division_jobs(run, tiles)
    others = [model for job in jobs if (model := models.get(job.name)) is not None]
    if main is None or len(others) < len(jobs):
        return []
    try:
        pairs = [_pair(run, model) for model in (main, *others)]
        parts: list[Part] = [random_table(run, pairs[0], pairs[1])]
        if len(pairs) > 2:
            folds = [job.tiles for job in jobs[1:]]
            rows = [(*pair, _histogram(run, fold, NORMALIZER)) for pair, fold in zip(pairs[2:], folds, strict=True)]
            whole = tuple(_together(tiles, folds, [row[side] for row in rows]) for side in range(3))
            titles = [*(f"fold {number}" for number in range(1, len(rows) + 1)), "all folds"]
            parts.append(folds_table(run, dict(zip(titles, [*rows, whole], strict=True)), NORMALIZER))
    except HistokinError as error:
        return [Note("Other divisions", f"Left out: {error}")]
    return parts


def _folds(run: Run, tiles: Tiles) -> list[Tiles]:
    try:
        return folded(tiles, FOLDS)
    except HistokinError as error:
        run.say(f"{tiles.name}: no folds: {error}")
        return []


def _fold_job(tiles: Tiles, fold: Tiles) -> Job:
    name = f"{tiles.slug}/small-none-{fold.slug.removeprefix(tiles.slug + '-')}"
    return Job(name, fold, epochs=EPOCHS["small"])


def _together(tiles: Tiles, folds: Sequence[Tiles], rows: Sequence[Row]) -> Row:
    """The answers of all folds as one, every tile asked once; temperatures differ, so only predictions count."""
    logits = np.zeros((len(tiles), len(tiles.classes)))
    for fold, row in zip(folds, rows, strict=True):
        logits[np.array(fold.images.splits) == "test"] = row.answers.logits
    first = rows[0]
    return Row.of(first.title, first.method, first.start, first.steps, Answers(tiles, logits, 1.0))


def _pair(run: Run, model: Model) -> tuple[Row, Row]:
    """The small network and the histogram on one division."""
    tiles = model.job.tiles
    return _row(run, model, tiles.part("test")), _histogram(run, tiles, "none")


def _histogram(run: Run, tiles: Tiles, method: str) -> Row:
    found = histogram_answers(run, tiles, [tiles.part("test")], method)[0]
    return Row.of(BASELINE, method, BEGINS, BEGINS, found)


def _row(run: Run, model: Model, test: Tiles) -> Row:
    return Row.of(model.title, model.job.method, model.start, model.steps, answers_of(run, model, test))


def _baseline(run: Run, tiles: Tiles, method: str) -> Row | None:
    try:
        return _histogram(run, tiles, method)
    except HistokinError as error:
        run.say(f"{tiles.name}: no color histogram after {method}: {error}")
        return None


def _methods(run: Run, tiles: Tiles) -> tuple[str, ...]:
    return ("none",) if tiles.kind == "synthetic" or run.quick else ("none", NORMALIZER)


def _figures(run: Run, tiles: Tiles, models: Sequence[Model]) -> list[Part]:
    if not models:
        return []
    test = tiles.part("test")
    asked = {model.title: answers_of(run, model, test) for model in models}
    parts: list[Part] = [
        figure_six(models, tiles.name),
        figure_seven(asked, tiles.name),
        figure_eight(asked, tiles.name),
        reliability_figure(asked, tiles.name),
    ]
    for model in models:
        parts.append(figure_nine(model, asked[model.title]))
        failures = figure_ten(model, asked[model.title])
        nothing = Note(f"Figure 10: failures, {model.title}, {tiles.slug}", "No test tile is classified wrongly.")
        parts.append(failures or nothing)
    return parts
