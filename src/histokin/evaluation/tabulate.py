"""From vectors to the table: every ranking scored, set against luck, a color histogram and the first encoder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from jaxtyping import Float32, Shaped

from histokin.archive.exact import Metric
from histokin.evaluation.answers import Ranked, query_time, rank
from histokin.evaluation.chance import chance_figures
from histokin.evaluation.costs import FLOAT_BYTES, Cost
from histokin.evaluation.embedding_duplicates import nearest_rows
from histokin.evaluation.encoding import BASELINE
from histokin.evaluation.labelled import LabelledSet
from histokin.evaluation.leakage import GROUPS, Side, Verdict, leakage_verdict, shared_verdict
from histokin.evaluation.protocols import Task
from histokin.evaluation.scores import FORMULAS, Scores, score
from histokin.metrics.ranking import paired_interval
from histokin.metrics.resampling import Interval
from histokin.retrieval.report import Failure
from histokin.types import RGB, Vectors

KS = (1, 3, 5, 10)
AT = 5
MAIN = ("precision@1", f"precision@{AT}", f"mean_average_precision@{AT}", f"vote_accuracy@{AT}", f"vote_macro_f1@{AT}")
COMPARED = MAIN[:4]
COLUMNS = (
    *("encoder", "normalizer", "P@1", f"P@{AT}", f"mAP@{AT}", f"vote@{AT}", f"macro-F1@{AT}"),
    *(f"P@{AT} - histogram", f"P@{AT} - first", "CPU s/1000", "ms p50/p95", "bytes/patch", "dim"),
)
FIRST = COLUMNS.index(f"P@{AT} - first")

NO_GROUPS = (
    "Leave one out without slide or patient groups: images of one slide are on both sides, so this measures whether "
    "the slide was recognized (a color histogram shows how far color alone goes), not the tissue."
)
ACROSS = "The queries come from another set than the archive."
RULES = (
    "P@k divides by k; mAP@k divides by min(k, R), R being what may answer and is right; a tied vote goes to the "
    "nearer label; a query without hits counts as missed."
)

Picture = Callable[[int], RGB]
Looked = tuple[LabelledSet, Side | None]


@final
@dataclass(frozen=True, eq=False)
class Coded:
    """Vectors of the task's archive rows and of its queries, by one encoder after one normalizer."""

    encoder: str
    normalizer: str
    archive: Vectors
    queries: Float32[np.ndarray, "q d"]
    metric: Metric
    index_cpu_seconds_per_1000: float | None = None
    disk_bytes_per_patch: float | None = None


@final
@dataclass(frozen=True, eq=False)
class Row:
    """One encoder with one normalizer. ``differences`` are paired, by what it is held to and the figure's name."""

    encoder: str
    normalizer: str
    scores: Scores
    cost: Cost
    ranked: Ranked
    differences: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)

    def cells(self) -> tuple[object, ...]:
        """In the order of ``COLUMNS``."""
        figures = [_between(self.scores.figures[name]) for name in MAIN]
        against = [self.differences.get(name, {}).get(MAIN[1]) for name in ("histogram", "first")]
        seconds = self.cost.index_cpu_seconds_per_1000
        times = f"{self.cost.query_ms_p50:.2f}/{self.cost.query_ms_p95:.2f}"
        room = self.cost.disk_bytes_per_patch
        bytes_of = f"{self.cost.vector_bytes_per_patch}" + ("" if room is None else f" ({room:.0f} on disk)")
        return (
            *(self.encoder, self.normalizer, *figures),
            *("-" if each is None else _signed(each) for each in against),
            *("-" if seconds is None else f"{seconds:.1f}", times, bytes_of, self.cost.dim),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "encoder": self.encoder,
            "normalizer": self.normalizer,
            **self.scores.to_dict(),
            "differences": {
                name: {figure: interval._asdict() for figure, interval in figures.items()}
                for name, figures in self.differences.items()
            },
            "cost": self.cost.to_dict(),
        }


@final
@dataclass(frozen=True, eq=False)
class Table:
    """Scores beside chance; ``chance`` has the expected figures of random hits, by name."""

    title: str
    rows: tuple[Row, ...]
    chance: Mapping[str, float]
    note: str
    verdict: Verdict
    task: Mapping[str, Any]
    failed: tuple[Failure, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns; the difference to the first encoder only where several were named."""
        return _without(COLUMNS, self._several)

    def cells(self) -> list[tuple[object, ...]]:
        """All rows in the order of ``columns``, luck first."""
        luck = [f"{self.chance[name]:.3f}" for name in MAIN]
        rows = [("chance", "-", *luck, *("-" * 6)), *(row.cells() for row in self.rows)]
        return [_without(row, self._several) for row in rows]

    @property
    def _several(self) -> bool:
        return len({row.encoder for row in self.rows} - {BASELINE}) > 1

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; what cannot be told is null."""
        plain: dict[str, Any] = _finite(
            {
                "title": self.title,
                "verdict": self.verdict.to_dict(),
                "protocol": dict(self.task),
                "chance": dict(self.chance),
                "rows": [row.to_dict() for row in self.rows],
                "formulas": dict(FORMULAS),
                "note": self.note,
                "failed": [vars(failure) for failure in self.failed],
            }
        )
        return plain


@final
@dataclass(frozen=True, eq=False)
class Measured:
    """The table and what a page about it needs: both sides' items and their pictures, in the task's order."""

    table: Table
    archive: LabelledSet
    queries: LabelledSet
    pictures: tuple[Picture, Picture] | None


def tabulate(
    first: Looked,
    second: Looked | None,
    task: Task,
    coded: Sequence[Coded],
    ks: Sequence[int] = KS,
    *,
    notes: Sequence[str] = (),
    pictures: tuple[Picture, Picture] | None = None,
) -> Measured:
    """Rank and score every row, look for leaks, and compare."""
    ks = tuple(sorted({*ks, 1, AT}))
    archive, queries = first[0].take(task.archive), (first if second is None else second)[0].take(task.queries)
    labels, truth = np.array(archive.labels), np.array(queries.labels)
    classes = sorted({*archive.labels, *queries.labels})
    answers = task.answers(labels, classes)
    archived = dict(zip(*(part.tolist() for part in np.unique(labels, return_counts=True)), strict=True))
    rows = []
    for one in coded:
        ranked = rank(one.archive, one.queries, labels, task, max(ks), one.metric)
        found = score(ranked, truth, answers, classes, ks, archived=archived, clusters=task.clusters, at=AT)
        rows.append(Row(one.encoder, one.normalizer, found, _cost(one, task, max(ks)), ranked))
    chance = chance_figures(truth, answers, classes, ks, AT)
    table = Table(
        _title(first[0].name, None if second is None else second[0].name, task, labels, truth, chance),
        tuple(_compared(row, rows, task) for row in rows),
        chance,
        " ".join((_reading(task), RULES, _areas(truth), _intervals(task), *notes)).replace("  ", " "),
        _verdict(first, second, task, coded),
        {
            "name": task.protocol,
            "held_apart": list(task.held),
            "queries": len(truth),
            "archived": len(labels),
            "intervals_draw": task.clustered or "queries",
            "ks": list(ks),
        },
    )
    shown = None
    if pictures is not None:
        ours, asked = pictures
        shown = (lambda place: ours(int(task.archive[place])), lambda place: asked(int(task.queries[place])))
    return Measured(table, archive, queries, shown)


def _cost(one: Coded, task: Task, k: int) -> Cost:
    times = query_time(one.archive, one.queries, task, k, one.metric)
    dim = one.archive.shape[1]
    return Cost(
        one.index_cpu_seconds_per_1000,
        times.p50_ms,
        times.p95_ms,
        dim,
        FLOAT_BYTES * dim,
        one.disk_bytes_per_patch,
    )


def _compared(row: Row, rows: Sequence[Row], task: Task) -> Row:
    """With its differences to the color histogram and to the first encoder, after the same normalizer where it can."""
    differences: dict[str, dict[str, Interval]] = {}
    for name, encoder in (("histogram", BASELINE), ("first", rows[0].encoder)):
        others = [other for other in rows if other.encoder == encoder]
        same = [other for other in others if other.normalizer == row.normalizer] or others
        if row.encoder == encoder or not same:
            continue
        differences[name] = {
            figure: paired_interval(row.scores.values[figure], same[0].scores.values[figure], task.clusters)
            for figure in COMPARED
        }
    return Row(row.encoder, row.normalizer, row.scores, row.cost, row.ranked, differences)


def _verdict(first: Looked, second: Looked | None, task: Task, coded: Sequence[Coded]) -> Verdict:
    groups = [name for name in GROUPS if name not in task.held]
    asked = first if second is None else second
    if first[1] is None or asked[1] is None:
        ours, theirs = first[0].take(task.archive), asked[0].take(task.queries)
        alone = task.within and task.protocol != "split"
        return shared_verdict(ours.columns, None if alone else theirs.columns, groups)
    one = next((each for each in coded if each.encoder != BASELINE), None)
    nearest = None if one is None else nearest_rows(one.archive, one.queries, one.metric, task.apart)
    alone = task.within and task.protocol != "split"
    queries = None if alone else asked[1].take(task.queries)
    return leakage_verdict(first[1].take(task.archive), queries, groups, nearest=nearest, apart=task.apart)


def _title(
    name: str,
    other: str | None,
    task: Task,
    labels: Shaped[np.ndarray, "n"],
    truth: Shaped[np.ndarray, "q"],
    chance: Mapping[str, float],
) -> str:
    known, counts = (part.tolist() for part in np.unique(truth, return_counts=True))
    listed = [f"{label} {count}" for label, count in zip(known, counts, strict=True)]
    classes = ", ".join(listed[:12]) + (", ..." if len(listed) > 12 else "")
    held = f" of every {' and '.join(task.held)}" if task.held else ""
    return (
        f"{name if other is None else f'{other} in {name}'}, {task.protocol}{held}: {len(truth)} queries ({classes}), "
        f"{len(labels)} in the archive; chance P@k {chance[MAIN[1]]:.3f} (any hit in {AT}: "
        f"{chance[f'any_hit_accuracy@{AT}']:.3f})"
    )


def _reading(task: Task) -> str:
    if not task.within:
        return ACROSS
    if task.held:
        return f"No query is answered by its own {' or '.join(task.held)}."
    return NO_GROUPS if task.protocol == "leave-one-out" else ""


def _areas(truth: Shaped[np.ndarray, "q"]) -> str:
    asked = np.unique(truth).tolist()
    if len(asked) == 2:
        return f"AUC takes {asked[1]} as the positive class."
    return "AUC is the mean over classes, each against the rest."


def _intervals(task: Task) -> str:
    if task.clusters is None:
        return "Intervals: 95 %, bootstrap over queries."
    return f"Intervals: 95 %, bootstrap over {len(np.unique(task.clusters))} values of {task.clustered}."


def _without(cells: tuple[Any, ...], first: bool) -> tuple[Any, ...]:
    return cells if first else (*cells[:FIRST], *cells[FIRST + 1 :])


def _between(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.2f}-{interval.high:.2f})"


def _signed(interval: Interval) -> str:
    return f"{interval.value:+.3f} ({interval.low:+.2f}, {interval.high:+.2f})"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
