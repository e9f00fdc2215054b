"""Dense SURF: against plain loops, and what it must and must not change with."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.encoders.surf import DenseSurf, oriented
from histokin.errors import EncoderError, UsageError
from histokin.types import Image


def _texture(height: int = 97, width: int = 97, seed: int = 0, low: int = 0, high: int = 256) -> Image:
    noise = np.random.default_rng(seed).uniform(0, 1, (height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    out: Image = (low + smooth * (high - 1 - low)).astype(np.uint8)[..., None]
    return out


def _plain(image: Image, x: int, y: int, width: int, angle: float = 0.0) -> np.ndarray:
    """One descriptor by the definition, one box sum after another."""
    scale, half = width / 20, round(width / 20)
    margin = 4 * width
    padded = np.pad(image[..., 0].astype(float), margin, mode="edge")
    out = np.zeros((4, 4, 4))
    for i in range(20):
        for j in range(20):
            v, u = (i - 9.5) * scale, (j - 9.5) * scale
            px = margin + int(np.rint(x + u * np.cos(angle) - v * np.sin(angle)))
            py = margin + int(np.rint(y + u * np.sin(angle) + v * np.cos(angle)))
            tall, wide = slice(py - half, py + half), slice(px - half, px + half)
            dx = padded[tall, px : px + half].sum() - padded[tall, px - half : px].sum()
            dy = padded[py : py + half, wide].sum() - padded[py - half : py, wide].sum()
            weight = np.exp(-((i - 9.5) ** 2 + (j - 9.5) ** 2) / (2 * 3.3**2))
            along = weight * (dx * np.cos(angle) + dy * np.sin(angle))
            across = weight * (dy * np.cos(angle) - dx * np.sin(angle))
            out[i // 5, j // 5] += (along, across, abs(along), abs(across))
    flat: np.ndarray = out.ravel()
    length = float(np.linalg.norm(flat))
    return flat / length if length > 0 else flat


def test_descriptors_are_those_of_plain_loops() -> None:
    image = _texture(50, 61)
    points = DenseSurf().describe(image)
    assert len(points) == 4 * 7 * 8
    for row in range(0, len(points), 17):
        x, y = points.xy[row].astype(int)
        expected = _plain(image, x, y, (32, 64, 96, 128)[row // 56])
        np.testing.assert_allclose(points.descriptors[row], expected, atol=2e-6)


def test_oriented_descriptors_are_those_of_plain_loops_in_their_direction() -> None:
    """A plane rises in one direction, which is the dominant one everywhere inside."""
    rows, columns = np.mgrid[0:160, 0:160]
    image = (columns + 0.5 * rows).astype(np.uint8)[..., None]
    points = DenseSurf(upright=False, widths=(32,)).describe(image)
    inside = np.flatnonzero(((points.xy >= 40) & (points.xy <= 120)).all(axis=1))
    assert len(inside) == 121
    for row in inside[::60]:
        x, y = points.xy[row].astype(int)
        fits = [float(_plain(image, x, y, 32, a) @ points.descriptors[row]) for a in np.deg2rad(np.arange(0, 360, 9))]
        assert abs(9 * int(np.argmax(fits)) - np.rad2deg(np.arctan(0.5))) <= 5
        assert max(fits) > 0.999


def test_grid_and_order() -> None:
    points = DenseSurf().describe(np.zeros((834, 834, 1), np.uint8))
    assert len(points) == 44_100
    np.testing.assert_array_equal(points.xy[:2], [[0, 0], [8, 0]])
    np.testing.assert_array_equal(points.xy[105], [0, 8])
    np.testing.assert_array_equal(points.xy[105**2 : 105**2 + 2], [[0, 0], [8, 0]])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), gain=st.sampled_from([2, 3, 5]), offset=st.integers(0, 55), upright=st.booleans())
def test_brightness_and_contrast_change_nothing(seed: int, gain: int, offset: int, upright: bool) -> None:
    image = _texture(40, 56, seed, high=41)
    brighter = (image * gain + offset).astype(np.uint8)
    features = DenseSurf(upright=upright)
    np.testing.assert_allclose(features.describe(image).descriptors, features.describe(brighter).descriptors, atol=3e-7)


def test_constant_images_give_zeros_and_no_strength() -> None:
    for upright in (True, False):
        points = DenseSurf(upright=upright).describe(np.full((40, 40, 3), 77, np.uint8))
        assert not points.descriptors.any()
        assert not points.strength.any()


def test_a_horizontal_ramp_rises_everywhere_and_nowhere_down() -> None:
    image = np.tile(np.arange(200, dtype=np.uint8), (200, 1))[..., None]
    parts = DenseSurf().describe(image).descriptors.reshape(-1, 16, 4)
    np.testing.assert_array_equal(parts[..., 0], parts[..., 2])
    assert not parts[..., [1, 3]].any()


def test_descriptors_have_unit_length_and_strength_is_their_variance() -> None:
    for upright in (True, False):
        points = DenseSurf(upright=upright).describe(_texture())
        np.testing.assert_allclose(np.linalg.norm(points.descriptors, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(points.strength, points.descriptors.astype(float).var(axis=1), atol=1e-7)


def test_a_quarter_turn_permutes_the_regions_and_swaps_the_directions() -> None:
    """Corners of the pixel grid turn onto such corners, so the permutation is exact."""
    image = _texture(96, 96)
    before = DenseSurf().describe(image).descriptors.reshape(4, 12, 12, 4, 4, 4)
    after = DenseSurf().describe(np.rot90(image).copy()).descriptors.reshape(4, 12, 12, 4, 4, 4)
    # Counter-clockwise: the corner (x, y) moves to (y, 96 - x); what rose to the right now rises upwards.
    turned = np.rot90(before, axes=(3, 4))
    swapped = np.stack([turned[..., 1], -turned[..., 0], turned[..., 3], turned[..., 2]], axis=-1)
    for x in range(1, 12):
        np.testing.assert_allclose(after[:, 12 - x, 1:], swapped[:, 1:, x], atol=1e-6)
    assert np.abs(after[:, 11, 1:] - before[:, 1:, 1]).max() > 0.1


def test_oriented_descriptors_turn_with_the_image_and_upright_ones_do_not() -> None:
    image = _texture(201, 201, 3)
    center = (100.0, 100.0)
    turn = cv2.getRotationMatrix2D(center, 45, 1.0)
    turned = cv2.warpAffine(image, turn, (201, 201), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)[..., None]

    def likeness(features: DenseSurf) -> float:
        one, other = features.describe(image), features.describe(turned)
        moved = one.xy @ turn[:, :2].T.astype(np.float32) + turn[:, 2].astype(np.float32)
        inside = np.flatnonzero(np.linalg.norm(one.xy - 100, axis=1) < 60)
        gaps = np.linalg.norm(moved[inside][:, None] - other.xy[None], axis=2)
        near = gaps.argmin(axis=1)
        close = gaps.min(axis=1) <= 1
        assert close.sum() > 200
        return float((one.descriptors[inside] * other.descriptors[near]).sum(axis=1)[close].mean())

    upright = likeness(DenseSurf(step=3, widths=(32,)))
    assert likeness(oriented(step=3, widths=(32,))) > max(0.9, upright + 0.1)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (3, 200, 1)])
def test_tiny_images_are_described(shape: tuple[int, int, int]) -> None:
    for upright in (True, False):
        points = DenseSurf(upright=upright).describe(np.full(shape, 9, np.uint8))
        assert np.isfinite(points.descriptors).all()
        assert len(points) == 4 * -(-shape[1] // 8)


def test_input_is_only_read_and_views_are_taken() -> None:
    image = np.repeat(_texture(), 3, axis=2)
    image.flags.writeable = False
    expected = DenseSurf().describe(image).descriptors
    wide = np.concatenate([image, image], axis=1)[:, :97]
    np.testing.assert_array_equal(DenseSurf().describe(wide).descriptors, expected)


def test_wrong_images_and_options_are_refused() -> None:
    wrong: list[Image] = [np.zeros((8, 8, 2), np.uint8), np.zeros((8, 8, 1), np.float32), np.zeros((0, 8, 1), np.uint8)]
    for image in wrong:
        with pytest.raises(EncoderError, match="cannot be described"):
            DenseSurf().describe(image)
    with pytest.raises(UsageError):
        DenseSurf(widths=())
    with pytest.raises(UsageError):
        DenseSurf(step=0)


def test_spaces_tell_options_apart() -> None:
    spaces = {f.space for f in (DenseSurf(), DenseSurf(upright=False), DenseSurf(step=4), DenseSurf(widths=(32,)))}
    assert len(spaces) == 4


def test_real_tissue_is_described_alike_at_any_brightness(shared_data: Path) -> None:
    file = sorted((shared_data / "bf-shg" / "he_aligned_derived").iterdir())[0]
    image = np.asarray(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), np.uint8)[..., None]
    darker = (image // 2).astype(np.uint8)
    one, other = DenseSurf().describe(image), DenseSurf().describe(darker)
    assert len(one) == 4 * 64 * 64
    assert np.median((one.descriptors * other.descriptors).sum(axis=1)) > 0.99
