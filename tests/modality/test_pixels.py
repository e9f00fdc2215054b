"""What goes into a network and what comes out: numbers, sizes, mirrored edges."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.errors import UsageError
from histokin.modality.network_map import larger
from histokin.modality.pixels import to_bytes, unit_values
from histokin.modality.preparing import Input, smaller
from histokin.modality.tiling import OVERLAP, TILE, pad_to, run_on, unpad


def picture(height: int = 40, width: int = 48, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def test_values_of_every_depth_are_the_same() -> None:
    eight = picture()
    deep = eight.astype(np.uint16) * 257
    real = eight.astype(np.float32) / np.float32(255)
    assert np.allclose(unit_values(eight, 3), unit_values(deep, 3), atol=1e-6)
    assert np.array_equal(unit_values(eight, 3), unit_values(real, 3))


def test_gray_is_repeated_and_color_averaged() -> None:
    gray = picture(channels=1)
    assert np.array_equal(unit_values(gray, 3), np.repeat(unit_values(gray, 1), 3, axis=2))
    color = picture()
    assert np.allclose(unit_values(color, 1)[..., 0], color.mean(axis=2) / 255, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((40, 40), np.uint8),
        np.zeros((40, 40, 2), np.uint8),
        np.zeros((31, 40, 3), np.uint8),
        np.zeros((40, 40, 3), np.int32),
        np.full((40, 40, 3), 2, np.float32),
        np.full((40, 40, 3), np.nan, np.float32),
        "image.png",
    ],
)
def test_what_is_no_image_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError):
        unit_values(wrong, 3)


def test_bytes_of_known_values() -> None:
    values = np.array([-9, -1, 0, 0.5, 1, 9], np.float32).reshape(1, 6, 1)
    assert to_bytes(values, -1, 1).ravel().tolist() == [0, 0, 128, 191, 255, 255]


def test_preparing_of_known_values() -> None:
    white = np.full((32, 32, 1), 255, np.uint8)
    assert Input(1, logarithm=True).prepare(white)[0, 0, 0] == pytest.approx(math.log(2))
    full = Input(3, logarithm=True, high=math.log(2), signed=True).prepare(white)
    assert full.shape == (32, 32, 3)
    assert np.allclose(full, 1, atol=1e-6)
    assert np.allclose(Input(1, signed=True).prepare(white * 0), -1)
    assert np.allclose(Input(1, low=-1.0, high=1.0).prepare(white), 1)


def test_preparing_survives_json() -> None:
    made = Input(1, True, 0.25, 0.5, True, 2)
    assert Input.from_dict(made.to_dict()) == made
    for damaged in ({}, {**made.to_dict(), "channels": 2}, {**made.to_dict(), "high": 0.1}):
        with pytest.raises(UsageError):
            Input.from_dict(damaged)


@given(height=st.integers(4, 40), width=st.integers(4, 40), factor=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_smaller_and_larger_keep_the_size(height: int, width: int, factor: int) -> None:
    values = np.random.default_rng(height * width).random((height, width, 2), np.float32)
    shrunk = smaller(values, factor)
    assert shrunk.shape == (-(-height // factor), -(-width // factor), 2)
    assert larger(shrunk, factor, height, width).shape == values.shape
    constant = np.full_like(values, 0.25)
    assert np.allclose(larger(smaller(constant, factor), factor, height, width), 0.25)


def test_smaller_averages() -> None:
    values = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    assert smaller(values, 2)[..., 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]


@given(
    height=st.integers(32, 90),
    width=st.integers(32, 90),
    multiple=st.sampled_from([1, 4, 64, 256]),
    margin=st.sampled_from([0, 16]),
)
@settings(max_examples=60, deadline=None)
def test_unpad_gives_back_what_pad_took(height: int, width: int, multiple: int, margin: int) -> None:
    values = np.random.default_rng(height).random((height, width, 1), np.float32)
    padded, before = pad_to(values, multiple, margin)
    assert padded.shape[0] % multiple == padded.shape[1] % multiple == 0
    assert padded.shape[0] - height >= 2 * margin
    assert padded.shape[0] - height < 2 * margin + multiple
    assert np.array_equal(unpad(padded, before, height, width), values)


def test_padding_of_the_published_images() -> None:
    """834 pixels become 896 for CoMIR (a multiple of 64) and 1024 for pix2pix (of 256), mirrored without the edge."""
    values = np.random.default_rng(0).random((834, 834, 1), np.float32)
    assert pad_to(values, 64)[0].shape == (896, 896, 1)
    assert pad_to(values, 64, 16)[0].shape == (896, 896, 1)
    padded, before = pad_to(values, 256)
    assert padded.shape == (1024, 1024, 1)
    assert before == (95, 95)
    assert np.array_equal(padded[94, 95:929], values[1])


def test_a_network_over_tiles_is_the_network() -> None:
    """A pixel-wise network must answer a large image as if it were one: tiles are blended without a seam."""
    values = np.random.default_rng(0).random((TILE + 300, TILE + OVERLAP + 1, 1), np.float32)
    seen = []

    def run(batch: np.ndarray) -> np.ndarray:
        seen.append(batch.shape)
        return np.concatenate([batch * 2, batch + 1], axis=1)

    made = run_on(values, 64, run)
    assert len(seen) == 4
    assert max(max(shape) for shape in seen) <= TILE
    assert np.allclose(made, np.concatenate([values * 2, values + 1], axis=2), atol=1e-5)
