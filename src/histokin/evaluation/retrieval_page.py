"""A page about one evaluation: the verdict first, then every figure, classes, confusions and queries that failed."""

from collections.abc import Sequence

import numpy as np

from histokin.errors import HistokinError
from histokin.evaluation.figures import gallery
from histokin.evaluation.page.model import Figure, Note, Page, Part, Table
from histokin.evaluation.scores import FORMULAS, NO_HITS
from histokin.evaluation.tabulate import Measured, Row
from histokin.metrics.resampling import Interval
from histokin.types import RGB

FAILED = 6
HITS = 5


def retrieval_page(measured: Measured, command: str = "") -> Page:
    """The page; ``command`` makes it again."""
    table = measured.table
    parts: list[Part] = [Note("Leakage verdict", _verdict(measured))]
    parts.append(Table(table.title, table.columns, tuple(table.cells()), table.note, command))
    parts.append(_every_figure(measured))
    parts.append(_differences(table.rows))
    for row in table.rows:
        name = _name(row)
        parts.append(_classes(name, row))
        parts.append(_confusion(name, row))
    failed = _failed(measured)
    if failed is not None:
        parts.append(failed)
    if table.failed:
        rows = tuple((each.path, each.reason, each.remedy) for each in table.failed)
        parts.append(Table("Images that could not be used", ("file", "cause", "remedy"), rows, "They were left out."))
    formulas = "\n\n".join(f"{name}: {text}." for name, text in FORMULAS.items())
    parts.append(Note("What the figures are", formulas))
    return Page("Retrieval measured", table.verdict.headline, tuple(parts))


def _verdict(measured: Measured) -> str:
    verdict = measured.table.verdict
    lines = [verdict.headline]
    for finding in verdict.findings:
        pairs = "; ".join(" and ".join(pair) for pair in finding.examples)
        lines.append(finding.text + (f" For example: {pairs}." if pairs else ""))
    return "\n\n".join(lines)


def _every_figure(measured: Measured) -> Table:
    rows = []
    for name in measured.table.rows[0].scores.figures:
        luck = measured.table.chance.get(name)
        rows.append((name, luck, *(_between(row.scores.figures[name]) for row in measured.table.rows)))
    columns = ("figure", "chance", *(_name(row) for row in measured.table.rows))
    return Table("Every figure, with 95 % intervals", columns, tuple(rows), measured.table.note)


def _differences(rows: Sequence[Row]) -> Table:
    cells = [
        (_name(row), against, *(_signed(interval) for interval in figures.values()))
        for row in rows
        for against, figures in row.differences.items()
    ]
    names = next((tuple(figures) for row in rows for figures in row.differences.values()), ())
    note = "Same queries, paired bootstrap: where the interval leaves out 0 it is not the luck of the queries."
    return Table(
        "Differences to the color histogram and to the first encoder", ("", "less", *names), tuple(cells), note
    )


def _classes(name: str, row: Row) -> Table:
    at = row.scores.at
    columns = ("class", "queries", "in the archive", f"P@{at}", f"precision of vote@{at}", "recall", "F1")
    cells = [
        (c.label, c.queries, c.archived, c.precision_at_k, c.vote_precision, c.vote_recall, c.vote_f1)
        for c in row.scores.per_class
    ]
    return Table(f"Classes: {name}", columns, tuple(cells))


def _confusion(name: str, row: Row) -> Table:
    counts = row.scores.confusion
    columns = (*row.scores.labels, *((NO_HITS,) if counts[:, -1].any() else ()))
    cells = [
        (label, *(int(count) for count in counts[place][: len(columns)]))
        for place, label in enumerate(row.scores.labels)
    ]
    note = f"Queries by their class (rows) and by the vote of {row.scores.at} (columns)."
    return Table(f"Confusion: {name}", ("class", *columns), tuple(cells), note)


def _failed(measured: Measured) -> Figure | None:
    """Queries that the first encoder's vote got wrong, spread evenly, beside their hits."""
    row = measured.table.rows[0]
    truth = np.array(measured.queries.labels)
    wrong = np.flatnonzero(row.scores.votes != truth)
    if not len(wrong) or measured.pictures is None:
        return None
    archive, queries = measured.pictures
    chosen = wrong[np.unique(np.linspace(0, len(wrong) - 1, FAILED).round().astype(int))].tolist()
    lines: list[list[RGB]] = []
    names: list[str] = []
    frames: dict[tuple[int, int], str] = {}
    try:
        for line, query in enumerate(chosen):
            hits = [int(hit) for hit in row.ranked.rows[query][:HITS] if hit >= 0]
            lines.append([queries(query), *(archive(hit) for hit in hits)])
            found = " ".join(str(label) for label in row.ranked.labels[query][:HITS])
            names.append(f"{truth[query]}\n{found}")
            wrong_hits = [at for at in range(len(hits)) if row.ranked.labels[query][at] != truth[query]]
            frames |= {(line, 1 + at): "red" for at in wrong_hits}
    except HistokinError:  # an archive without pictures: the figures stand without them
        return None
    png = gallery(lines, names, ["query", *(str(place + 1) for place in range(HITS))], frames)
    caption = (
        f"{len(chosen)} of {len(wrong)} queries whose class the vote missed, before normalization; at the left "
        "the query's class and those of its hits. Hits of another class are framed."
    )
    return Figure(f"Missed: {_name(row)}", png, caption)


def _name(row: Row) -> str:
    return row.encoder if row.normalizer == "none" else f"{row.encoder}, {row.normalizer}"


def _between(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _signed(interval: Interval) -> str:
    return f"{interval.value:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"
