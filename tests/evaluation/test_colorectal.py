"""The colorectal page: figures worked out by hand, divisions that hold groups together, masks, and a quick page."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float32

from histokin.classifiers.base import Classifier, ClassifierSpec
from histokin.errors import UsageError
from histokin.evaluation.reproduce.colorectal import reproduce_colorectal
from histokin.evaluation.reproduce.colorectal_answers import Answers, histogram_answers, read_arrays, write_arrays
from histokin.evaluation.reproduce.colorectal_data import (
    CRC5,
    GROUPS,
    PARTS,
    Tiles,
    crc5_tiles,
    divided,
    folded,
    foreign_tiles,
    given_tiles,
    randomly_divided,
    read_groups,
    redivided,
)
from histokin.evaluation.reproduce.colorectal_figures import figures_two_and_three
from histokin.evaluation.reproduce.colorectal_masking import drops_of, hidden, random_cells
from histokin.evaluation.reproduce.colorectal_networks import LARGE, Job, finished, job_key, profile_of, train_jobs
from histokin.evaluation.reproduce.colorectal_published import MISPRINTS
from histokin.evaluation.reproduce.colorectal_scores import (
    binary_figures,
    chance_figures,
    f1_difference,
    scored,
    share_interval,
)
from histokin.evaluation.reproduce.colorectal_sets import set_jobs
from histokin.evaluation.reproduce.colorectal_stains import (
    COPIES,
    EXPERIMENTS,
    PUBLISHED,
    RESNET,
    Transfer,
    mapped,
    real_transfer,
    stains_table,
    synthetic_transfer,
    transfer_jobs,
)
from histokin.evaluation.reproduce.colorectal_tables import table_four_published, table_one, table_three_published
from histokin.evaluation.reproduce.run import Run
from histokin.metrics.calibration import softmax
from histokin.stain.registry import normalizer
from histokin.training.classifier_profiles import paper_share
from histokin.training.images import from_arrays
from histokin.types import Images

ROOT = Path(__file__).parents[2]
CLASSES = ("a", "b", "c")


def quick(out: Path, **options: Any) -> Run:
    return Run(out, quick=True, command="histokin reproduce colorectal --quick", **options)


def tiles_of(numbers: Sequence[int], units: Sequence[str] | None = None, classes: Sequence[str] = CLASSES) -> Tiles:
    draws = np.random.default_rng(0)
    images = from_arrays("t", [draws.integers(0, 256, (32, 32, 3)).astype(np.uint8) for _ in numbers])
    groups = tuple(units or images.names)
    images = replace(images, groups=groups)
    labels = {name: classes[number] for name, number in zip(images.names, numbers, strict=True)}
    return Tiles("t", "t", "synthetic", "about", images, labels, tuple(classes), groups)


def answers_saying(tiles: Tiles, said: Sequence[int]) -> Answers:
    return Answers(tiles, 5.0 * np.eye(len(tiles.classes))[list(said)], 1.0)


# -- published ------------------------------------------------------------------------------------------------------


def test_misprints_are_marked_and_nothing_else() -> None:
    marked = [cell for row in table_four_published().rows for cell in row if "MISPRINT" in str(cell)]
    assert len(marked) == len(MISPRINTS) == 4
    assert "0.917 (MISPRINT: 0.174)" in marked


def test_table_3_recomputed_from_counts_is_the_printed_one() -> None:
    rows = table_three_published().rows
    for printed, counted in zip(rows[::2], rows[1::2], strict=True):
        np.testing.assert_allclose(np.array(printed[4:], float), np.array(counted[4:], float), atol=1.1e-3)
    assert [row[2] for row in rows[1::2]] == ["0.942", "0.925", "0.911"]


def test_table_1_has_the_published_sums_and_ours() -> None:
    tiles = tiles_of([0, 0, 1, 2], ["s1", "s2", "s2", "s3"])
    tiles = replace(tiles, images=replace(tiles.images, splits=("train", "train", "validation", "test")))
    rows = table_one([tiles]).rows
    assert [row[3] for row in rows[:4]] == [693, 1751, 4611, 571]
    assert {row[4] for row in rows[:4]} == {"adds up"}
    assert rows[4][1:4] == ("train tiles", "a 2, b 0, c 0", 2)
    assert rows[7][1:4] == ("groups", "a 2, b 1, c 1", 3)


# -- figures --------------------------------------------------------------------------------------------------------


def test_scores_of_a_confusion_worked_out_by_hand() -> None:
    found = scored(answers_saying(tiles_of([0, 0, 1, 1, 2, 2]), [0, 1, 1, 1, 2, 0]))
    assert found.accuracy.value == pytest.approx(4 / 6)
    assert found.macro_f1.value == pytest.approx((1 / 2 + 4 / 5 + 2 / 3) / 3)
    assert found.number("macro_specificity") == pytest.approx((3 / 4 + 3 / 4 + 1) / 3)
    assert found.number("macro_npv") == pytest.approx((3 / 4 + 1 + 4 / 5) / 3)
    assert found.accuracy.low <= found.accuracy.value <= found.accuracy.high


def test_binary_figures_worked_out_by_hand() -> None:
    tiles = tiles_of([0, 0, 0, 1, 1], classes=("healthy", "ill"))
    found = binary_figures(answers_saying(tiles, [0, 1, 1, 1, 0]), "ill")
    assert found.recall.value == pytest.approx(1 / 2)
    assert found.precision.value == pytest.approx(1 / 3)
    assert found.accuracy.value == pytest.approx(2 / 5)
    assert found.f1.value == pytest.approx(2 / 5)
    assert 0 <= found.f1.low <= found.f1.value <= found.f1.high <= 1


def test_draws_without_the_class_do_not_pull_its_f1_down() -> None:
    tiles = tiles_of([0, 0, 1, 1], ["s1", "s1", "s2", "s2"], ("healthy", "ill"))
    found = binary_figures(answers_saying(tiles, [0, 0, 1, 1]), "ill")
    assert (found.f1.low, found.recall.low, found.accuracy.low) == (1, 1, 1)


def test_one_group_that_holds_everything_has_no_width() -> None:
    tiles = tiles_of([0, 1, 0, 1], ["slide"] * 4, ("healthy", "ill"))
    found = binary_figures(answers_saying(tiles, [0, 1, 1, 1]), "ill")
    assert found.accuracy.low == found.accuracy.high == pytest.approx(0.75)
    assert share_interval(np.array([True, False]), np.array(["s", "s"])).low == pytest.approx(0.5)


def test_chance_of_balanced_classes() -> None:
    found = chance_figures(np.repeat(np.arange(5), 7), 5)
    assert found["accuracy"] == found["macro_precision"] == found["macro_recall"] == pytest.approx(0.2)
    assert found["macro_specificity"] == found["macro_npv"] == pytest.approx(0.8)
    assert found["macro_f1"] == pytest.approx(0.2)


def test_chance_is_what_guesses_score() -> None:
    truth = np.repeat(np.arange(3), [300, 600, 2100])
    draws, luck = np.random.default_rng(0), chance_figures(truth, 3)
    tiles = tiles_of([0, 1, 2])
    scores = []
    for _ in range(20):
        said = draws.integers(0, 3, len(truth))
        matrix = np.zeros((3, 3))
        np.add.at(matrix, (truth, said), 1)
        scores.append([np.trace(matrix) / len(truth), np.mean(np.diag(matrix) / matrix.sum(axis=0))])
    assert luck["accuracy"] == pytest.approx(np.mean(scores, axis=0)[0], abs=0.01)
    assert luck["macro_precision"] == pytest.approx(np.mean(scores, axis=0)[1], abs=0.01)
    assert len(tiles) == 3


def test_difference_of_macro_f1() -> None:
    tiles = tiles_of([0, 1, 2] * 10)
    right = answers_saying(tiles, [0, 1, 2] * 10)
    wrong = answers_saying(tiles, [1, 2, 0] * 10)
    same, apart = f1_difference(right, right), f1_difference(right, wrong)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert (apart.value, apart.low, apart.high) == (1, 1, 1)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=20))
def test_a_difference_turns_its_sign(rows: list[tuple[int, int, int]]) -> None:
    tiles = tiles_of([row[0] for row in rows], [f"g{row[2]}" for row in rows])
    one = answers_saying(tiles, [row[1] for row in rows])
    other = answers_saying(tiles, [0] * len(rows))
    there, back = f1_difference(one, other), f1_difference(other, one)
    assert there.value == pytest.approx(-back.value)
    assert there.low == pytest.approx(-back.high)


# -- data -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["crc5.csv", "lc25000-colon.csv"])
def test_the_groups_of_the_page_are_the_committed_ones(name: str) -> None:
    assert (GROUPS / name).read_bytes() == (ROOT / "benchmarks" / "groups" / name).read_bytes()


def test_no_group_of_crc5_is_on_two_sides(shared_data: Path, tmp_path: Path) -> None:
    tiles = crc5_tiles(Run(tmp_path, shared=shared_data))
    assert tiles is not None
    assert (len(tiles), tiles.classes) == (2000, tuple(CRC5))
    for own in (tiles, redivided(tiles, 1)):
        sides = [set(own.part(part).units) for part in PARTS]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 100
        assert all(own.part(part).is_class(label).sum() > 30 for part in PARTS for label in own.classes)
    at_random = randomly_divided(tiles)
    assert set(at_random.part("train").units) & set(at_random.part("test").units)
    assert redivided(tiles, 0).images.splits == tiles.images.splits
    assert tiles.digest != at_random.digest


def test_folds_test_every_group_once(shared_data: Path, tmp_path: Path) -> None:
    tiles = crc5_tiles(Run(tmp_path, shared=shared_data))
    assert tiles is not None
    found = folded(tiles, 5)
    tested = [[place for place, split in enumerate(own.images.splits) if split == "test"] for own in found]
    assert sorted(place for places in tested for place in places) == list(range(2000))
    for own, places in zip(found, tested, strict=True):
        assert [own.images.names[place] for place in places] == list(own.part("test").images.names)
        sides = [set(own.part(part).units) for part in PARTS]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 100
        assert all(own.part(part).is_class(label).any() for part in PARTS for label in own.classes)


def test_other_laboratories_have_the_same_two_classes(shared_data: Path, tmp_path: Path) -> None:
    found = {tiles.name: tiles for tiles in foreign_tiles(Run(tmp_path, shared=shared_data))}
    assert {name: len(tiles) for name, tiles in found.items()} == {"LC25000": 80, "NCT": 20}
    for tiles in found.values():
        assert tiles.classes == ("H", "AC")
        assert tiles.truth.sum() == len(tiles) / 2
        assert set(tiles.images.groups) == {tiles.name}
    assert len(set(found["LC25000"].units)) == 63


def _patches(folder: Path, columns: Sequence[str] = ("path", "label", "group")) -> Path:
    import cv2

    rows = []
    for c, label in enumerate(("normal", "adenoma", "well", "moderately", "poorly")):
        for i in range(4):
            path = folder / label / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((40, 40, 3), 40 * c + i, np.uint8))
            rows.append({"path": f"{label}/{i}.png", "label": label, "group": f"{label}-{i}"})
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_given_patches_are_taken_with_their_slides(tmp_path: Path) -> None:
    tiles = given_tiles(quick(tmp_path, data=_patches(tmp_path / "p")))
    assert tiles is not None
    assert tiles.classes == ("normal", "adenoma", "well", "moderately", "poorly")
    assert len(set(tiles.images.groups)) == 20
    assert set(tiles.images.splits) == set(PARTS)
    assert given_tiles(quick(tmp_path)) is None


def test_the_published_layout_of_training_and_test_has_validation_slides_taken_from_training(tmp_path: Path) -> None:
    folder = _patches(tmp_path / "p")
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ("path", "label", "group", "slide", "area", "split"))
        writer.writeheader()
        for i, row in enumerate(rows):
            more = {"slide": row["group"], "area": str(i % 2), "split": "test" if i % 4 == 3 else "train"}
            writer.writerow({**row, **more})
    tiles = given_tiles(quick(tmp_path, data=folder))
    assert tiles is not None
    counts = [tiles.images.splits.count(part) for part in PARTS]
    assert counts[2] == 5
    assert counts[1] >= 5
    assert sum(counts) == 20
    assert tiles.counts["slides"] == dict.fromkeys(tiles.classes, 4)
    assert table_one([tiles]).rows[4][1:4] == ("slides", "normal 4, adenoma 4, well 4, moderately 4, poorly 4", 20)


def test_given_patches_without_a_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="label"):
        given_tiles(quick(tmp_path, data=_patches(tmp_path / "p", ("path", "group"))))


# -- trainings ------------------------------------------------------------------------------------------------------


def test_every_network_is_trained_with_and_without_the_normalizer(tmp_path: Path) -> None:
    tiles = replace(tiles_of([0, 1, 2]), kind="real", slug="crc5")
    names = [job.name for job in set_jobs(Run(tmp_path), tiles)]
    assert len(names) == 8
    assert {"crc5/small-none", "crc5/resnet50-reinhard", "crc5/inception_v3-none"} <= set(names)
    assert [job.name for job in set_jobs(Run(tmp_path), replace(tiles, kind="synthetic", slug="glands"))][-1] == (
        "glands/inception_v3-none"
    )
    assert all(profile_of(Run(tmp_path, minutes=1), name, 3).epochs >= 3 for name in LARGE)
    assert [profile_of(Run(tmp_path, minutes=m), "small", 6).epochs for m in (1, 45, 90)] == [1, 6, 12]


def test_a_training_that_was_stopped_is_not_done(tmp_path: Path) -> None:
    assert finished(tmp_path) is None
    for stopped, done in (("time", False), ("interrupted", False), ("finished", True), ("enough", True)):
        (tmp_path / "report.json").write_text(json.dumps({"stopped": stopped}))
        assert (finished(tmp_path) is not None) is done


def test_the_stainnet_recipe_lowers_its_rate_at_40_and_50() -> None:
    rates = [RESNET.rate * paper_share(epoch, RESNET.drops) for epoch in (0, 39, 40, 49, 50, 59)]
    assert rates == pytest.approx([2e-4, 2e-4, 2e-5, 2e-5, 2e-6, 2e-6])
    assert (RESNET.batch, RESNET.epochs, RESNET.augment) == (64, 60, False)


def test_stainnet_table_3_holds_together() -> None:
    for recall, precision, _, f1 in PUBLISHED.values():
        assert f1 == pytest.approx(2 * recall * precision / (recall + precision), abs=2e-3)


def test_without_pytorch_the_page_says_what_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    run, learn = Run(tmp_path), tiles_of([0, 1] * 4, classes=("normal", "adenoma"))
    learn = replace(learn, images=replace(learn.images, splits=("train",) * 8))
    transfer = Transfer("two", "about", learn, learn, learn.images, learn.images, "adenoma")
    models = train_jobs(run, transfer_jobs(run, transfer))
    assert not models.found
    rows = stains_table(run, transfer, models, 1.0).rows
    assert [row[0] for row in rows] == ["E1", "E2", "E3", "-"]
    assert all("left out: training needs torch" in str(row[1]) for row in rows[:3])


def test_copies_change_training_tiles_only_and_always_alike(tmp_path: Path) -> None:
    transfer = synthetic_transfer(quick(tmp_path))
    jobs = {job.name[-2:]: job for job in transfer_jobs(Run(tmp_path), transfer)}
    assert set(jobs) == set(EXPERIMENTS)
    for name, job in jobs.items():
        own, learn = job.tiles.images, transfer.learn.images
        trained = learn.splits.count("train")
        assert len(own) == len(learn) + (COPIES - 1) * trained
        assert len(set(own.digests)) == len(own)
        changed = 0
        for i, full in enumerate(own.names):
            key = full.split("#")[0]
            same = np.array_equal(own.load(i), learn.load(learn.names.index(key)))
            np.testing.assert_array_equal(own.load(i), own.load(i))
            changed += not same
            assert same or own.splits[i] == "train"
        assert (changed > 0) is (name != "E1")
        assert changed < 0.6 * COPIES * trained


def test_no_tile_that_stain_gan_saw_is_tested(shared_data: Path, tmp_path: Path) -> None:
    run = Run(tmp_path, shared=shared_data)
    tiles = crc5_tiles(run)
    assert tiles is not None
    transfer = real_transfer(tiles.of_classes(("H", "AC")), foreign_tiles(run))
    assert transfer is not None
    assert not set(transfer.sources.names) & set(transfer.test.images.names)
    told = read_groups(GROUPS / "lc25000-colon.csv")
    assert not {told[name] for name in transfer.sources.names} & set(transfer.test.units)
    assert len(transfer.sources) + len(transfer.test) == 80


def test_mapped_tiles_are_the_map_of_each(tmp_path: Path) -> None:
    tiles = tiles_of([0, 1, 2])
    made = normalizer("reinhard").fit([tiles.images.load(0)])
    found = mapped(tiles, "Reinhard", made)
    np.testing.assert_array_equal(found.images.load(1), made(tiles.images.load(1)))
    assert found.digest != tiles.digest
    assert mapped(tiles, "original", None) is tiles


def test_arrays_are_kept_and_damaged_ones_are_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.npz"
    assert read_arrays(path) is None
    write_arrays(path, {"x": np.arange(3)})
    found = read_arrays(path)
    assert found is not None
    np.testing.assert_array_equal(found["x"], [0, 1, 2])
    path.write_bytes(path.read_bytes()[:40])
    assert read_arrays(path) is None


def test_the_histogram_tells_classes_that_differ_in_color(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    numbers = np.repeat([0, 1, 2], 8)
    images = from_arrays(
        "c", [draws.normal(60 + 70 * n, 10, (40, 40, 3)).clip(0, 255).astype(np.uint8) for n in numbers]
    )
    labels = {name: CLASSES[n] for name, n in zip(images.names, numbers, strict=True)}
    tiles = Tiles("c", "c", "synthetic", "", divided(images, labels, 0), labels, CLASSES, images.names)
    test = tiles.part("test")
    found = histogram_answers(quick(tmp_path), tiles, [test], "none")[0]
    assert found.right.all()
    np.testing.assert_allclose(softmax(found.logits).sum(axis=1), 1)
    again = histogram_answers(quick(tmp_path), tiles, [test], "none")[0]
    np.testing.assert_array_equal(found.logits, again.logits)


# -- masks ----------------------------------------------------------------------------------------------------------


class Rough(Classifier):
    """Class 1 is as likely as the tile is uneven; its map is the standard deviation of red in each cell."""

    @property
    def spec(self) -> ClassifierSpec:
        return ClassifierSpec("rough", "rough", ("a", "b"), 40, 1, (4, 4))

    @property
    def bias(self) -> Float32[np.ndarray, "c"]:
        return np.zeros(2, np.float32)

    def class_maps(self, images: Images) -> tuple[Float32[np.ndarray, "n c"], Float32[np.ndarray, "n c gh gw"]]:
        red = np.stack([image[..., 0].reshape(4, 10, 4, 10).std(axis=(1, 3)) for image in images]).astype(np.float32)
        maps = np.stack([-red, red], axis=1)
        return maps.mean(axis=(2, 3)), maps

    def features(self, images: Images) -> Float32[np.ndarray, "n d"]:
        return self.class_maps(images)[0][:, 1:]

    def logits(self, images: Images) -> Float32[np.ndarray, "n c"]:
        return self.class_maps(images)[0]


@pytest.mark.parametrize("way", ["blur", "mean color"])
def test_masking_the_place_a_class_comes_from_lowers_its_logit_most(way: str) -> None:
    draws = np.random.default_rng(0)
    images = [draws.integers(0, 20, (40, 40, 3)).astype(np.uint8) for _ in range(12)]
    for i, image in enumerate(images):
        row, column = divmod(i, 4)
        rough = image[10 * row : 10 * row + 20, 10 * column : 10 * column + 10, 0]
        rough[::2] += 200
    made = Rough()
    maps = made.class_maps(images)[1][:, 1]
    found = drops_of(made, images, ["b"] * 12, maps, way)
    assert (found.top > found.random).mean() > 0.9
    assert found.least.mean() < found.random.mean()
    # The other class comes from everywhere else: the same mask raises it.
    assert drops_of(made, images, ["a"] * 12, maps, way).top.max() < 0


def test_what_is_hidden_is_only_what_the_mask_says() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    mask = np.zeros((40, 40), np.bool_)
    mask[5:20, 5:20] = True
    for way in ("blur", "mean color"):
        made = hidden(image, mask, way)
        np.testing.assert_array_equal(made[~mask], image[~mask])
        assert made[mask].std() < image[mask].std()
    assert len(np.unique(hidden(image, mask, "mean color")[mask], axis=0)) == 1


def test_random_cells_are_whole() -> None:
    noise = random_cells((4, 4), 40, np.random.default_rng(0))
    cells = noise.reshape(4, 10, 4, 10)
    assert (cells == cells[:, :1, :, :1]).all()
    assert len(np.unique(noise)) == 16


# -- pages ----------------------------------------------------------------------------------------------------------


def test_areas_and_windows_of_a_real_slide(shared_data: Path, tmp_path: Path) -> None:
    found = figures_two_and_three(quick(tmp_path, shared=shared_data))
    assert found is not None
    assert found.png[:4] == b"\x89PNG"
    assert "no pathologist" in found.caption
    assert figures_two_and_three(quick(tmp_path)) is None


def test_a_quick_page_has_every_table_and_figure(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    run = quick(tmp_path)
    page = reproduce_colorectal(run)
    report = json.loads((tmp_path / "report.json").read_text())
    titles = [part["title"] for part in report["parts"]]
    for start in (
        *("Table 1", "Table 2", "Table 3, published", "Table 4, published", "Figure 1", "Table 3, ours"),
        *("Table 4, ours", "Figure 6", "Figure 7", "Figure 8", "Figure 9", "Do activation maps", "StainNet paper"),
    ):
        assert any(title.startswith(start) for title in titles), start
    text = page.read_text(encoding="utf-8")
    assert "SYNTHETIC" in text
    assert "Nothing in the real data is graded" in text
    assert "Left out: the slide" in text
    table = next(part for part in report["parts"] if part["title"].startswith("Table 3, ours"))
    rows = [row[0] for row in table["rows"]]
    assert rows == ["small network", "small network, untrained", "color histogram, logistic regression", "chance"]
    stains = next(part for part in report["parts"] if part["title"].startswith("StainNet paper"))
    assert [row[1] for row in stains["rows"]][:3] == ["original", "StainGAN", "StainNet"]
    assert stains["rows"][0][7] == "0.767 / 0.874 / 0.824 / 0.817"
    _made_again(run, tmp_path)


def _made_again(run: Run, out: Path) -> None:
    """A second run takes the trained folders and answers as they are, and makes the same page."""
    before = (out / "report.json").read_text()
    files = sorted(out.glob("networks/**/classifier.onnx")) + sorted(out.glob("answers/*.npz"))
    times = [file.stat().st_mtime_ns for file in files]
    assert len(files) > 8
    said: list[str] = []
    reproduce_colorectal(replace(run, say=said.append))
    assert [file.stat().st_mtime_ns for file in files] == times
    assert not [line for line in said if "training" in line]
    assert (out / "report.json").read_text() == before


def test_jobs_of_other_tiles_have_other_folders() -> None:
    profile = profile_of(quick(Path()), "small", 3)
    one, other = (Job("x", tiles_of([0, 1, 2], units)) for units in (["g", "g", "h"], ["g", "h", "i"]))
    assert job_key(one, profile, None, None) == job_key(one, profile, None, None)
    assert job_key(one, profile, None, None) != job_key(other, profile, None, None)
    assert job_key(one, profile, None, None) != job_key(one, replace(profile, epochs=9), None, None)
