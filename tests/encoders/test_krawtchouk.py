"""Krawtchouk descriptors: against the definition written out, and what they must not change with."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from histokin.encoders.krawtchouk import KrawtchoukPoints, _moments, invariants, normalized
from histokin.errors import UsageError

SIGNS = np.array([1, 1, -1, -1, -1, -1])


def _texture(size: int = 120, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 1, (size, size))
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.asarray((smooth - smooth.min()) / (smooth.max() - smooth.min()))


def _blobs(by_x: int = 0, by_y: int = 0) -> np.ndarray:
    y, x = np.mgrid[0:60, 0:60].astype(float)
    x, y = x - by_x, y - by_y
    one = np.exp(-((x - 26) ** 2 + (y - 28) ** 2) / 18)
    return np.asarray(0.8 * one + 0.5 * np.exp(-((x - 33) ** 2 / 20 + (y - 31) ** 2 / 8)))


def _plain(crop: np.ndarray, x_p: int, y_p: int) -> np.ndarray:
    """The definition pixel by pixel, with the polynomials as hypergeometric sums."""
    side = len(crop)
    top = side - 1

    def away(value: float) -> int:
        return int(np.sign(value) * np.floor(abs(value) + 0.5))

    def window(at: int) -> np.ndarray:
        out = np.zeros(side)
        for k in range(side):
            if 0 <= k - at < side:
                out[k] = np.prod([(top - i) / (i + 1) for i in range(k - at)]) * 0.5**top
        return np.sqrt(out)

    f = crop * np.outer(window(away(y_p - top / 2)), window(away(x_p - top / 2)))
    y, x = np.mgrid[0:side, 0:side].astype(float)
    mass = f.sum()
    x, y = x - (x * f).sum() / mass, y - (y * f).sum() / mass
    theta = 0.5 * np.arctan2(2 * (x * y * f).sum(), ((x * x - y * y) * f).sum())
    a = (x * np.cos(theta) + y * np.sin(theta)) / np.sqrt(mass) + top / 2
    b = (-x * np.sin(theta) + y * np.cos(theta)) / np.sqrt(mass) + top / 2
    k = (
        np.ones_like,
        lambda v: 1 - 2 * v / top,
        lambda v: 1 - 4 * v / top + 4 * v * (v - 1) / (top * (top - 1)),
        lambda v: (
            1
            - 6 * v / top
            + 12 * v * (v - 1) / (top * (top - 1))
            - 8 * v * (v - 1) * (v - 2) / (top * (top - 1) * (top - 2))
        ),
    )
    rho = (1, 1 / top, 2 / (top * (top - 1)), 6 / (top * (top - 1) * (top - 2)))
    order = ((2, 0), (0, 2), (1, 2), (2, 1), (3, 0), (0, 3))
    return np.array([(k[n](a) * k[m](b) * f).sum() / mass / np.sqrt(rho[n] * rho[m]) for n, m in order])


@pytest.mark.parametrize("point", [(20, 20), (60, 60), (5, 61), (119, 0)])
def test_descriptors_are_those_of_the_definition(point: tuple[int, int]) -> None:
    """Also beside the border, where the square is moved and the window is not in its middle."""
    image = _texture()
    x, y = point
    left, top = (int(np.clip(at - 20, 0, 80)) for at in point)
    expected = _plain(image[top : top + 40, left : left + 40], x - left, y - top)
    found = invariants(image, np.array([x]), np.array([y]), 40)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


def test_low_orders_are_one_and_zero() -> None:
    image = _texture()
    at = np.arange(20, 100, 7)
    q = normalized(_moments(image, at, at[::-1].copy(), 40), 40)
    np.testing.assert_allclose(q[:, 0, 0], 1, atol=1e-10)
    np.testing.assert_allclose([q[:, 0, 1], q[:, 1, 0], q[:, 1, 1]], 0, atol=1e-9)


def test_a_quarter_turn_changes_nothing_and_a_half_turn_the_sign_of_the_last_four() -> None:
    """An axis has no direction: after a quarter turn it may point either way, after a half turn it points as before."""
    image = _texture(40, 5)
    for x, y in ((24, 17), (17, 24), (30, 22), (13, 15)):
        # Rounding half away from zero mirrors the shift of the window exactly.
        whole = invariants(image, np.array([x]), np.array([y]), 40)[0]
        turned = invariants(np.rot90(image).copy(), np.array([y]), np.array([39 - x]), 40)[0]
        half = invariants(image[::-1, ::-1].copy(), np.array([39 - x]), np.array([39 - y]), 40)[0]
        assert np.abs(whole[2:]).min() > 1e-8
        assert min(np.abs(turned - whole).max(), np.abs(turned - SIGNS * whole).max()) < 1e-9
        np.testing.assert_allclose(half, SIGNS * whole, atol=1e-9)


def test_content_and_point_may_move_together() -> None:
    base = invariants(_blobs(), np.array([30]), np.array([30]), 60)[0]
    for by in ((3, 0), (0, 4), (2, 5)):
        moved = invariants(_blobs(*by), np.array([30 + by[0]]), np.array([30 + by[1]]), 60)[0]
        assert np.abs(moved - base).max() < 3e-3
    away = invariants(_blobs(), np.array([38]), np.array([22]), 60)[0]
    assert np.abs(away - base).max() > 1e-2


@pytest.mark.skip(reason="needs the toolkit's sample image1.jpg, which is not distributed with this package")
def test_the_toolkits_published_example() -> None:
    """600 x 600 gray / 255, transposed; S = 600 and the point (180, 480)."""
    image = np.asarray(cv2.imread("image1.jpg", cv2.IMREAD_GRAYSCALE)).T / 255.0
    found = invariants(image, np.array([180]), np.array([480]), 600)[0]
    published = [-0.672697045, -0.674518368, -1.15916897e-4, 3.22247450e-4, -2.35228532e-4, 5.67278210e-4]
    np.testing.assert_allclose(found, published, rtol=1e-7)


def test_points_lie_on_the_grid_where_the_image_varies() -> None:
    image = np.zeros((100, 140, 1), np.uint8)
    image[:, 70:] = (255 * _texture(140)[:100, 70:]).astype(np.uint8)[..., None]
    everywhere = KrawtchoukPoints(varied=False, step=10).describe((image // 2 + 1).astype(np.uint8))
    assert len(everywhere) == 7 * 11
    np.testing.assert_array_equal(everywhere.xy[:2], [[20, 20], [30, 20]])
    np.testing.assert_array_equal(everywhere.xy[-1], [120, 80])
    points = KrawtchoukPoints(step=10).describe(image)
    brightness = image[..., 0] / 255.0
    for (x, y), strength in zip(points.xy.astype(int), points.strength, strict=True):
        local = brightness[y - 20 : y + 20, x - 20 : x + 20].var(ddof=1)
        assert strength == pytest.approx(local, rel=1e-5)
        assert local >= brightness.var(ddof=1)
    assert 0 < len(points) < len(everywhere)


def test_one_point_is_described_as_the_grid_describes_it() -> None:
    image = (255 * _texture()).astype(np.uint8)[..., None]
    features = KrawtchoukPoints(varied=False)
    points = features.describe(image)
    x, y = points.xy[40].astype(int).tolist()
    np.testing.assert_allclose(features.describe_at(image, x, y), points.descriptors[40], rtol=1e-6)
    with pytest.raises(UsageError, match="no square"):
        features.describe_at(image, 300, 0)


def test_black_and_small_images_have_no_points() -> None:
    assert not len(KrawtchoukPoints(varied=False).describe(np.zeros((60, 60, 1), np.uint8)))
    assert not len(KrawtchoukPoints().describe(np.full((39, 100, 3), 8, np.uint8)))


def test_options_without_sense_are_refused() -> None:
    for side, step, frame in ((41, 5, 40), (40, 0, 40), (40, 5, 3)):
        with pytest.raises(UsageError):
            KrawtchoukPoints(side=side, step=step, frame=frame)


def test_real_tissue_is_found_again_after_a_quarter_turn(shared_data: Path) -> None:
    """Windows are centered half a pixel below and right of their point: with 202 pixels the grid turns onto itself."""
    file = sorted((shared_data / "bf-shg" / "he_aligned_derived").iterdir())[0]
    image = np.asarray(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), np.uint8)[:202, :202, None]
    features = KrawtchoukPoints(varied=False)
    before, after = features.describe(image), features.describe(np.rot90(image).copy())
    grid = int(np.sqrt(len(before)))
    turned = np.rot90(before.descriptors.reshape(grid, grid, 6)).reshape(-1, 6)
    gaps = np.minimum(np.abs(after.descriptors - turned).max(1), np.abs(after.descriptors - SIGNS * turned).max(1))
    assert np.median(gaps) < 1e-3 * np.median(np.abs(turned[:, 2:]).max(axis=1))
