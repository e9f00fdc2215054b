"""Who may answer whom."""

from pathlib import Path

import numpy as np
import pytest

from histokin.errors import UnknownName, UsageError
from histokin.evaluation.answers import query_time, rank
from histokin.evaluation.labelled import LabelledSet
from histokin.evaluation.protocols import plan


def made(labels: str, name: str = "set", **columns: list[str]) -> LabelledSet:
    rows = tuple({key: values[i] for key, values in columns.items()} for i in range(len(labels)))
    return LabelledSet(name, tuple(Path(f"{name}{i}.png") for i in range(len(labels))), tuple(labels), rows)


def line(count: int) -> np.ndarray:
    """Points on a line, each nearest to those beside it; the lower one where two are as near."""
    return np.arange(count, dtype=np.float32)[:, None]


def ranks(first: LabelledSet, second: LabelledSet | None = None, k: int = 3, **how: str) -> list[list[int]]:
    task = plan(first, second, **how)
    archive = line(len(first))[task.archive]
    queries = line(len(first if second is None else second))[task.queries]
    found: list[list[int]] = rank(
        archive, queries, np.array(first.labels)[task.archive], task, k, "euclidean"
    ).rows.tolist()
    return found


def test_leave_one_out() -> None:
    assert ranks(made("aabb")) == [[1, 2, 3], [0, 2, 3], [1, 3, 0], [2, 1, 0]]
    task = plan(made("aabb"), None)
    assert task.protocol == "leave-one-out"
    assert task.answers(np.array(list("aabb")), ["a", "b"]).tolist() == [[1, 2], [1, 2], [2, 1], [2, 1]]


def test_leave_one_group_out_does_not_fall_short() -> None:
    items = made("aaabb", patient=["p", "p", "p", "q", "r"])
    # Of five rows two may answer the first three queries, though three of its own patient are nearer.
    assert ranks(items, group="patient", k=2) == [[3, 4], [3, 4], [3, 4], [2, 4], [3, 2]]
    task = plan(items, None, group="patient")
    assert task.protocol == "leave-one-group-out"
    assert task.held == ("patient",)
    assert task.answers(np.array(list("aaabb")), ["a", "b"]).tolist() == [[0, 2], [0, 2], [0, 2], [3, 1], [3, 1]]
    assert task.clusters is not None
    assert task.clusters.tolist() == ["p", "p", "p", "q", "r"]


def test_places_without_a_hit() -> None:
    items = made("ab", slide=["s", "t"])
    task = plan(items, None, group="slide")
    found = rank(line(2), line(2), np.array(["a", "b"]), task, 3, "euclidean")
    assert found.rows.tolist() == [[1, -1, -1], [0, -1, -1]]
    assert found.labels.tolist() == [["b", "", ""], ["a", "", ""]]
    assert found.found.tolist() == [[True, False, False]] * 2


@pytest.mark.parametrize("words", [["database", "query"], ["Train", "test"], ["val", "TEST"]])
def test_a_given_split(words: list[str]) -> None:
    items = made("aabb", split=[words[0], words[1], words[0], words[1]])
    # Rows count within the database: items 0 and 2 answer items 1 and 3.
    assert ranks(items, protocol="split", k=2) == [[0, 1], [1, 0]]


def test_a_split_can_hold_groups_apart_too() -> None:
    items = made("aabb", split=["database", "query", "database", "query"], patient=["p", "p", "q", "r"])
    assert ranks(items, protocol="split", group="patient", k=2) == [[1, -1], [1, 0]]


def test_two_sets_with_a_shared_patient() -> None:
    first, second = made("ab", "one", patient=["p", "q"]), made("ba", "two", patient=["q", "z"])
    assert ranks(first, second, k=2) == [[0, 1], [1, 0]]
    assert ranks(first, second, k=2, group="patient") == [[0, -1], [1, 0]]
    assert plan(first, second, group="patient").answers(np.array(["a", "b"]), ["a", "b"]).tolist() == [[1, 0], [1, 1]]


def test_intervals_draw_patients_where_they_are_known() -> None:
    assert plan(made("ab", patient=["p", "q"], slide=["s", "s"]), None).clustered == "patient"
    assert plan(made("ab", patient=["p", ""], slide=["s", "s"]), None).clustered == "slide"
    assert plan(made("ab"), None).clustered is None
    assert plan(made("ab", centre=["x", "y"]), None, "leave-one-out", "centre").clustered == "centre"
    assert plan(made("ab", centre=["x", "y"]), None, "leave-one-out", "centre").held == ()


@pytest.mark.parametrize(
    ("protocol", "group", "reason"),
    [
        ("sets", None, "takes two sets"),
        ("leave-one-group-out", None, "needs a column"),
        (None, "scanner", "no column 'scanner'"),
        (None, "patient", "have no patient, such as set1.png"),
        (None, "centre", "nobody may answer"),
        ("split", None, "holds 'maybe'"),
    ],
)
def test_what_cannot_be_asked(protocol: str | None, group: str | None, reason: str) -> None:
    items = made("ab", patient=["p", ""], centre=["x", "x"], split=["train", "maybe"])
    with pytest.raises(UsageError, match=reason) as caught:
        plan(items, None, protocol, group)
    assert caught.value.remedy


def test_further_refusals() -> None:
    with pytest.raises(UsageError, match="takes one set"):
        plan(made("ab"), made("ab"), "leave-one-out")
    with pytest.raises(UsageError, match="names no query"):
        plan(made("ab", split=["train", "train"]), None, "split")
    with pytest.raises(UsageError, match="nobody may answer"):
        plan(made("a"), None)
    with pytest.raises(UnknownName, match="bootstrap"):
        plan(made("ab"), None, "bootstrap")


def test_times_are_of_single_queries() -> None:
    task = plan(made("abab"), None)
    found = query_time(line(4), line(4), task, 3, "euclidean")
    assert 0 < found.p50_ms <= found.p95_ms
    assert found.queries == 4
