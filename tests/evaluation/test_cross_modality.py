"""Cross-modality retrieval measured: transforms and their inverses, folds, scores of scripted rankings, cells."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.errors import UsageError
from histokin.evaluation.cross_modality.cells import Cells
from histokin.evaluation.cross_modality.folds import cross_validation, dealt, published_split, source_of
from histokin.evaluation.cross_modality.matching import Indexed, Matcher, answers, score_cell, set_key
from histokin.evaluation.cross_modality.plain_methods import RandomMatcher
from histokin.evaluation.cross_modality.representing import Represented
from histokin.evaluation.cross_modality.scoring import (
    Answers,
    chance,
    difference,
    order_of,
    per_query,
    rank_of,
    scores,
    spread,
    together,
)
from histokin.evaluation.cross_modality.subjects import tiles, whole_cores
from histokin.evaluation.cross_modality.transforms import Rigid, Window, central, drawn, moved
from histokin.evaluation.reproduce.cross_modality_data import fibers
from histokin.modality.none import NoRepresentation
from histokin.training.pairs import PairSet, pairs_from_arrays

CENTER = (255.5, 255.5)


def fields(count: int = 6, side: int = 64) -> PairSet:
    names = [f"field {i}" for i in range(count)]
    return pairs_from_arrays(("brightfield", "shg"), names, [fibers(side, i) for i in range(count)])


# Transforms


def test_a_quarter_turn_and_a_shift_have_known_matrices() -> None:
    assert np.allclose(Rigid(0, 3, -2).matrix(CENTER), [[1, 0, 3], [0, 1, -2]])
    turned = Rigid(90).points(np.array([[256.5, 255.5]]), CENTER)  # a pixel right of the center goes above it
    assert np.allclose(turned, [[255.5, 254.5]])


@given(st.floats(-180, 180), st.floats(-61, 61), st.floats(-61, 61))
def test_the_inverse_brings_points_back(angle: float, dx: float, dy: float) -> None:
    rigid = Rigid(angle, dx, dy)
    there = rigid.points(np.array([[10.0, 20.0], [300.0, 400.0]]), CENTER)
    assert np.allclose(rigid.inverse().points(there, CENTER), [[10.0, 20.0], [300.0, 400.0]], atol=1e-8)


def test_pixels_go_where_points_go() -> None:
    image = np.zeros((65, 65, 1), np.uint8)
    image[20:23, 40:43] = 255
    rigid = Rigid(25, 4, -3)
    shown = moved(image, Window(0, 0, 65), rigid)
    y, x = np.argwhere(shown[..., 0] > 128).mean(axis=0)
    assert np.allclose((x, y), rigid.points(np.array([[41.0, 21.0]]), (32.0, 32.0))[0], atol=0.2)


def test_moving_there_and_back_gives_the_middle_again() -> None:
    image, _ = fibers(128, 1)
    rigid, window = Rigid(20, 6, -5), Window(0, 0, 128)
    back = moved(moved(image, window, rigid), window, rigid.inverse())
    middle = (slice(40, 88), slice(40, 88))
    assert np.abs(back[middle].astype(int) - image[middle]).mean() < 8
    assert np.abs(moved(image, window, rigid)[middle].astype(int) - image[middle]).mean() > 15


def test_quarter_turns_are_exact() -> None:
    image, _ = fibers(64, 2)
    assert np.array_equal(moved(image, Window(0, 0, 64), Rigid(90)), np.rot90(image))


def test_a_window_takes_content_from_beyond_it() -> None:
    image = np.arange(64 * 64, dtype=np.int64).reshape(64, 64, 1).astype(np.uint8)
    shown = moved(image, Window(16, 16, 32), Rigid(0, 5, 2))
    assert np.array_equal(shown, image[14:46, 11:43])


def test_constant_borders_have_the_color_of_the_rim() -> None:
    image = np.full((32, 32, 3), 240, np.uint8)
    image[8:24, 8:24] = 10
    shown = moved(image, Window(0, 0, 32), Rigid(0, 6, 0), border="constant")
    assert (shown[:, :6] == 240).all()


def test_a_window_outside_is_refused() -> None:
    with pytest.raises(UsageError, match="leaves the image of 32 x 32"):
        moved(np.zeros((32, 32, 1), np.uint8), Window(8, 0, 32), Rigid(0))


def test_drawn_transforms_are_fixed_by_seed_and_within_bounds() -> None:
    drawn_once = [drawn(0, 3, number, side=512) for number in range(10)]
    assert drawn_once == [drawn(0, 3, number, side=512) for number in range(10)]
    assert len({rigid.degrees for rigid in drawn_once}) == 10
    many = [drawn(0, place, number, side=512) for place in range(21) for number in range(10)]
    assert max(abs(rigid.degrees) for rigid in many) <= 30
    assert 55 < max(abs(rigid.dx) for rigid in many) <= 61
    assert max(abs(rigid.dx) for rigid in [drawn(0, p, 0, side=834) for p in range(300)]) > 90
    first = drawn(0, 0, 0, side=512)  # the committed protocol
    draws = np.random.default_rng([0, 0, 0])
    assert (first.degrees, first.dx, first.dy) == (draws.uniform(-30, 30), *draws.uniform(-61, 61, 2))


def test_the_central_square() -> None:
    image = np.arange(100, dtype=np.uint8).reshape(10, 10, 1)
    assert central(image, 4)[0, 0, 0] == 33
    assert central(image, 4).shape == (4, 4, 1)
    assert central(image, 10) is image


# Folds


NAMES = (
    *("1B_A1", "1B_B7", "1B_D2", "1B_E7", "1B_G2", "1B_H7", "2B_D2", "2B_E7", "2B_G2"),
    *("X01Y05", "X01Y15", "X03Y07", "X05Y15", "X06Y06"),
    *(f"sa stroma pancreas 2000 - {n}" for n in (16, 29, 32, 86, 91, 95, 97)),
)


def test_the_folds_of_the_shared_cores() -> None:
    assert dealt(NAMES) == (0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2)
    for fold in cross_validation(NAMES):
        assert len(fold.test) == 7
        assert len(fold.train) == 14
        assert fold.repository == tuple(range(21))
        assert not set(fold.train) & set(fold.test)
        assert sorted(source_of(NAMES[i]) for i in fold.test).count("B") == 3


@given(st.lists(st.sampled_from([f"{a}{b}" for a in "AB" for b in range(6)]), min_size=12, max_size=40))
def test_no_core_is_on_both_sides(cores: list[str]) -> None:
    if len(set(cores)) < 3:
        return
    folds = cross_validation(cores)
    for fold in folds:
        assert not {cores[i] for i in fold.train} & {cores[i] for i in fold.test}
    assert sorted(i for fold in folds for i in fold.test) == list(range(len(cores)))


def test_the_published_split() -> None:
    fold = published_split(["train", "test", "validation", "test"])
    assert (fold.train, fold.test, fold.repository) == ((0,), (1, 3), (1, 3))
    with pytest.raises(UsageError, match="no pair has split 'train'"):
        published_split(["test", ""])
    with pytest.raises(UsageError, match="cannot make 3 folds"):
        cross_validation(["a", "b"])


# Scores


def test_ranks_and_orders_of_scripted_similarities() -> None:
    values = np.array([0.5, 0.9, 0.5, np.nan, 0.1])
    assert order_of(values).tolist() == [1, 0, 2, 4, 3]
    assert [rank_of(values, i) for i in range(5)] == [2, 1, 3, 5, 4]


def answered_by(ranks: list[int], cores: list[str], size: int = 21) -> Answers:
    return Answers(np.array(ranks), np.array(cores), size, np.array([f"q{i}" for i in range(len(ranks))]))


def test_accuracy_of_scripted_ranks() -> None:
    answered = answered_by([1, 2, 3, 21], ["a", "a", "b", "b"])
    found = scores(answered)
    assert [found[f"Acc@{k}"].value for k in (1, 2, 5, 10, 15)] == [0.25, 0.5, 0.75, 0.75, 0.75]
    assert found["MRR"].value == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 21) / 4)
    # two cores: a draw has both, or one of them twice
    assert (found["Acc@2"].low, found["Acc@2"].high) == (0.0, 1.0)


def test_chance_is_that_of_random_orders() -> None:
    assert chance(21)["Acc@2"] == pytest.approx(0.095, abs=3e-4)
    assert chance(134)["Acc@10"] == pytest.approx(0.0746, abs=1e-4)
    draws = np.random.default_rng(0).integers(1, 22, 200_000)
    assert chance(21)["MRR"] == pytest.approx((1 / draws).mean(), abs=2e-3)
    assert chance(8, (10,)) == {"Acc@10": 1.0, "MRR": pytest.approx(sum(1 / i for i in range(1, 9)) / 8)}


def test_differences_are_paired() -> None:
    cores = ["a", "b", "c"]
    good, bad = answered_by([1, 1, 1], cores), answered_by([2, 3, 2], cores)
    assert difference(good, bad) == (1.0, 1.0, 1.0)
    assert difference(good, good) == (0.0, 0.0, 0.0)
    # only the queries that both have, whatever their order
    turned = Answers(np.array([1, 9]), np.array(["c", "a"]), 21, np.array(["q2", "q0"]))
    assert difference(good, turned).value == 0.5 == -difference(turned, good).value
    with pytest.raises(UsageError, match="no query in common"):
        difference(good, Answers(np.array([1]), np.array(["a"]), 21, np.array(["other"])))
    with pytest.raises(UsageError, match="cannot be pooled"):
        together([good, answered_by([1], ["a"], 8)])
    assert good.of(["b", "c"]).asked.tolist() == ["q1", "q2"]


def test_seeds() -> None:
    assert np.allclose(spread([0.5, 0.7]), (0.6, 0.1414), atol=1e-4)
    assert np.isnan(spread([0.5])[1])


@given(st.lists(st.integers(1, 21), min_size=1, max_size=50))
@settings(max_examples=30)
def test_more_answers_are_never_worse(ranks: list[int]) -> None:
    values = per_query(answered_by(ranks, ["c"] * len(ranks)))
    means = [values[f"Acc@{k}"].mean() for k in (1, 2, 5, 10, 15)]
    assert means == sorted(means)


# Subjects


def test_queries_are_cut_from_the_moved_image() -> None:
    subjects = whole_cores("fields", "", fields(), patches=(20,))
    assert subjects.sizes == (64, 20)
    assert subjects.query(2, 1, 4, 64).shape == (64, 64, 1)
    small = subjects.query(2, 1, 4, 20)
    assert np.array_equal(small, subjects.query(2, 1, 4, 64)[22:42, 22:42])
    assert np.array_equal(subjects.query(2, 0, None, 64), fields().load(2)[0])
    assert not np.array_equal(subjects.query(2, 0, 0, 64), subjects.query(2, 0, 1, 64))


def test_tiles_stay_with_their_core() -> None:
    subjects = tiles("tiles", "", fields(), 32)
    assert len(subjects.items) == 24
    for fold in subjects.folds:
        asking = {subjects.items[i].core for i in fold.test}
        assert len(fold.repository) == 24
        assert len(fold.test) == 8
        assert not asking & set(subjects.training(fold).groups)
        assert len(subjects.training(fold)) == 4
    with pytest.raises(UsageError, match="no tile of 65 px"):
        tiles("tiles", "", fields(), 65)


# Cells


class Telling(Indexed):
    """The mean absolute difference of pixels, negative."""

    def __init__(self, images: list[np.ndarray]) -> None:
        self.images = images

    def similarity(self, image: np.ndarray) -> np.ndarray:
        crops = [central(one, image.shape[0]).astype(np.float32) for one in self.images]
        return np.array([-np.abs(crop.mean(axis=2) - image.mean(axis=2)).mean() for crop in crops], np.float32)


class Pixelwise(Matcher):
    name = "pixels"

    @property
    def identity(self) -> dict[str, object]:
        return {}

    def index(self, repository: object, modality: int) -> Telling:
        return Telling(list(repository))  # type: ignore[call-overload]


def test_a_cell_has_all_four_query_sets_of_both_repositories() -> None:
    subjects = whole_cores("fields", "", fields(), patches=(32,), transforms=2)
    fold = subjects.folds[1]
    cell = score_cell(Represented(subjects, fold, NoRepresentation()), Pixelwise(), 64)
    assert sorted(cell["sets"]) == sorted(set_key(r, q, t) for r in (0, 1) for q in (0, 1) for t in (False, True))
    cores = [item.core for item in subjects.items]
    for modality in (0, 1):
        same = answers(cell, set_key(modality, modality, False), cores)
        assert same.ranks.tolist() == [1, 1]
        assert same.size == 6
        assert sorted(same.cores.tolist()) == sorted(cores[i] for i in fold.test)
        assert len(answers(cell, set_key(modality, 1 - modality, True), cores).ranks) == 4
    assert json.loads(json.dumps(cell)) == cell


def test_random_orders_are_at_chance() -> None:
    subjects = whole_cores("fields", "", fields(), patches=(), transforms=60)
    fold = subjects.folds[0]
    cell = score_cell(Represented(subjects, fold, NoRepresentation()), RandomMatcher(), 64, plain=False)
    ranks = np.concatenate([answers(cell, key, ["c"] * 6).ranks for key in cell["sets"]])
    assert len(ranks) == 480
    assert abs((ranks <= 2).mean() - 1 / 3) < 0.09


def test_cells_are_kept_until_what_they_depend_on_changes(tmp_path: Path) -> None:
    cells, calls = Cells(tmp_path), []

    def make() -> dict[str, int]:
        calls.append(1)
        return {"ranks": 7}

    assert cells.made("a/b", {"seed": 0}, make) == {"ranks": 7} == cells.made("a/b", {"seed": 0}, make)
    assert len(calls) == 1
    cells.made("a/b", {"seed": 1}, make)
    assert len(calls) == 2
    (tmp_path / "a" / "b.json").write_text("{", encoding="utf-8")
    assert cells.kept("a/b", {"seed": 1}) is None
