"""Figures of hand-made rankings, and the table made of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.evaluation.answers import Ranked
from histokin.evaluation.chance import chance_figures
from histokin.evaluation.labelled import LabelledSet
from histokin.evaluation.protocols import plan
from histokin.evaluation.scores import FORMULAS, Scores, score
from histokin.evaluation.tabulate import AT, Coded, Measured, tabulate
from histokin.metrics.classification import confusion_matrix, macro_f1


def ranked(rows: list[str]) -> Ranked:
    """One letter per hit; a dot is a place without one. Distances are 1, 2, 3, ..."""
    labels = np.array([["" if letter == "." else letter for letter in row] for row in rows])
    places = np.where(labels == "", -1, np.arange(labels.shape[1]))
    distances = np.where(labels == "", np.inf, np.arange(1.0, labels.shape[1] + 1))
    return Ranked(places.astype(np.int64), np.broadcast_to(distances, labels.shape).copy(), labels)


HITS = ranked(["abaab", "bbaaa", "bb...", "....."])
TRUTH = np.array(["a", "a", "b", "b"])
ANSWERS = np.array([[3, 4], [3, 4], [0, 2], [0, 0]])


@pytest.fixture(scope="module")
def scored() -> Scores:
    return score(HITS, TRUTH, ANSWERS, ["a", "b"], [1, 3, 5], archived={"a": 3, "b": 4})


def test_every_figure_by_hand(scored: Scores) -> None:
    expected = {
        "any_hit_accuracy@1": 2 / 4,
        "any_hit_accuracy@3": 3 / 4,
        "precision@1": 2 / 4,
        "precision@5": (3 / 5 + 3 / 5 + 2 / 5 + 0) / 4,
        "recall@5": (3 / 3 + 3 / 3 + 2 / 2 + 0) / 4,
        "recall@1": (1 / 3 + 0 + 1 / 2 + 0) / 4,
        "pool_limited_recall@1": (1 + 0 + 1 + 0) / 4,
        "pool_limited_recall@5": (3 / 3 + 3 / 3 + 2 / 2 + 0) / 4,
        # Divided by min(5, R): 3, 3, 2; nothing may answer the last.
        "mean_average_precision@5": ((1 + 2 / 3 + 3 / 4) / 3 + (1 / 3 + 2 / 4 + 3 / 5) / 3 + (1 + 1) / 2 + 0) / 4,
        "vote_accuracy@1": 2 / 4,
        "vote_accuracy@3": 2 / 4,
        # "bbaaa" goes to a; nothing goes to the query without hits.
        "vote_accuracy@5": 3 / 4,
        "vote_macro_precision@5": (2 / 2 + 1 / 1) / 2,
        "vote_macro_recall@5": (2 / 2 + 1 / 2) / 2,
        "vote_macro_f1@5": (1 + 2 * 1 / (1 + 2)) / 2,
    }
    for name, value in expected.items():
        assert scored.figures[name].value == pytest.approx(value), name
        assert scored.figures[name].low <= value + 1e-12
        assert scored.figures[name].high >= value - 1e-12


def test_areas_by_hand(scored: Scores) -> None:
    # Positive is b. Shares: 2/5, 2/5 for a; 2/5, 0 for b: of four pairs two are ties and two are lost.
    assert scored.figures["auc_share@5"].value == pytest.approx(1 / 4)
    # Weighted by 1 / distance the hits b, b of the second query outweigh those of the first; the third has b only.
    assert scored.figures["auc_weighted_share@5"].value == pytest.approx(2 / 4)


def test_three_classes_have_the_mean_area() -> None:
    truth = np.array(["a", "b", "c"])
    perfect = score(ranked(["aa", "bb", "cc"]), truth, np.full((3, 3), 2), ["a", "b", "c"], [1, 2], archived={}, at=2)
    assert perfect.figures["auc_share@2"].value == 1
    wrong = score(ranked(["bb", "cc", "aa"]), truth, np.full((3, 3), 2), ["a", "b", "c"], [1, 2], archived={}, at=2)
    assert wrong.figures["auc_share@2"].value == pytest.approx(0.25)


def test_classes_and_confusions(scored: Scores) -> None:
    assert scored.confusion.tolist() == [[2, 0, 0], [0, 1, 1]]
    one, other = scored.per_class
    assert (one.label, one.queries, one.archived) == ("a", 2, 3)
    assert one.precision_at_k == pytest.approx(0.6)
    assert (other.vote_precision, other.vote_recall) == (1, 0.5)
    assert other.precision_at_k == pytest.approx(0.2)
    assert json.loads(json.dumps(scored.to_dict()))["confusion"]["columns"] == ["a", "b", "(no hits)"]


def test_every_figure_has_a_formula(scored: Scores) -> None:
    names = {name.split("@")[0] for name in scored.figures}
    assert names == {name.removesuffix("@k") for name in FORMULAS}


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from("abc"), min_size=5, max_size=5)), min_size=2)
)
def test_figures_stay_in_range_and_agree(rows: list[tuple[str, list[str]]]) -> None:
    truth = np.array([label for label, _ in rows])
    found = score(
        ranked(["".join(hits) for _, hits in rows]), truth, np.full((len(rows), 3), 9), list("abc"), [1, 5], archived={}
    )
    values = {name: interval.value for name, interval in found.figures.items() if not np.isnan(interval.value)}
    assert all(0 <= value <= 1 for value in values.values())
    assert values["precision@1"] == values["any_hit_accuracy@1"] == values["vote_accuracy@1"]
    assert values["precision@5"] == pytest.approx(values["pool_limited_recall@5"])
    assert values["any_hit_accuracy@5"] >= values["vote_accuracy@5"]
    assert values["vote_macro_f1@5"] == pytest.approx(macro_f1(truth, found.votes))
    assert found.confusion[:, :3].tolist() == confusion_matrix(truth, found.votes, np.array(list("abc"))).tolist()


def test_chance_by_formula() -> None:
    truth, answers = np.array(["a", "b"]), np.array([[5, 5], [8, 2]])
    luck = chance_figures(truth, answers, ["a", "b"], [1, 5])
    assert luck["precision@5"] == luck["precision@1"] == pytest.approx((0.5 + 0.2) / 2)
    assert luck["any_hit_accuracy@5"] == pytest.approx((1 - 0.5**5 + 1 - 0.8**5) / 2)
    assert luck["recall@5"] == pytest.approx((5 * 0.5 / 5 + 5 * 0.2 / 2) / 2)
    assert luck["pool_limited_recall@5"] == pytest.approx((5 * 0.5 / 5 + 5 * 0.2 / 2) / 2)
    assert luck["auc_share@5"] == 0.5


def test_chance_of_votes_is_that_of_drawn_hits() -> None:
    truth = np.array(["a", "b"] * 500)
    luck = chance_figures(truth, np.full((1000, 2), 50), ["a", "b"], [1, 5])
    for name in ("vote_accuracy@1", "vote_accuracy@5", "vote_macro_f1@5"):
        assert luck[name] == pytest.approx(0.5, abs=0.02), name
    nobody = chance_figures(np.array(["a"]), np.array([[0, 0]]), ["a", "b"], [1])
    assert nobody["precision@1"] == nobody["vote_accuracy@1"] == nobody["any_hit_accuracy@1"] == 0


def on_a_line(labels: str, at: list[float], name: str = "set", **columns: list[str]) -> tuple[LabelledSet, np.ndarray]:
    rows = tuple({key: values[i] for key, values in columns.items()} for i in range(len(labels)))
    items = LabelledSet(name, tuple(Path(f"{name}{i}.png") for i in range(len(labels))), tuple(labels), rows)
    return items, np.array(at, np.float32)[:, None]


@pytest.fixture(scope="module")
def measured() -> Measured:
    """Two groups of five; the good encoder puts classes apart, the histogram shuffles them."""
    good = [0, 1, 2, 3, 4, 50, 51, 52, 53, 54]
    bad = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]
    items, vectors = on_a_line("aaaaabbbbb", [float(x) for x in good], patient=list("ppqqrstuvw"))
    _, others = on_a_line("aaaaabbbbb", [float(x) for x in bad])
    task = plan(items, None, "leave-one-out")
    coded = [
        Coded("good", "none", vectors, vectors, "euclidean", 12.5),
        Coded("color-histogram", "none", others, others, "euclidean", 1.0, 99.0),
        Coded("bad", "none", others, others, "euclidean"),
    ]
    return tabulate((items, None), None, task, coded)


def test_the_table_holds_rows_against_luck_the_histogram_and_the_first(measured: Measured) -> None:
    table = measured.table
    good, histogram, bad = table.rows
    assert good.scores.figures["precision@1"].value == 1
    assert set(good.differences) == {"histogram"}
    assert set(histogram.differences) == {"first"}
    assert list(bad.differences["histogram"]["precision@5"]) == [0, 0, 0]
    lead = good.differences["histogram"]["precision@1"]
    assert lead.value == 1 - histogram.scores.figures["precision@1"].value
    assert lead.low > 0
    assert bad.differences["first"]["precision@1"].value == -lead.value
    assert table.chance["precision@5"] == pytest.approx(4 / 9)
    assert table.cells()[0][0] == "chance"
    assert all(len(cells) == len(table.columns) for cells in table.cells())
    assert "bootstrap over 8 values of patient" in table.note
    assert table.verdict.headline.startswith("LEAKS")  # p and q are on both sides


def test_costs_stand_beside_the_figures(measured: Measured) -> None:
    good, histogram, _ = measured.table.rows
    assert good.cost.index_cpu_seconds_per_1000 == 12.5
    assert good.cost.images_per_cpu_second == 80
    assert (good.cost.dim, good.cost.vector_bytes_per_patch) == (1, 4)
    assert histogram.cost.disk_bytes_per_patch == 99
    assert 0 < good.cost.query_ms_p50 <= good.cost.query_ms_p95


def test_json_has_every_figure_and_no_nan(measured: Measured) -> None:
    plain = measured.table.to_dict()
    text = json.dumps(plain, allow_nan=False)
    row = json.loads(text)["rows"][0]
    for name in FORMULAS:
        ks = [AT] if name.startswith("auc") else [1, 3, 5, 10]
        for k in ks:
            figure = row["figures"][name.replace("@k", f"@{k}")]
            assert set(figure) == {"value", "low", "high"}
            assert name.replace("@k", f"@{k}") in plain["chance"]
    assert plain["protocol"]["name"] == "leave-one-out"
    assert plain["verdict"]["pictures_seen"] is False
