"""Occlusion maps: an encoder whose gaze is known, signs, and what must change nothing."""

from typing import final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.encoders.base import Encoder, EncoderSpec
from histokin.encoders.pixels import prepare
from histokin.retrieval.explaining.occlusion import (
    CELLS,
    WINDOW,
    WINDOWS,
    blurred,
    cell_means,
    changes,
    edges,
    occluded,
    spread_out,
)
from histokin.types import RGB, Images, Vectors

PX = 224


@final
class Corner(Encoder):
    """Sees the first cell at the top left, and of it the mean and the spread of each channel."""

    @property
    def spec(self) -> EncoderSpec:
        return EncoderSpec("corner", "corner/test", 6, input_px=PX)

    def encode(self, images: Images) -> Vectors:
        side = edges(PX)[1]
        seen = [np.asarray(image, np.float32)[:side, :side] for image in images]
        return np.stack([np.concatenate([x.mean(axis=(0, 1)), x.std(axis=(0, 1))]) for x in seen]).astype(np.float32)


@final
class Everywhere(Encoder):
    """Sees the whole picture: the mean and the spread of each of 10 x 10 blocks."""

    @property
    def spec(self) -> EncoderSpec:
        return EncoderSpec("everywhere", "everywhere/test", 200, input_px=70)

    def encode(self, images: Images) -> Vectors:
        blocks = [np.asarray(prepare(image, 70), np.float32).mean(axis=2).reshape(10, 7, 10, 7) for image in images]
        rows = [np.concatenate([x.mean(axis=(1, 3)).ravel(), x.std(axis=(1, 3)).ravel()]) for x in blocks]
        return np.stack(rows).astype(np.float32)


def noise(seed: int, px: int = PX) -> RGB:
    return np.random.default_rng(seed).integers(0, 256, (px, px, 3)).astype(np.uint8)


def plain(level: tuple[int, int, int] = (240, 240, 240)) -> RGB:
    return np.full((PX, PX, 3), level, np.uint8)


def change_map(encoder: Encoder, image: RGB, other: RGB) -> np.ndarray:
    whole, target = encoder.encode([image]), encoder.encode([other])
    return changes(encoder.encode(occluded(image)), whole, target, encoder.spec.metric)


def test_windows_tile_the_picture_and_overlap_by_half() -> None:
    image, cover = noise(0), blurred(noise(0))
    copies = occluded(image)
    assert (len(copies), edges(PX)[1] - edges(PX)[0], WINDOW) == (WINDOWS**2, 32, 2)
    touched = np.stack([(copy != image).any(axis=2) for copy in copies])
    assert touched.any(axis=0).mean() > 0.99
    row, column = 2, 4
    box = np.s_[64:128, 128:192]
    copy = copies[row * WINDOWS + column]
    np.testing.assert_array_equal(copy[box], cover[box])
    copy[box] = image[box]
    np.testing.assert_array_equal(copy, image)


def test_an_encoder_of_one_corner_has_a_map_of_that_corner() -> None:
    grid = change_map(Corner(), noise(1), noise(2))
    assert grid[0, 0] > 1
    grid[0, 0] = 0
    np.testing.assert_array_equal(grid, 0)


def test_covering_what_both_have_takes_them_apart_and_what_one_has_brings_them_closer() -> None:
    both, neither = plain(), plain()
    both[:32, :32] = noise(3, 32)
    assert change_map(Corner(), both, both)[0, 0] > 1
    assert change_map(Corner(), both, neither)[0, 0] < -1


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_covering_by_identical_pixels_changes_nothing(level: tuple[int, int, int]) -> None:
    np.testing.assert_array_equal(change_map(Everywhere(), plain(level), noise(4)), 0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_nothing_brings_equal_pictures_closer(seed: int) -> None:
    image = noise(seed, 70)
    grid = change_map(Everywhere(), image, image)
    assert grid.min() >= 0
    assert grid.max() > 0


def test_the_metric_is_the_archives() -> None:
    covered = np.tile(np.array([[0.0, 2.0]], np.float32), (WINDOWS**2, 1))
    whole, other = np.array([[3.0, 0.0]], np.float32), np.array([[5.0, 0.0]], np.float32)
    np.testing.assert_allclose(changes(covered, whole, other, "cosine"), 1.0)
    np.testing.assert_allclose(changes(covered, whole, other, "euclidean"), np.sqrt(29) - 2)


def test_a_cell_is_the_mean_of_its_windows() -> None:
    np.testing.assert_allclose(cell_means(np.full((WINDOWS, WINDOWS), 0.25)), 0.25)
    grid = np.zeros((WINDOWS, WINDOWS))
    grid[0, 0] = 4.0
    cells = cell_means(grid)
    np.testing.assert_allclose(cells[:2, :2], [[4.0, 2.0], [2.0, 1.0]])
    assert cells.sum() == 9.0


@pytest.mark.parametrize("size", [(224, 224), (100, 37), (7, 9)])
def test_cells_fill_a_picture_of_any_size(size: tuple[int, int]) -> None:
    cells = np.arange(CELLS**2, dtype=np.float64).reshape(CELLS, CELLS)
    drawn = spread_out(cells, *size)
    assert drawn.shape == size
    assert set(np.unique(drawn)) == set(range(CELLS**2))
    assert (drawn[0, 0], drawn[-1, -1]) == (0, CELLS**2 - 1)
