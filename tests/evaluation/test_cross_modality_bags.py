"""Bags of words and re-ranking as the cross-modality page measures them, on scripted and on tiny images."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.encoders.base import LocalFeatures, Points
from histokin.evaluation.cross_modality.bags import PLAIN, BagMatcher, Blank, Remembered, Vocabularies, Weights
from histokin.evaluation.cross_modality.placed import PlacedMatcher, dark
from histokin.evaluation.cross_modality.plain_methods import PointMatcher
from histokin.evaluation.cross_modality.reranking import RerankMatcher, depths, parts, reordered
from histokin.evaluation.cross_modality.scoring import order_of, rank_of
from histokin.evaluation.cross_modality.subjects import whole_cores
from histokin.evaluation.reproduce.cross_modality_data import fibers
from histokin.evaluation.reproduce.cross_modality_features import words_for
from histokin.training.pairs import pairs_from_arrays

faiss = pytest.importorskip("faiss")


class Blocks(LocalFeatures):
    """The gray levels of every 8 x 8 block, as they are."""

    described = 0
    name, space, dim = "blocks", "blocks", 64

    def describe(self, image: np.ndarray) -> Points:
        type(self).described += 1
        plane = image[..., 0].astype(np.float32)
        rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
        cut = plane[: 8 * rows, : 8 * columns].reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3).reshape(-1, 64)
        found = cut[cut.std(axis=1) > 0]
        return Points(np.zeros((len(found), 2), np.float32), found, found.var(axis=1))


def textures(count: int, side: int = 64) -> list[np.ndarray]:
    """Images that share some blocks and have others of their own."""
    random = np.random.default_rng(3)
    alphabet = random.integers(0, 255, (40, 8, 8), dtype=np.uint8)
    images = []
    for i in range(count):
        letters = random.choice(np.r_[np.arange(10), 10 + 2 * i, 11 + 2 * i] % 40, (side // 8, side // 8))
        images.append(alphabet[letters].transpose(0, 2, 1, 3).reshape(side, side, 1))
    return images


def bag(words: int = 40) -> BagMatcher:
    return BagMatcher("blocks", Vocabularies(Blocks(), words))


def test_an_indexed_image_finds_itself() -> None:
    images = textures(8)
    for weights in (None, PLAIN):
        index = BagMatcher("blocks", Vocabularies(Blocks(), 40), weights).index(images, 0)
        for i, image in enumerate(images):
            found = index.similarity(image)
            assert found[i] == found.max() == pytest.approx(1.0, abs=1e-5)


def test_images_are_described_once_and_vocabularies_learned_once() -> None:
    images = textures(4)
    vocabularies = Vocabularies(Blocks(), 20)
    Blocks.described = 0
    first = BagMatcher("blocks", vocabularies).index(images, 0)
    second = BagMatcher("blocks plain", vocabularies, PLAIN).index(images, 0)
    assert Blocks.described == 4
    assert first.bag is second.bag  # type: ignore[attr-defined]
    features = Remembered(Blocks(), most=1)
    points = features.describe(images[0])
    assert features.describe(images[0]) is points
    features.describe(images[1])
    assert features.describe(images[0]) is not points


def test_nothing_to_describe_is_no_error_and_no_answer() -> None:
    flat = [np.full((64, 64, 1), 9, np.uint8)] * 3
    index = bag().index(flat, 0)
    assert isinstance(index, Blank)
    assert order_of(index.similarity(flat[0])).tolist() == [0, 1, 2]
    assert isinstance(RerankMatcher("again", bag(), 2, "reused").index(flat, 0), Blank)


def test_depths_stay_below_half_of_the_repository() -> None:
    assert depths(134) == (15, 30)
    assert depths(21) == (5, 10)
    assert depths(84) == (15, 30)
    assert depths(6) == (1, 2)
    for items in range(3, 200):
        assert max(depths(items)) < items / 2


def test_parts_cover_an_image() -> None:
    image = np.zeros((64, 64, 1), np.uint8)
    assert len(parts(image, 64)) == len(parts(image, 100)) == 1
    assert [part.shape for part in parts(image, 40)] == [(40, 40, 1)] * 4
    assert len(parts(image, 20)) == 16


@given(st.lists(st.floats(0, 1), min_size=6, max_size=20), st.integers(1, 6), st.randoms())
@settings(max_examples=40)
def test_re_ranking_keeps_who_is_among_the_first(values: list[float], depth: int, random: object) -> None:
    similarity = np.array(values, np.float32)
    before = order_of(similarity)
    head = before[:depth]
    fresh = np.array([random.random() for _ in head], np.float32)  # type: ignore[attr-defined]
    after = order_of(reordered(similarity, head, fresh))
    assert set(after[:depth]) == set(head)
    assert after[depth:].tolist() == before[depth:].tolist()
    assert after[:depth].tolist() == head[np.argsort(-fresh, kind="stable")].tolist()


@pytest.mark.parametrize("way", ["reused", "rebuilt"])
def test_accuracy_at_the_depth_is_unchanged_by_re_ranking(way: Literal["reused", "rebuilt"]) -> None:
    images = textures(9)
    plain = bag().index(images, 0)
    again = RerankMatcher("again", bag(), 4, way).sized(24).index(images, 0)
    for i, image in enumerate(images):
        query = image[8:32, 16:40]
        before, after = plain.similarity(query), again.similarity(query)
        assert (rank_of(before, i) <= 4) == (rank_of(after, i) <= 4)
        assert set(order_of(before)[:4]) == set(order_of(after)[:4])


def test_a_planted_part_comes_first() -> None:
    """One image holds the query's blocks in one corner; others hold more of them, scattered."""
    random = np.random.default_rng(0)
    letters = random.integers(0, 255, (30, 8, 8), dtype=np.uint8)

    def laid(grid: np.ndarray) -> np.ndarray:
        return np.asarray(letters[grid].transpose(0, 2, 1, 3).reshape(64, 64, 1))

    query_grid = np.arange(9).reshape(3, 3)
    planted = random.integers(9, 30, (8, 8))
    planted[:3, :3] = query_grid
    scattered = random.integers(9, 30, (8, 8))
    scattered.ravel()[random.permutation(64)[:18]] = np.tile(np.arange(9), 2)
    images = [laid(scattered), laid(planted), *(laid(random.integers(9, 30, (8, 8))) for _ in range(5))]
    query = laid(np.pad(query_grid, (0, 5)))[:24, :24]
    counts = Weights(idf=False, word_freq_range=(0.0, 1.0))
    many = BagMatcher("blocks", Vocabularies(Blocks(), 30, per_word=100), counts)
    assert rank_of(many.index(images, 0).similarity(query), 1) == 2
    for way in ("reused", "rebuilt"):
        again = RerankMatcher("again", many, 3, way).sized(24).index(images, 0)
        assert rank_of(again.similarity(query), 1) == 1


def test_an_image_is_as_near_as_its_nearest_point() -> None:
    described = {5: [[0.0, 0.0], [9.0, 9.0]], 6: [[1.0, 1.0]], 7: []}

    def describe(image: np.ndarray) -> np.ndarray:
        return np.array(described[int(image[0, 0, 0])], np.float32).reshape(-1, 2)

    images = [np.full((4, 4, 1), level, np.uint8) for level in (5, 6, 7)]
    index = PointMatcher("points", describe, lambda _: np.array([8.0, 8.0]), "points").index(images, 0)
    assert index.similarity(images[0]).tolist() == [-2.0, -98.0, -np.inf]


def test_placing_finds_the_moved_image_and_inverts_color() -> None:
    names = [f"field {i}" for i in range(4)]
    subjects = whole_cores(
        "f", "", pairs_from_arrays(("brightfield", "shg"), names, [fibers(96, i) for i in range(4)]), patches=()
    )
    assert dark(np.full((1, 1, 3), 200, np.uint8)).tolist() == [[[55]]]
    gray = subjects.image(0, 1)
    assert dark(gray) is gray
    for modality in (0, 1):
        index = PlacedMatcher().index([subjects.image(i, modality) for i in range(4)], modality)
        for place in range(4):
            assert rank_of(index.similarity(subjects.query(place, 1 - modality, 0, 96)), place) == 1


def test_words_as_in_the_paper_or_fewer() -> None:
    assert words_for(134, 834) == 20_000
    assert words_for(21, 512) == 4000
    assert words_for(134, 512) == pytest.approx(20_000 * 64 * 64 / 105 / 105, abs=1)
