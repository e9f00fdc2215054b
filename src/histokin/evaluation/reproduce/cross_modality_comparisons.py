"""Comparisons of the cross-modality page: re-ranking, rivals, seeds, trained or not, improved or as published."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from histokin.evaluation.cross_modality.reranking import depths
from histokin.evaluation.cross_modality.scoring import Answers, difference, scores, spread
from histokin.evaluation.cross_modality.subjects import Subjects
from histokin.evaluation.page.model import Note, Table
from histokin.evaluation.reproduce.cross_modality_answers import (
    COMIR_PLACED,
    IMPROVED,
    IMTDF,
    PAPER,
    PLAIN,
    TC_NET,
    Way,
    asked,
    both_directions,
    caution,
    direction,
    plainly_reranked,
    reranked,
    short,
    sides,
    titled,
    translated,
)
from histokin.evaluation.reproduce.cross_modality_networks import SEEDS, Models
from histokin.evaluation.reproduce.cross_modality_plan import rebuilt
from histokin.evaluation.reproduce.cross_modality_published import RERANKED, RIVAL_COLUMNS, RIVALS
from histokin.evaluation.reproduce.cross_modality_run import Scored
from histokin.evaluation.reproduce.cross_modality_tables import accuracy, headline, percent, printed
from histokin.evaluation.reproduce.run import Run
from histokin.metrics.resampling import Interval

KS = (1, 2, 5, 10, 15)


def training_table(run: Run, trained: Mapping[str, Models]) -> Table:
    """Every training, by set: steps done / published, time, where."""
    rows: list[tuple[object, ...]] = []
    for name, models in trained.items():
        for model in models.found.values():
            report = model.report
            rows.append(
                (
                    name,
                    model.method,
                    model.fold,
                    model.seed,
                    model.steps,
                    f"{report.get('seconds', float('nan')):.0f}",
                    report.get("device"),
                    _count(report.get("parameters")),
                )
            )
    columns = ("set", "model", "fold", "seed", "steps done / published (profile)", "seconds", "device", "parameters")
    note = (
        "Reduced profiles: smaller networks, and as many steps as fit into the minutes given. CoMIR and PlaceNet on "
        "fold 1 have three seeds, everything else one. TC-Net: a model with anchors of either modality, trained from "
        "random weights where ImageNet's cannot be had. Folders: OUT/networks."
    )
    return Table("Trained for this page", columns, tuple(rows), note, run.command)


def _count(parameters: object) -> object:
    return sum(parameters.values()) if isinstance(parameters, Mapping) else parameters


def table_two(run: Run, scored: Scored) -> list[Table]:
    """Table 2: without re-ranking, and re-ranked at two depths, by the vocabulary that is there and by a new one."""
    made = []
    for (size, title), (letter, kind) in zip(
        sides(scored.subjects), (("a", "full"), ("b", "patch"), ("b", "patch")), strict=False
    ):
        rows = _table_two_rows(scored, size, kind)
        if rows:
            items = len(scored.subjects.folds[0].repository)
            ours = " and ".join(map(str, depths(items)))
            note = (
                f"CoMIR + SURF, in %; published figures are of re-ranking 15 and 30 of 134, beside our {ours} "
                f"of {items} (below half). Reused: the vocabulary of the whole repository; "
                "rebuilt: 1,000 words at most learned for every query from the parts of its first answers. Re-ranking "
                "the first M leaves Acc@M as it was."
            )
            columns = ("queries", "re-ranked", "vocabulary", "n", *(f"Acc@{k}" for k in KS), "published Acc@1/5/10/15")
            made.append(
                Table(f"Table 2{letter} ({title}) on {scored.subjects.name}", columns, tuple(rows), note, run.command)
            )
    return made


def _table_two_rows(scored: Scored, size: int, kind: str) -> list[tuple[object, ...]]:
    subjects = scored.subjects
    depth = depths(len(subjects.folds[0].repository))
    steps = [("none", "-", PAPER, "none")]
    steps += [(str(d), "reused", reranked(d), p) for d, p in zip(depth, ("15", "30")[-len(depth) :], strict=True)]
    steps += [("none", "no idf", PLAIN, ""), (str(depth[-1]), "reused, no idf", plainly_reranked(depth[-1]), "")]
    steps += [(str(depth[-1]), "rebuilt", Way("", "comir", rebuilt(subjects)), "30")]
    rows: list[tuple[object, ...]] = []
    for asking in (0, 1):
        name = direction(subjects, asking)
        for shown, vocabulary, way, key in steps:
            found = asked(scored, way, size, 1 - asking, asking)
            if found is None:
                continue
            figures = scores(found)
            theirs = RERANKED.get((kind, name), {}).get(key)
            accuracies = [percent(figures[f"Acc@{k}"].value) for k in KS]
            published = " / ".join(f"{value:.1f}" for value in theirs) if theirs else None
            rows.append((name, shown, vocabulary, len(found.ranks), *accuracies, published))
    return rows


def table_three(run: Run, scored: Scored) -> list[Table]:
    """Table 3: the paper's method with re-ranking, and ours, against TC-Net and IMTDF."""
    subjects = scored.subjects
    if short(subjects.modalities[0]) != "BF":
        return []
    deep = depths(len(subjects.folds[0].repository))[-1]
    methods = (
        ("proposed", reranked(deep)),
        ("proposed", plainly_reranked(deep)),
        ("proposed", Way("CoMIR + SURF, rebuilt", "comir", rebuilt(subjects))),
        ("improved", IMPROVED),
        ("tc-net", TC_NET),
        ("imtdf", IMTDF),
    )
    made = []
    for (size, title), (letter, kind) in zip(sides(subjects), (("a", "full"), ("b", "patch")), strict=False):
        rows: list[tuple[object, ...]] = []
        for key, way in methods:
            cells: list[object] = []
            for place, (asking, moved) in enumerate(((1, False), (1, True), (0, False), (0, True))):
                found = asked(scored, way, size, 1 - asking, asking, moved=moved)
                theirs = RIVALS[kind].get(key)
                cells += [
                    headline(found),
                    printed(theirs[place] if theirs else None),
                ]
            if any(cell is not None for cell in cells[::2]):
                rows.append((titled(scored, way), *cells))
        columns = ("method", *(c for name in RIVAL_COLUMNS for c in (name, "published")))
        note = "Ours: Acc@2 of the repository; published: Acc@10 of 134, with re-ranking of 30. In %."
        if rows:
            made.append(Table(f"Table 3{letter} ({title}) on {subjects.name}", columns, tuple(rows), note, run.command))
    return made


def seeds_table(run: Run, scored: Scored) -> Table | None:
    """Three trainings (and vocabularies) of the first fold: mean and standard deviation."""
    subjects = scored.subjects
    first = subjects.folds[0].name
    deep = depths(len(subjects.folds[0].repository))[-1]
    rows: list[tuple[object, ...]] = []
    for size, title in sides(subjects):
        for way in (PAPER, PLAIN, plainly_reranked(deep), COMIR_PLACED, IMPROVED):
            found = [both_directions(scored, way, size, seed=seed, fold=first) for seed in SEEDS]
            there = [scores(own) for own in found if own is not None]
            if len(there) > 1:
                cells = [_spread([own[name].value for own in there]) for name in ("Acc@1", "Acc@2", "Acc@5", "MRR")]
                rows.append((title, way.title, len(there), *cells))
        originals = [both_directions(scored, Way("", "none", "surf"), size, seed=seed) for seed in SEEDS]
        there = [scores(own) for own in originals if own is not None]
        if len(there) > 1:
            cells = [_spread([own[name].value for own in there]) for name in ("Acc@1", "Acc@2", "Acc@5", "MRR")]
            rows.append((title, "originals + SURF (vocabularies, all folds)", len(there), *cells))
    if not rows:
        return None
    columns = ("queries", "method", "seeds", "Acc@1", "Acc@2", "Acc@5", "MRR")
    note = (
        f"Fold {first}, transformed queries, both directions together: mean and standard deviation over seeds, in % "
        "(MRR: x 100)."
    )
    return Table(f"Seeds on {subjects.name}", columns, tuple(rows), note, run.command)


def _spread(values: Sequence[float]) -> str:
    mean, deviation = spread([100 * value for value in values])
    return f"{mean:.1f} ± {deviation:.1f}"


def untrained_table(run: Run, scored: Scored) -> Table | None:
    """Every trained model minus its untrained copy on the same queries."""
    rows = [
        (title, name, *map(signed, parts.values()), _verdict(parts))
        for size, title in sides(scored.subjects)[:2]
        for name, parts in _trained_less_untrained(scored, size)
    ]
    if not rows:
        return None
    columns = ("queries", "method", "Acc@1", "Acc@2", "MRR x 100", "does training help?")
    note = (
        "Trained minus untrained on the same transformed queries, both directions and all folds together: points with "
        "the 95 % interval, whole cores drawn. It helps where an interval leaves out zero."
    ) + caution(scored.subjects)
    return Table(f"Trained against untrained on {scored.subjects.name}", columns, tuple(rows), note, run.command)


def unshown(scored: Scored) -> list[str]:
    """Trained models of which no figure of whole items is shown to be above their untrained copy's."""
    found = _trained_less_untrained(scored, scored.subjects.side)
    return [name for name, parts in found if not any(part.low > 0 for part in parts.values())]


def _trained_less_untrained(scored: Scored, size: int) -> Iterator[tuple[str, dict[str, Interval]]]:
    for way in (PAPER, PLAIN, COMIR_PLACED, IMPROVED, TC_NET, *translated(scored.subjects, ("surf",))):
        one = both_directions(scored, way, size)
        other = both_directions(scored, replace(way, trained=False), size)
        if one is not None and other is not None:
            yield way.title, {name: difference(one, other, name) for name in ("Acc@1", "Acc@2", "MRR")}


def _verdict(parts: Mapping[str, Interval]) -> str:
    better = [name for name, part in parts.items() if part.low > 0]
    worse = [name for name, part in parts.items() if part.high < 0]
    if worse:
        return f"WORSE ({', '.join(worse)})"
    return "yes" if len(better) == len(parts) else f"in {', '.join(better)} only" if better else "NOT SHOWN"


def improved_table(run: Run, scored: Scored) -> Table | None:
    """The improved method minus the paper's, with and without re-ranking, on the same queries and the same CoMIR."""
    subjects = scored.subjects
    rivals = [PAPER, *(reranked(depth) for depth in depths(len(subjects.folds[0].repository)))]
    deep = depths(len(subjects.folds[0].repository))[-1]
    rivals += [PLAIN, plainly_reranked(deep), COMIR_PLACED]
    rows: list[tuple[object, ...]] = []
    for size, title in sides(subjects):
        for name, take in _takes(subjects, scored, size):
            ours = take(IMPROVED)
            for rival in rivals:
                theirs = take(rival)
                if ours is None or theirs is None:
                    continue
                parts = [difference(ours, theirs, figure) for figure in ("Acc@1", "Acc@2", "MRR")]
                verdict = "yes" if parts[0].low > 0 else "WORSE" if parts[0].high < 0 else "not shown"
                rows.append(
                    (
                        title,
                        name,
                        rival.title,
                        accuracy(ours, 1),
                        accuracy(theirs, 1),
                        *map(signed, parts),
                        verdict,
                    )
                )
    if not rows:
        return None
    columns = (
        "queries",
        "direction",
        "against",
        "Acc@1, improved",
        "Acc@1, rival",
        "Acc@1",
        "Acc@2",
        "MRR x 100",
        "better?",
    )
    note = (
        "Differences in points with their 95 % intervals, paired by query, whole cores drawn; CoMIR and PlaceNet are "
        "trained for the same minutes."
    ) + caution(subjects)
    return Table(f"The improved method against the paper's on {subjects.name}", columns, tuple(rows), note, run.command)


def _takes(subjects: Subjects, scored: Scored, size: int) -> list[tuple[str, Callable[[Way], Answers | None]]]:
    return [
        (direction(subjects, 1), lambda way: asked(scored, way, size, 0, 1)),
        (direction(subjects, 0), lambda way: asked(scored, way, size, 1, 0)),
        ("both", lambda way: both_directions(scored, way, size)),
    ]


def signed(interval: Interval) -> str:
    """A difference in points with its bounds."""
    return f"{100 * interval.value:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"


def costs_table(run: Run, scored: Scored) -> Table:
    """Seconds a query of every scored method, mapping included."""
    rows = []
    for name, cell in sorted(scored.cells.items()):
        _, fold, unit, feature = name.split("/")
        if not isinstance(cell, dict):
            continue
        rows.append((unit, feature, fold, round(float(cell["seconds"]), 3)))
    columns = ("representation", "feature and size", "fold", "seconds a query and repository")
    note = (
        "On one thread, with others at work beside it: descriptions, mapping where it was not done before, and search."
    )
    return Table(f"Time of queries on {scored.subjects.name}", columns, tuple(rows), note, run.command)


def absences(scored: Scored, models: Models) -> Note | None:
    """What was not scored, and why."""
    lines = [f"{what}: {why}" for what, why in {**models.absent, **scored.absent}.items()]
    return Note(f"Left out on {scored.subjects.name}", "\n\n".join(lines)) if lines else None
