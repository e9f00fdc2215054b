"""Who is asked, and who may answer. A protocol is, for each query, which rows may not answer it.

``leave-one-out`` asks every item of a set among the others; ``leave-one-group-out`` among those of other groups (a
patient, a slide, a centre, any column); ``split`` asks what a column ``split`` calls queries in what it calls the
database; ``sets`` asks one set in another. What may not answer is struck out before the search, so every list is as
long as the archive allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final, get_args

import numpy as np
from jaxtyping import Int64, Shaped

from histokin.errors import UnknownName, UsageError
from histokin.evaluation.labelled import LabelledSet

Protocol = Literal["leave-one-out", "leave-one-group-out", "split", "sets"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

DATABASE = ("database", "archive", "train", "training", "val", "valid", "validation")
QUERIES = ("query", "queries", "test", "testing")
"""What a column ``split`` may hold, in any case of letters. Training and validation items are the database."""

CLUSTERS = ("patient", "case", "slide", "group")
"""Columns whose values are not independent: intervals draw these whole, the first that every query has."""


@final
@dataclass(frozen=True, eq=False)
class Task:
    """``archive`` and ``queries`` are places in their sets; ``within`` says that both are of one set.

    ``apart`` numbers the archive's rows and the queries: a row does not answer a query of its own number. ``held``
    names the columns that this holds apart. ``clusters`` is what intervals draw whole, from the column ``clustered``.
    """

    protocol: Protocol
    archive: Int64[np.ndarray, "n"]
    queries: Int64[np.ndarray, "q"]
    within: bool
    apart: tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "q"]] | None = None
    held: tuple[str, ...] = ()
    clusters: Shaped[np.ndarray, "q"] | None = None
    clustered: str | None = None

    def answers(self, archive: Shaped[np.ndarray, "n"], classes: Sequence[str]) -> Int64[np.ndarray, "q c"]:
        """How many rows of each class may answer each query, given the labels of the archive's rows."""
        places = np.searchsorted(np.array(classes), archive)
        whole = np.bincount(places, minlength=len(classes)).astype(np.int64)
        counts = np.repeat(whole[None], len(self.queries), axis=0)
        if self.apart is not None:
            rows, asked = self.apart
            own = np.zeros((max(int(rows.max(initial=-1)), int(asked.max(initial=-1))) + 2, len(classes)), np.int64)
            np.add.at(own, (rows, places), 1)
            counts -= own[asked]
        return counts


def plan(first: LabelledSet, second: LabelledSet | None, protocol: str | None = None, group: str | None = None) -> Task:
    """The task that a protocol makes of a set, or of two.

    Parameters
    ----------
    protocol : by default ``sets`` with two sets, ``leave-one-group-out`` with a ``group``, else ``leave-one-out``.
    group : a column; rows of the query's own group do not answer it (with ``leave-one-out`` it only serves the
        intervals).

    Raises
    ------
    UsageError
        when the protocol does not fit the sets, a column is unknown or not filled everywhere, or nobody may answer.
    """
    chosen = next((name for name in PROTOCOLS if name == (protocol or _usual(second, group))), None)
    if chosen is None:
        raise UnknownName(f"no protocol '{protocol}'", remedy=f"Choose from: {', '.join(PROTOCOLS)}")
    if (chosen == "sets") != (second is not None):
        what = "two sets" if chosen == "sets" else "one set"
        raise UsageError(f"the protocol {chosen} takes {what}", remedy="Give --queries with the protocol sets only")
    if chosen == "leave-one-group-out" and group is None:
        raise UsageError("leave-one-group-out needs a column", remedy="Give --group, for example --group patient")
    archive, queries = _sides(first, second, chosen)
    asked = first if second is None else second
    apart, held = _apart(first, asked, archive, queries, chosen, group)
    clustered = _clustered(asked, queries, group)
    clusters = asked.column(clustered)[queries] if clustered else None
    task = Task(chosen, archive, queries, second is None, apart, held, clusters, clustered)
    _require_answers(task)
    return task


def _usual(second: LabelledSet | None, group: str | None) -> Protocol:
    if second is not None:
        return "sets"
    return "leave-one-out" if group is None else "leave-one-group-out"


def _sides(
    first: LabelledSet, second: LabelledSet | None, protocol: Protocol
) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "q"]]:
    if protocol != "split":
        return np.arange(len(first)), np.arange(len(first if second is None else second))
    words = np.char.lower(np.char.strip(_filled(first, "split")))
    unknown = sorted(set(words.tolist()) - {*DATABASE, *QUERIES})
    if unknown:
        raise UsageError(
            f"the column 'split' holds '{unknown[0]}'", remedy=f"Use one of: {', '.join((*DATABASE, *QUERIES))}"
        )
    archive, queries = np.flatnonzero(np.isin(words, DATABASE)), np.flatnonzero(np.isin(words, QUERIES))
    if not len(archive) or not len(queries):
        side = "query" if len(archive) else "database item"
        raise UsageError(f"the column 'split' names no {side}", remedy="Name both, such as database and query")
    return archive, queries


def _apart(
    first: LabelledSet,
    asked: LabelledSet,
    archive: Int64[np.ndarray, "n"],
    queries: Int64[np.ndarray, "q"],
    protocol: Protocol,
    group: str | None,
) -> tuple[tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "q"]] | None, tuple[str, ...]]:
    if protocol == "leave-one-out":
        return (archive, queries), ()
    if group is None:
        return None, ()
    rows, wanted = _filled(first, group)[archive], _filled(asked, group)[queries]
    _, places = np.unique(np.concatenate([rows, wanted]), return_inverse=True)
    numbers = places.astype(np.int64)
    return (numbers[: len(rows)], numbers[len(rows) :]), (group,)


def _filled(items: LabelledSet, name: str) -> Shaped[np.ndarray, "n"]:
    """A column that every item must have."""
    if name not in items.known:
        held = f"Columns there: {', '.join(items.known)}" if items.known else "Give --table with such a column"
        raise UsageError(f"{items.name} has no column '{name}'", remedy=held)
    values = items.column(name)
    empty = np.flatnonzero(values == "")
    if len(empty):
        raise UsageError(
            f"{len(empty)} of {len(items)} items of {items.name} have no {name}, such as {items.names[int(empty[0])]}",
            remedy="Fill the column for all: what is unknown could be on both sides",
        )
    return values


def _clustered(asked: LabelledSet, queries: Int64[np.ndarray, "q"], group: str | None) -> str | None:
    for name in (*([group] if group else []), *CLUSTERS):
        if name in asked.known and (asked.column(name)[queries] != "").all():
            return name
    return None


def _require_answers(task: Task) -> None:
    """Somebody must be allowed to answer somebody."""
    count = len(task.archive)
    if task.apart is not None and count:
        rows, asked = task.apart
        sizes = np.bincount(rows, minlength=int(asked.max(initial=0)) + 1)
        count = int((len(rows) - sizes[asked]).max(initial=0))
    if not count:
        raise UsageError("nobody may answer: every item is of one group", remedy="Hold another column apart")
