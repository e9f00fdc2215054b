"""The search half of the histopathology retrieval page: hand-made rankings, and the page on tiny images."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from histokin.evaluation.reproduce.cbhir import reproduce_cbhir
from histokin.evaluation.reproduce.cbhir_scores import Found, any_hit_prediction, misaligned
from histokin.evaluation.reproduce.cbhir_search import _four
from histokin.evaluation.reproduce.hospitals import all_hospitals
from histokin.evaluation.reproduce.orders import order_text
from histokin.evaluation.reproduce.published import CBHIR_AUC, CBHIR_TOP_K
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.reproduce.versions import VERSIONS, make_version
from histokin.metrics.ranking import chance_any_hit, hits_at_k


def found(labels: list[str], truth: list[str], distances: list[float] | None = None) -> Found:
    """Rankings written as texts such as "CCNNN"."""
    table = np.array([[{"C": "C", "N": "NC"}[letter] for letter in row] for row in labels])
    far = np.tile(np.array(distances or [1.0, 2.0, 3.0, 4.0, 5.0]), (len(labels), 1))
    rows = np.zeros(table.shape, np.int64)
    return Found("none", "x", rows, far, table, np.array(truth), "C", 0.0, 0.0, 4)


def test_scripted_rankings() -> None:
    one = found(["CNNNN", "NNNCN", "NNNNN", "CCCNN"], ["C", "C", "C", "NC"])
    assert one.any_hit(3) == 0.25
    assert one.any_hit(5) == 0.75
    values = one.values()
    assert values["P@1"].tolist() == [1, 0, 0, 0]
    assert values["P@5"].tolist() == [0.2, 0.2, 0.0, 0.4]
    assert values["vote@5"].tolist() == [0, 0, 0, 0]
    names = np.array(["C", "NC"])
    assert one.confusion(names, any_hit=True).tolist() == [[2, 1], [0, 1]]
    assert one.confusion(names, any_hit=False).tolist() == [[0, 3], [1, 0]]


def test_the_paper_prediction_knows_the_answer() -> None:
    labels = np.array([["NC", "NC", "C"], ["NC", "NC", "NC"]])
    assert any_hit_prediction(labels, np.array(["C", "C"])).tolist() == ["C", "NC"]


def test_auc_of_retrieval() -> None:
    perfect = found(["CCCCN", "CNNNN"], ["C", "NC"])
    assert perfect.auc() == 1.0
    # The same number of cancer hits, but nearer ones for the query that is cancer: only the weighted score tells.
    near = found(["CNNNN", "NNNNC"], ["C", "NC"])
    assert near.auc() == 0.5
    assert near.auc(weighted=True) == 1.0


def test_mean_average_precision_divides_by_what_five_can_hold() -> None:
    archive = np.array(["C"] * 2 + ["NC"] * 8)
    assert found(["CCNNN"], ["C"]).mean_average_precision(archive) == 1.0
    assert found(["NCCNN"], ["C"]).mean_average_precision(archive) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_misaligned_labels_bring_any_hit_to_chance() -> None:
    """BUG-11: labels in file order against shuffled features. Any hit still looks good; that is the point."""
    archive = np.array(["C", "NC"] * 500)
    rows = np.stack([np.flatnonzero(archive == label)[:5] for label in ("C", "NC") for _ in range(200)])
    rows = rows + 2 * np.random.default_rng(0).integers(0, 400, (len(rows), 1))
    truth = np.array(["C"] * 200 + ["NC"] * 200)
    assert hits_at_k(archive[rows], truth, 5).mean() == 1.0
    shuffled = hits_at_k(misaligned(archive)[rows], truth, 5).mean()
    assert shuffled < 1.0
    assert shuffled == pytest.approx(chance_any_hit(archive, truth, 5), abs=0.03)


def test_four_queries_are_two_of_each_label() -> None:
    truth = np.array(["C"] * 7 + ["NC"] * 9)
    chosen = _four(truth)
    assert truth[chosen].tolist() == ["C", "C", "NC", "NC"]
    assert len(set(chosen)) == 4


def test_versions_are_fitted_per_hospital(tmp_path: Path) -> None:
    hospitals = next(all_hospitals(Run(tmp_path, quick=True)))
    version = make_version("macenko", hospitals)
    assert set(version.maps) == set(hospitals.names)
    assert len(hospitals.names) == 5
    assert {case.hospital for case in hospitals.queries} == {"centre-5"}
    case = hospitals.queries[0]
    assert np.array_equal(version.image(case), version.maps["centre-5"](hospitals.load(case)))
    images = version.to_train()
    assert len(images) == len(hospitals.archive)
    assert images.digests != make_version("none", hospitals).to_train().digests


def test_the_page_on_given_patches(tmp_path: Path) -> None:
    """CAMELYON17's layout: one row per patch with its centre, its label, and who asks."""
    hospitals = next(all_hospitals(Run(tmp_path / "made", quick=True)))
    rows = [(c.path, "CAM17", c.hospital, c.label, "train") for c in hospitals.archive[::2]]
    rows += [(c.path, "CAM17", c.hospital, c.label, "test") for c in hospitals.queries]
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "set", "centre", "label", "split"), *rows])
    page = reproduce_cbhir(Run(tmp_path / "out", data=tmp_path / "manifest.csv", quick=True, command="typed"))
    report = json.loads((page.parent / "report.json").read_text())
    titles = [part["title"] for part in report["parts"]]
    assert titles[0] == "Does the search on CAM17 leak?"
    for number in range(6, 11):
        assert any(title.startswith(f"Figure {number} on CAM17") for title in titles)
    table = next(part for part in report["parts"] if part["title"].startswith("Table 2 on CAM17"))
    encoders = {row[1] for row in table["rows"]}
    assert {"CBHIR autoencoder", "CBHIR autoencoder, untrained", "color-histogram", "chance"} <= encoders
    published = {row[0]: (row[3], row[5]) for row in table["rows"] if row[1] == "CBHIR autoencoder"}
    assert published == {VERSIONS[name]: CBHIR_TOP_K[name] for name in ("none", "bksvd")}
    aucs = next(part for part in report["parts"] if part["title"].startswith("Table 3 on CAM17"))
    retrieval = next(row for row in aucs["rows"] if row[1] == "CBHIR autoencoder")
    assert retrieval[4] == CBHIR_AUC["none"][1]
    left_out = next(part for part in report["parts"] if part["title"] == "Left out on CAM17")
    assert "No VGG19" in left_out["text"]
    steps = next(part for part in report["parts"] if part["title"].startswith("Training on CAM17"))["rows"][0][1]
    assert steps == "6 / 15000"


def test_equal_scores_have_no_order() -> None:
    text = order_text("votes", {"none": 1.0, "bksvd": 1.0}, {"none": 0.7, "bksvd": 0.9}, VERSIONS)
    assert text == "votes: all methods score 1.000 here, so there is no order to compare."
