"""Tables of the cross-modality page that list every method: data, figures with intervals, and Table 1."""

from collections.abc import Sequence

from histokin.evaluation.cross_modality.scoring import KS, Answers, chance, scores
from histokin.evaluation.cross_modality.subjects import Subjects
from histokin.evaluation.page.model import Percent, Table
from histokin.evaluation.reproduce.cross_modality_answers import (
    FEATURES,
    REPRESENTATIONS,
    Way,
    asked,
    caution,
    direction,
    lines,
    short,
    sides,
    titled,
    ways,
)
from histokin.evaluation.reproduce.cross_modality_data import core_lists
from histokin.evaluation.reproduce.cross_modality_published import FULL, PATCHES, Block
from histokin.evaluation.reproduce.cross_modality_run import Scored
from histokin.evaluation.reproduce.run import Run
from histokin.metrics.resampling import Interval

HEADLINE = "Acc@2"


def data_table(run: Run, sets: Sequence[Subjects]) -> Table:
    """What there is and who is asked in which fold."""
    rows = []
    for subjects in sets:
        items = len(subjects.folds[0].repository)
        asking = sum(len(fold.test) for fold in subjects.folds)
        folds = "; ".join(f"{name}: {', '.join(cores)}" for name, cores in core_lists(subjects))
        rows.append(
            (
                subjects.name,
                subjects.kind,
                items,
                asking * len(subjects.numbers()),
                ", ".join(str(size) for size in subjects.sizes),
                f"{100 * chance(items)[HEADLINE]:.1f} %",
                folds,
                subjects.about,
            )
        )
    columns = ("set", "kind", "repository", "queries a direction", "sides, px", "chance of Acc@2", "cores that ask", "")
    note = (
        "By core, never by tile: a fold's models learn from cores of which no pixel asks in that fold, and the "
        "repository is all items, untransformed, mapped by the fold's model (cores that it has seen may stand there as "
        "wrong answers). Folds deal the sorted cores of each collection in turn; transforms are drawn from the seed 0, "
        "the item's place and the transform's number: rotation within 30 degrees, shifts within 100 / 834 of the side "
        "(61 px of 512), mirrored borders. Patches are the middle of the moved image, cut before it is mapped."
    )
    return Table("Data of this page", columns, tuple(rows), note, run.command)


def figures_table(run: Run, scored: Scored, size: int, title: str) -> Table:
    """Every method on transformed queries across modalities, both directions, with intervals."""
    subjects = scored.subjects
    rows: list[tuple[object, ...]] = []
    for asking in (1, 0):
        for way in ways(subjects):
            found = asked(scored, way, size, 1 - asking, asking)
            if found is not None:
                rows.append((direction(subjects, asking), titled(scored, way), len(found.ranks), *_figures(found)))
        nothing = chance(len(subjects.folds[0].repository))
        rows.append(
            (direction(subjects, asking), "chance", None, *(c for k in KS for c in _chance(nothing, k)), nothing["MRR"])
        )
    columns = ("queries in repository", "method", "queries", *(c for k in KS for c in _heads(k)), "MRR")
    note = (
        "Transformed queries of one modality against the untransformed items of the other, all folds together, in %. "
        "Intervals of 95 % by bootstrap over cores."
    ) + caution(subjects)
    if len({row[2] for row in rows if row[2] is not None}) > 1:
        note += " Where queries are fewer, the method was asked with the first three transforms only, to save time."
    return Table(f"{subjects.name}, {title}: all methods", columns, tuple(rows), note, run.command)


def _figures(found: Answers) -> list[object]:
    figures = scores(found)
    cells: list[object] = []
    for k in KS:
        own = figures[f"Acc@{k}"]
        cells += [percent(own.value), between(own)] if k in (1, 2) else [percent(own.value)]
    return [*cells, round(figures["MRR"].value, 3)]


def _heads(k: int) -> list[str]:
    return [f"Acc@{k}", "95 %"] if k in (1, 2) else [f"Acc@{k}"]


def _chance(nothing: dict[str, float], k: int) -> list[object]:
    return [percent(nothing[f"Acc@{k}"]), None] if k in (1, 2) else [percent(nothing[f"Acc@{k}"])]


def table_one(run: Run, scored: Scored) -> list[Table]:
    """Table 1a and 1b: every representation and feature, all four query sets, ours beside the published."""
    made = []
    published: Sequence[tuple[str, dict[tuple[str, str], Block]]] = (("1a", FULL), ("1b", PATCHES), ("1b", PATCHES))
    for (size, title), (name, blocks) in zip(sides(scored.subjects), published, strict=False):
        rows = _table_one_rows(scored, size, blocks)
        if rows:
            made.append(_table_one(run, scored.subjects, f"Table {name} ({title})", rows))
    return made


def _table_one(run: Run, subjects: Subjects, title: str, rows: list[tuple[object, ...]]) -> Table:
    bf, shg = (short(name) for name in subjects.modalities)
    heads = [c for name in (bf, f"{bf}(T)", shg, f"{shg}(T)") for c in (name, "published")]
    items = len(subjects.folds[0].repository)
    note = (
        f"Ours: Acc@2 of {items} (chance {100 * chance(items)[HEADLINE]:.1f} %); published: Acc@10 of 134 (chance "
        "7.5 %). Numbers beside each other are not from the same images. The repository's and the query's modality "
        "the same, untransformed: sanity (the paper's blue); the same, transformed: orange; across, transformed: red, "
        f"what counts. In rows of translated images ({bf}, fake {bf}: all as {bf}; {shg}, fake {shg}: all as {shg}) "
        "the first two columns are queries that really are of that modality, the last two are translated "
        "into it. The header of these columns was lost in the paper: this reading is ours."
    )
    columns = ("feature", "representation", "repository", *heads)
    return Table(f"{title} on {subjects.name}", columns, tuple(rows), note, run.command)


def _table_one_rows(scored: Scored, size: int, blocks: dict[tuple[str, str], Block]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for feature, feature_title in FEATURES.items():
        for kind, title in REPRESENTATIONS.items():
            for line in lines(scored.subjects, kind):
                way = Way(title, line.representation, feature)
                cells = [
                    asked(scored, way, size, line.answering, asking, moved=moved)
                    for asking in (line.first, 1 - line.first)
                    for moved in (False, True)
                ]
                if all(cell is None for cell in cells):
                    continue
                published = blocks.get((feature, kind), {}).get(line.repository)
                pairs = zip(cells, published or 4 * (None,), strict=True)
                values = [c for cell, theirs in pairs for c in (headline(cell), printed(theirs))]
                note = scored.note(line.representation, feature)
                rows.append((feature_title + (f", {note}" if note else ""), title, line.repository, *values))
    return rows


def headline(found: Answers | None) -> Percent | None:
    """Acc@2 in %."""
    return None if found is None else accuracy(found, 2)


def accuracy(found: Answers, k: int) -> Percent:
    """Acc@k in %."""
    return percent(float((found.ranks <= k).mean()))


def percent(share: float) -> Percent:
    """A share in %."""
    return Percent(100 * share)


def printed(figure: float | int | None) -> Percent | None:
    """A published figure in %."""
    return None if figure is None else Percent(figure)


def between(interval: Interval) -> str:
    """The bounds in %."""
    return f"{100 * interval.low:.0f}-{100 * interval.high:.0f}"
