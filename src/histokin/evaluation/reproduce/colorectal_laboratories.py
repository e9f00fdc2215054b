"""A classifier of healthy and cancerous colon, learned in one laboratory and used in others, after each normalizer."""

from collections.abc import Sequence
from dataclasses import replace

from histokin.errors import HistokinError
from histokin.evaluation.page.model import Table
from histokin.evaluation.reproduce.colorectal_answers import Answers, answers_of, histogram_answers
from histokin.evaluation.reproduce.colorectal_data import CANCER, HEALTHY, SPLIT_SEED, Tiles, redivided
from histokin.evaluation.reproduce.colorectal_networks import Job, Models
from histokin.evaluation.reproduce.colorectal_scores import binary_figures, scored, text
from histokin.evaluation.reproduce.methods import TITLES
from histokin.evaluation.reproduce.run import Run

METHODS = ("none", "reinhard", "macenko", "vahadane", "bksvd")
QUICK_METHODS = ("reinhard",)
EPOCHS = 10


def two_classes(tiles: Tiles) -> Tiles:
    """Healthy and cancerous tiles only, divided anew."""
    own = redivided(tiles.of_classes((HEALTHY, CANCER)), SPLIT_SEED)
    return replace(own, name="crc5, healthy and adenocarcinoma", slug=f"{tiles.slug}-two")


def laboratory_jobs(run: Run, tiles: Tiles) -> list[Job]:
    """The small network, once for each normalizer."""
    methods = QUICK_METHODS if run.quick else METHODS
    return [Job(f"laboratories/small-{method}", tiles, method=method, epochs=EPOCHS) for method in methods]


def laboratories_table(run: Run, tiles: Tiles, foreign: Sequence[Tiles], models: Models) -> Table:
    """Accuracy, AUROC and F1 in every laboratory; the histogram baseline beside the network."""
    tests = [tiles.part("test"), *foreign]
    rows: list[tuple[object, ...]] = []
    jobs = laboratory_jobs(run, tiles)
    for job in jobs:
        method = TITLES.get(job.method, job.method) if job.method != "none" else "none"
        model = models.get(job.name)
        if model is None:
            rows.append(("small network", method, f"left out: {models.absent.get(job.name, '?')}", *("-" * 6)))
        else:
            for test in tests:
                rows.append(_row("small network", method, test, tiles, answers_of(run, model, test)))
            if job is jobs[0]:
                raw = [(test, answers_of(run, model, test, untrained=True)) for test in foreign]
                rows += [_row("small network, untrained", method, test, tiles, own) for test, own in raw]
        try:
            found = histogram_answers(run, tiles, tests, job.method)
        except HistokinError as error:
            rows.append(("color histogram", method, f"left out: {error}", *("-" * 6)))
            continue
        rows += [_row("color histogram", method, test, tiles, own) for test, own in zip(tests, found, strict=True)]
    rows.append(("chance", "-", "every laboratory", "-", 0.5, 0.5, 0.5, "-", "-"))
    columns = (
        *("classifier", "normalizer", "tested on", "tiles", "accuracy", "AUROC", "F1"),
        *("share called cancer", "ECE after"),
    )
    note = (
        "Learned from crc5 H and AC alone. The normalizer has its built-in target and is fitted to each group of the "
        "training tiles and once to each other laboratory (16 tiles, no labels), where cancer is the class that is "
        "looked for. 95 % intervals draw groups (LC25000: near-duplicates; NCT: tiles). The histogram is a logistic "
        "regression learned from the same tiles."
    )
    return Table("Across laboratories, with and without each normalizer", columns, tuple(rows), note, run.command)


def _row(title: str, method: str, test: Tiles, learned: Tiles, answers: Answers) -> tuple[object, ...]:
    found, two = scored(answers), binary_figures(answers, CANCER)
    where = "crc5, other groups" if test.slug == learned.slug else test.name
    cancer = float((answers.predicted == answers.tiles.classes.index(CANCER)).mean())
    cells = (text(two.accuracy), text(found.auroc), text(two.f1), cancer, found.number("ece"))
    return (title, method, where, len(test), *cells)
