"""The medical image retrieval page: published averages, scripted rankings, the split, and the page on tiny images."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.encoders.registry import encoder
from histokin.errors import UnreadableFile, UsageError
from histokin.evaluation.leakage import leakage_verdict, side
from histokin.evaluation.reproduce.cbmir import reproduce_cbmir
from histokin.evaluation.reproduce.cbmir_data import modality_sets
from histokin.evaluation.reproduce.cbmir_features import read_features, write_features
from histokin.evaluation.reproduce.cbmir_figures import result_figures
from histokin.evaluation.reproduce.cbmir_methods import compare
from histokin.evaluation.reproduce.cbmir_networks import Networks, train_networks
from histokin.evaluation.reproduce.cbmir_scores import (
    chance,
    counts_within,
    ranking,
    relevant_to,
    score,
    table_averages,
)
from histokin.evaluation.reproduce.cbmir_split import copies, divide, without_crops
from histokin.evaluation.reproduce.cbmir_tables import claims_note, table_one
from histokin.evaluation.reproduce.papers import PAPERS
from histokin.evaluation.reproduce.published import CBMIR_BY_COUNT, CBMIR_MARGINS, CBMIR_METHODS
from histokin.evaluation.reproduce.records import load
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.synthetic.modalities import four_modalities


def quick(out: Path, **options: Any) -> Run:
    return Run(out, quick=True, command="histokin reproduce cbmir --quick", **options)


def test_the_paper_has_its_name() -> None:
    assert PAPERS.load("cbmir") is reproduce_cbmir


def ranked(*rows: str) -> np.ndarray:
    """Rankings written as texts such as "AAB"."""
    return np.array([list(row) for row in rows])


def test_published_averages_follow_from_the_published_table() -> None:
    averages = table_averages(CBMIR_BY_COUNT)
    assert [round(value, 3) for value in averages] == [95.872, 96.026, 95.536]
    assert [round(value, 2) for value in averages] == list(CBMIR_METHODS["proposed"])


def test_published_margins_are_over_resnet50() -> None:
    ours, rival = CBMIR_METHODS["proposed"], CBMIR_METHODS["resnet50"]
    assert [round(a - b, 2) for a, b in zip(ours, rival, strict=True)] == list(CBMIR_MARGINS)
    assert round(ours[2] - CBMIR_METHODS["vgg16"][2], 2) == 2.40


def test_a_scripted_ranking() -> None:
    """20 hits, 5 of the query's class at ranks 1, 2, 4, 5, 10; 8 of the class in the archive."""
    hits = ranked("AABAABBBBABBBBBBBBBB")
    found = score(hits, np.array(["A"]), np.array([8]))
    row = found.at[20]
    assert row["P@n"].value == 5 / 20
    assert row["R@n"].value == 5 / 8
    assert row["pool-limited recall"].value == 5 / 8
    assert row["mAP@n"].value == pytest.approx((1 + 1 + 3 / 4 + 4 / 5 + 5 / 10) / 8)
    assert row["accuracy"].value == 0
    assert found.mean["P@n"].value == row["P@n"].value


def test_a_tied_vote_goes_to_the_nearer() -> None:
    hits = ranked("ABAB" * 5, "BABA" * 5)
    found = score(hits, np.array(["A", "A"]), np.array([50, 50]))
    assert found.at[20]["accuracy"].value == 0.5


def test_macro_precision_and_recall_of_the_vote() -> None:
    """Truth A A B; the votes say A B B: precision (1 + 1/2) / 2, recall (1/2 + 1) / 2."""
    hits = ranked("A" * 20, "B" * 20, "B" * 20)
    row = score(hits, np.array(["A", "A", "B"]), np.array([9, 9, 9])).at[20]
    assert row["accuracy"].value == pytest.approx(2 / 3)
    assert row["precision"].value == pytest.approx(0.75)
    assert row["recall"].value == pytest.approx(0.75)
    assert row["precision"].low <= 0.75 <= row["precision"].high


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(100, 400))
def test_precision_is_pool_limited_recall_while_the_class_is_large_enough(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    hits = rng.choice(np.array(["A", "B", "C"]), (3, 100))
    truth = rng.choice(np.array(["A", "B", "C"]), 3)
    found = score(hits, truth, np.full(3, size), None)
    for row in found.at.values():
        assert row["P@n"] == row["pool-limited recall"]
        assert row["R@n"].value <= row["P@n"].value


def test_counts_end_with_the_archive() -> None:
    assert counts_within(1000) == (20, 40, 60, 80, 100)
    assert counts_within(75) == (20, 40, 60)
    assert counts_within(7) == (7,)


def test_chance_is_the_share_of_the_class() -> None:
    labels = np.array(["A"] * 150 + ["B"] * 50)
    truth = np.array(["A", "B"] * 20)
    found = chance(labels, truth)
    assert found.at[100]["P@n"].value == pytest.approx(0.5, abs=0.02)
    assert found.at[100]["accuracy"].value == pytest.approx(0.5, abs=0.02)  # always A
    assert found.at[20]["R@n"].value == pytest.approx(0.1, abs=0.01)
    assert np.isnan(found.mean["P@n"].low)
    assert relevant_to(labels, np.array(["B", "A", "C"])).tolist() == [50, 150, 0]


def test_an_image_finds_itself_at_distance_zero() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (30, 48)).astype(np.float32)
    found = ranking(rows, rows[[4, 17]], "euclidean", 5)
    assert found.rows[:, 0].tolist() == [4, 17]
    assert found.distances[:, 0].tolist() == [0, 0]


def test_features_come_back_bit_by_bit(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(0, 1e-3, (5, 48)).astype(np.float32)
    vectors[0, :2] = [np.float32(1) / 3, np.float32(1e-38)]
    path = write_features(tmp_path / "f.json", list("abcde"), ["x"] * 5, vectors, "cbmir/0123456789ab/fp32")
    files, labels, found = read_features(path)
    assert (files, labels) == (list("abcde"), ["x"] * 5)
    assert found.tobytes() == vectors.tobytes()
    content = json.loads(path.read_text())
    assert (content["version"], content["model_sha"], content["latent_dim"]) == (1, "0123456789ab", 48)
    assert set(content["items"][0]) == {"file", "label", "feature"}
    for broken in ("{", "[]", '{"version": 2, "items": []}', '{"version": 1, "latent_dim": 3, "items": [{}]}'):
        path.write_text(broken)
        with pytest.raises(UnreadableFile, match=r"f\.json"):
            read_features(path)


def test_copies_are_one_group_and_stay_on_one_side() -> None:
    images = list(four_modalities(10, px=64, seed=3).images[10:30])
    images += [np.ascontiguousarray(images[0][:, ::-1]), np.ascontiguousarray(np.rot90(images[0]))]
    labels = ["MRI"] * 10 + ["OCT"] * 10 + ["MRI"] * 2
    seen = side([str(i) for i in range(22)], labels, images)
    groups = copies(seen.thumbs)
    assert groups[0] == groups[20] == groups[21]
    assert len(set(groups.tolist())) == 20
    for seed in range(20):
        splits = divide(labels, groups, seed)
        assert splits[0] == splits[20] == splits[21]
        for label in ("MRI", "OCT"):
            own = [split for split, name in zip(splits, labels, strict=True) if name == label]
            assert {"train", "validation", "test"} == set(own)
    assert divide(labels, groups, 3) == divide(labels, groups, 3)


def test_a_planted_crop_is_moved_out_of_the_queries() -> None:
    images = list(four_modalities(12, px=128, seed=3).images[12:36])
    images[1] = np.ascontiguousarray(cv2.resize(images[0][6:122, 6:122], (128, 128), interpolation=cv2.INTER_AREA))
    labels = ["MRI"] * 12 + ["OCT"] * 12
    seen = side([str(i) for i in range(24)], labels, images)
    splits = ("train", "test") + ("train",) * 10 + ("test",) + ("train",) * 11

    def leaks(parts: tuple[str, ...]) -> bool:
        train, test = (seen.take(np.flatnonzero(np.array(parts) == part)) for part in ("train", "test"))
        return any(finding.kind != "color" for finding in leakage_verdict(train, test).findings)

    after, groups = without_crops(seen, splits, copies(seen.thumbs))
    assert leaks(splits)
    assert not leaks(after)
    assert after[1] == "train"
    assert groups[1] == groups[0]
    assert after[12] == "test"


def test_given_splits_are_kept_and_validation_is_taken_from_training() -> None:
    labels = ["a", "b"] * 20
    given_splits = ["test" if i < 6 else "train" for i in range(40)]
    splits = divide(labels, np.arange(40), 0, given_splits)
    assert [split == "test" for split in splits] == [i < 6 for i in range(40)]
    assert splits.count("validation") == 4
    assert divide(labels, np.arange(40), 0, [*given_splits[:39], "validation"])[39] == "validation"


def test_splits_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(UsageError, match="class 'b' has 2 images"):
        divide(["a"] * 5 + ["b"] * 2, np.arange(7), 0)
    with pytest.raises(UsageError, match="does not put every image"):
        divide(["a", "a", "b"], np.arange(3), 0, ["train", "", "test"])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def folders(root: Path, per_kind: int = 6) -> Path:
    made = four_modalities(per_kind, px=48, seed=7)
    for i, (label, image) in enumerate(zip(made.labels, made.images, strict=True)):
        (root / label).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / label / f"{i}.png"), image[:, :, ::-1])
    return root


def test_a_folder_per_modality_and_a_manifest_can_be_given(tmp_path: Path) -> None:
    data = folders(tmp_path / "mine")
    first = modality_sets(quick(tmp_path / "out", data=data))[0]
    assert (first.name, first.kind, len(first.paths)) == ("mine", "given", 24)
    assert first.classes == ("EEG", "MRI", "OCT", "X-ray")
    rows = table(tmp_path / "out" / "mine" / "split.csv")
    assert [row["split"] for row in rows] == list(first.splits)
    with (data / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "set", "label", "split"))
        for i, path in enumerate(sorted(data.rglob("*.png"))):
            writer.writerow((path.relative_to(data), "hospital", path.parent.name, "test" if i % 6 == 0 else "train"))
    second = modality_sets(quick(tmp_path / "out", data=data))[0]
    assert (second.name, second.splits.count("test")) == ("hospital", 4)


def test_data_that_cannot_be_used_names_its_remedy(tmp_path: Path) -> None:
    one = folders(tmp_path / "one")
    for label in ("MRI", "OCT", "EEG"):
        for path in (one / label).iterdir():
            path.unlink()
        (one / label).rmdir()
    with pytest.raises(UsageError, match="one class only"):
        modality_sets(quick(tmp_path / "out", data=one))
    (one / "manifest.csv").write_text("path,set\nX-ray/0.png,a\n")
    with pytest.raises(UsageError, match=r"0\.png has no label"):
        modality_sets(quick(tmp_path / "out", data=one))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The quick page on synthetic and given images; one thread, as tests of others may run beside it."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield reproduce_cbmir(quick(tmp_path_factory.mktemp("cbmir")))
    torch.set_num_threads(threads)


def part(page: Path, start: str) -> Any:
    report = json.loads((page.parent / "report.json").read_text())
    return next(p for p in report["parts"] if p["title"].startswith(start))


def test_the_page_begins_with_the_verdict_and_has_every_part(page: Path) -> None:
    report = json.loads((page.parent / "report.json").read_text())
    titles = [p["title"] for p in report["parts"]]
    assert titles[0].startswith("Leakage")
    assert "No leak found" in report["parts"][0]["text"]
    wanted = ["Figure 1:", *(f"Figure {n}:" for n in range(3, 7)), *(f"Figure {n} on" for n in (2, *range(7, 12)))]
    wanted += [f"Table I ({letter}) on" for letter in "abc"] + ["Table II on", "Input and reconstruction"]
    for start in wanted:
        assert any(title.startswith(start) for title in titles), start
    assert "SYNTHETIC" in page.read_text()
    left_out = part(page, "Left out")["text"]
    assert "medical-mnist is not here" in left_out
    assert "brain-mri is not here" in left_out


def test_every_count_has_ours_the_untrained_the_histogram_chance_and_the_published(page: Path) -> None:
    rows = part(page, "Table I (b)")["rows"]
    for n in (20, 40, "average"):
        assert [row[1] for row in rows if row[0] == n] == [
            "autoencoder (proposed)",
            "autoencoder, untrained",
            "color histogram",
            "chance",
            "published (their data)",
        ]
    assert [row[2::2] for row in rows if row[:2] == [20, "published (their data)"]] == [["98.34", "97.84", "98.42"]]
    assert "too small for n = 60, 80, 100" in part(page, "Table I (b)")["note"]
    assert part(page, "Table I as published")["rows"][-1] == ["average", "95.872", "96.026", "95.536"]


def test_a_class_smaller_than_n_bounds_precision_and_not_pool_limited_recall(page: Path) -> None:
    """Ten images of a class in the database: P@20 is 0.5 at best, its pool-limited recall 1."""
    rows = [row for row in part(page, "Table I (c)")["rows"] if row[0] == 20 and row[1] == "color histogram"]
    assert float(rows[0][4]) <= 50
    assert float(rows[0][2]) == pytest.approx(2 * float(rows[0][4]))


def test_table_2_has_all_methods_with_their_cost(page: Path) -> None:
    rows = {row[0]: row for row in part(page, "Table II")["rows"]}
    assert {"autoencoder (proposed)", "autoencoder, untrained", "DCNN", "DCNN, untrained", "color histogram"} < set(
        rows
    )
    assert rows["autoencoder (proposed)"][7] == "95.87 / 96.03 / 95.54"
    assert rows["DCNN"][7] == "88.42 / 87.48 / 88.62"
    assert rows["autoencoder (proposed)"][2] == 48
    assert rows["autoencoder (proposed)"][12] == 192
    assert rows["DCNN"][2] == 256
    assert rows["autoencoder (proposed)"][1].startswith("4 / 62500")
    assert "AlexNet: left out of a quick run" in part(page, "What holds on")["text"]


def test_the_database_is_the_json_file(page: Path) -> None:
    folder = page.parent / "synthetic-modalities"
    files, labels, vectors = read_features(folder / "features.json")
    rows = [row for row in table(folder / "split.csv") if row["split"] == "train"]
    assert files == [row["path"] for row in rows]
    assert labels == [row["label"] for row in rows]
    network = encoder("onnx", path=folder / "networks" / "cbmir")
    again = network.encode([load(Path(files[0]))])
    assert np.allclose(again[0], vectors[0], rtol=1e-5, atol=1e-6)


def test_a_further_run_takes_the_networks_that_are_there(page: Path) -> None:
    folder = page.parent / "synthetic-modalities" / "networks"
    before = {name: (folder / name / "encoder.onnx").read_bytes() for name in ("cbmir", "dcnn")}
    run = quick(page.parent)
    networks = train_networks(run, modality_sets(run))["synthetic modalities"]
    assert networks.autoencoder is not None
    assert networks.autoencoder.steps == "4 / 62500 steps"
    assert {name: (folder / name / "encoder.onnx").read_bytes() for name in before} == before


def test_without_pytorch_the_rest_is_there_and_the_reason_is_named(page: Path) -> None:
    run = quick(page.parent)
    images = modality_sets(run)[0]
    compared = compare(run, images, Networks(absent="training needs torch"))
    assert list(compared.results) == ["histogram", "shipped"]
    assert [figure.title[:9] for figure in result_figures(images, compared)] == ["Figure 10"]
    assert {row[1] for row in table_one(run, images, compared)[0].rows if row[0] == 20} == {
        "color histogram",
        "chance",
        "published (their data)",
    }
    assert "training needs torch" in claims_note(images, compared).text


def test_real_images_are_marked_real(shared_data: Path, tmp_path: Path) -> None:
    sets = {images.name: images for images in modality_sets(quick(tmp_path, shared=shared_data))}
    assert sets["medical-mnist"].kind == sets["brain-mri"].kind == "real"
    assert len(sets["medical-mnist"].classes) == 6
    assert all(images.about.startswith("REAL") for images in sets.values() if images.kind == "real")
    assert not any(images.verdict.leaks for images in sets.values())
