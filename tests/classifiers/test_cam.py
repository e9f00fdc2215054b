"""Class activation maps as pictures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from histokin.classifiers.cam import (
    STYLES,
    class_maps,
    heat,
    overlay,
    overlays,
    peak,
    top_share,
    unit,
    upsampled,
    with_arrow,
)
from histokin.errors import UsageError


def planted(row: int, column: int) -> np.ndarray:
    cam = np.zeros((7, 7), np.float32)
    cam[row, column] = 3
    return cam


def test_mean_of_the_map_plus_bias_is_the_logit() -> None:
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((5, 8, 3, 4)).astype(np.float32)
    weights, bias = rng.standard_normal((6, 8)).astype(np.float32), rng.standard_normal(6).astype(np.float32)
    logits = maps.mean(axis=(2, 3)) @ weights.T + bias
    classes = np.array([0, 5, 2, 2, 1])
    cams = class_maps(maps, weights, classes)
    assert cams.shape == (5, 3, 4)
    np.testing.assert_allclose(cams.mean(axis=(1, 2)) + bias[classes], logits[np.arange(5), classes], rtol=1e-4)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 3), (6, 2)])
def test_a_planted_hot_cell_is_where_the_peak_is(row: int, column: int) -> None:
    maps = np.zeros((1, 4, 7, 7), np.float32)
    maps[0, 2, row, column] = 1
    weights = np.array([[0, 0, 0, 0], [0.5, 0, 2, 0]], np.float32)
    cam = class_maps(maps, weights, np.array([1]))[0]
    assert peak(cam, 224, 224) == (column * 32 + 16, row * 32 + 16)
    large = upsampled(cam, 224, 224)
    assert large.shape == (224, 224)
    y, x = np.unravel_index(int(large.argmax()), large.shape)
    assert abs(x - (column * 32 + 16)) <= 16
    assert abs(y - (row * 32 + 16)) <= 16
    mixed = overlay(np.full((224, 224, 3), 128, np.uint8), cam, style="gray")
    assert mixed[row * 32 + 16, column * 32 + 16].min() > mixed[(row * 32 + 128) % 224, 5].max()


def test_overlay_keeps_size_and_type() -> None:
    cam = planted(2, 5)
    for made in (
        np.full((50, 70, 3), 200, np.uint8),
        np.full((50, 70, 3), 40000, np.uint16),
        np.full((50, 70, 3), 0.5, np.float32),
        np.full((50, 70, 1), 200, np.uint8),
    ):
        for style in STYLES:
            before = made.copy()
            mixed = overlay(made, cam, style=style)
            assert mixed.shape == made.shape
            assert mixed.dtype == made.dtype
            assert (made == before).all()
            assert not np.array_equal(mixed, made)


def test_overlay_by_hand() -> None:
    cam = np.array([[0.0, 1.0]], np.float32)
    image = np.full((1, 2, 3), 100, np.uint8)
    # Gray: 0 and 255 at the ends, mixed with 100 at 0.4.
    assert overlay(image, cam, style="gray", alpha=0.4)[0, :, 0].tolist() == [60, 162]
    assert (overlay(image, cam, alpha=0) == image).all()
    assert overlay(image, cam, alpha=1, style="jet")[0, 1].tolist() == heat(np.ones((1, 1), np.float32))[0, 0].tolist()


def test_a_constant_map_is_nowhere() -> None:
    assert (unit(np.full((3, 3), 7, np.float32)) == 0).all()


@settings(deadline=None)
@given(arrays.arrays(np.float32, (4, 5), elements=st.floats(-(2.0**126), 2.0**126, width=32)))
def test_unit_fills_zero_to_one(cam: np.ndarray) -> None:
    scaled = unit(cam)
    assert np.isfinite(scaled).all()
    assert scaled.min() >= 0
    assert scaled.max() <= 1
    if cam.max() - cam.min() > 1e-3 * max(1.0, float(np.abs(cam).max())):
        assert scaled.min() == 0
        assert scaled.max() == pytest.approx(1, abs=1e-5)


def test_jet_goes_from_blue_to_red() -> None:
    colors = heat(np.array([[0.0, 1.0]], np.float32), "jet")
    assert colors[0, 0, 2] > colors[0, 0, 0]
    assert colors[0, 1, 0] > colors[0, 1, 2]


def test_batches() -> None:
    images = [np.full((20, 30, 3), 50, np.uint8), np.full((40, 10, 3), 90, np.uint8)]
    cams = np.stack([planted(0, 0), planted(6, 6)])
    mixed = overlays(images, cams)
    assert [one.shape for one in mixed] == [(20, 30, 3), (40, 10, 3)]
    np.testing.assert_array_equal(mixed[1], overlay(images[1], cams[1]))
    with pytest.raises(UsageError, match="2 maps for 1 images"):
        overlays(images[:1], cams)


@pytest.mark.parametrize("tip", [(0, 0), (99, 59), (50, 30)])
def test_arrow_ends_at_its_tip(tip: tuple[int, int]) -> None:
    image = np.zeros((60, 100, 3), np.uint8)
    drawn = with_arrow(image, tip)
    assert not image.any()
    changed = np.argwhere(drawn.any(axis=2))
    assert np.abs(changed - [tip[1], tip[0]]).max(axis=1).min() <= 1
    assert len(changed) > 10


def test_top_share() -> None:
    values = np.arange(10, dtype=np.float32).reshape(2, 5)
    assert top_share(values, 0.2).tolist() == [[False] * 5, [False] * 3 + [True] * 2]
    assert top_share(np.zeros((2, 2), np.float32), 0.5).tolist() == [[True, True], [False, False]]
    with pytest.raises(UsageError, match="share"):
        top_share(values, 1.5)


def test_refusals() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(UsageError, match="no style is called"):
        overlay(image, planted(0, 0), style="red")
    with pytest.raises(UsageError, match="alpha"):
        overlay(image, planted(0, 0), alpha=2)
    with pytest.raises(UsageError, match="shape"):
        overlay(np.zeros((8, 8, 4), np.uint8), planted(0, 0))
    with pytest.raises(UsageError, match="0 x 5"):
        upsampled(planted(0, 0), 5, 0)
