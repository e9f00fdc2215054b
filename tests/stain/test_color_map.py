"""The engine: all forms of a map give the same bytes, for every color there is."""

from collections.abc import Iterator

import numpy as np
import pytest

from histokin.stain import fast
from histokin.stain.color_map import BLOCK, NUMBA_PAYS, TABLE_PAYS, ColorMap, Compiled, look_up, packed
from histokin.stain.color_spaces import D65, RGB_TO_XYZ
from histokin.stain.density_map import DensityMatrix
from histokin.stain.macenko import DEFAULT_TARGET, Macenko
from histokin.stain.optical_density import OpticalDensity
from histokin.stain.reinhard import Reinhard, ReinhardMap
from histokin.stain.two_stain import TwoStainMap
from histokin.testing.appearance import synthetic_he
from histokin.types import RGB


def every_color() -> Iterator[RGB]:
    """All 16.7 million colors in 16 images."""
    for first in range(0, 256, 16):
        image = np.empty((16 * 256, 256, 3), np.uint8)
        image[..., 2] = np.arange(256)
        image[..., 1] = np.tile(np.arange(256), 16)[:, None]
        image[..., 0] = np.repeat(np.arange(first, first + 16), 256)[:, None]
        yield image


def macenko(od: str = "od240") -> TwoStainMap:
    fitted = Macenko(od=od).fit([synthetic_he(px=128)])
    assert isinstance(fitted, TwoStainMap)
    return fitted


def reinhard(background: str = "transfer", color_space: str = "lab") -> ReinhardMap:
    fitted = Reinhard(background=background, color_space=color_space).fit([synthetic_he(px=128)])
    assert isinstance(fitted, ReinhardMap)
    return fitted


def reinhard_in_doubles(fitted: ReinhardMap, image: RGB) -> np.ndarray:
    """CIELAB transfer written out in 64-bit floats."""
    s = image / 255
    linear = np.where(s > 0.04045, ((s + 0.055) / 1.055) ** 2.4, s / 12.92)
    xyz = linear @ RGB_TO_XYZ.T / D65
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
    gain = np.array(fitted.target.std) / np.array(fitted.source.std)
    lab = (lab - fitted.source.mean) * gain + fitted.target.mean
    y = (lab[..., 0] + 16) / 116
    f = np.stack([lab[..., 1] / 500 + y, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787) * D65
    linear = np.clip(xyz @ np.linalg.inv(RGB_TO_XYZ).T, 0, 1)
    return np.asarray(255 * np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear))


@pytest.mark.parametrize("od", ["od240", "od256"])
def test_product_of_tables_is_within_a_level_for_every_color(od: str) -> None:
    fitted, differing = macenko(od), 0
    for image in every_color():
        difference = np.abs(fitted(image).astype(np.int16) - fitted.matrix.exact(image))
        assert difference.max() <= 1
        differing += int((difference > 0).sum())
    assert differing / (3 << 24) < 4e-5


def test_reinhard_is_within_a_level_for_every_color() -> None:
    fitted = reinhard()
    for image in every_color():
        image = image[::5]
        difference = np.abs(fitted(image) - reinhard_in_doubles(fitted, image))
        assert difference.max() < 0.51


@pytest.mark.parametrize("fitted", [reinhard("keep"), reinhard("keep", "lalphabeta")], ids=["lab", "lalphabeta"])
def test_packed_table_gives_the_same_bytes_for_every_color(fitted: ColorMap) -> None:
    table = packed(fitted.colors)
    for image in every_color():
        direct = fitted(image)
        assert np.array_equal(look_up(image, table), direct)
        if fast.installed():
            assert fast.prepare()
            assert np.array_equal(fast.gather(image, table), direct)


@pytest.mark.parametrize("od", ["od240", "od256"])
def test_numba_product_gives_the_same_bytes_for_every_color(od: str) -> None:
    if not fast.installed():
        pytest.skip("numba is not installed")
    fitted = macenko(od)
    product = fitted.product
    assert product is not None
    assert fast.prepare()
    for image in every_color():
        assert np.array_equal(fast.product(image, product.tables, product.offset), fitted(image))


def test_a_form_is_prepared_only_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "installed", lambda: False)
    loose = 224 * 224
    for fitted in (macenko(), reinhard()):
        assert fitted.compiled(loose) is fitted
    assert isinstance(macenko().compiled(10**10), TwoStainMap)
    assert reinhard().compiled(TABLE_PAYS - 1).to_dict() == reinhard().to_dict()
    assert isinstance(reinhard().compiled(TABLE_PAYS), Compiled)


def test_numba_waits_for_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[bool] = []
    monkeypatch.setattr(fast, "installed", lambda: True)
    monkeypatch.setattr(fast, "ready", lambda: False)

    def broken() -> bool:
        prepared.append(True)
        return False

    monkeypatch.setattr(fast, "prepare", broken)
    assert isinstance(macenko().compiled(NUMBA_PAYS - 1), TwoStainMap)
    assert not prepared
    assert isinstance(macenko().compiled(NUMBA_PAYS), TwoStainMap)  # numba is broken: back to the plain form
    assert prepared


def test_maps_without_numba_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(1).integers(0, 256, (129, 131, 3), np.uint8)
    assert image.size // 3 > BLOCK
    with_numba = macenko().compiled(10**10)(image)
    monkeypatch.setattr(fast, "installed", lambda: False)
    assert np.array_equal(with_numba, macenko().compiled(10**10)(image))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, BLOCK + 1, BLOCK + 4])
def test_strips_of_any_length(count: int) -> None:
    """OpenCV takes arrays of one and of four numbers for scalars in places."""
    pixels = np.random.default_rng(count).integers(0, 256, (count, 1, 3), np.uint8)
    strong = DensityMatrix(OpticalDensity(), np.array([[5.0, -4, 3], [-4, 5, 3], [1, 1, 1]]))
    for matrix in (macenko().matrix, macenko("od256").matrix, strong):
        assert np.abs(matrix.fast(pixels).astype(int) - matrix.exact(pixels)).max() <= 1
        assert np.array_equal(matrix.fast(pixels)[-1:], matrix.fast(pixels[-1:]))
    for fitted in (reinhard("keep"), reinhard("keep", "lalphabeta")):
        assert np.array_equal(fitted(pixels)[-1:], fitted(pixels[-1:]))


def test_strong_matrices_are_not_safe() -> None:
    identity = DensityMatrix(OpticalDensity("od256"), np.eye(3))
    assert identity.safe
    assert not DensityMatrix(OpticalDensity("od256"), 10 * np.eye(3)).safe
    image = np.random.default_rng(1).integers(0, 256, (50, 50, 3), np.uint8)
    assert np.array_equal(identity.fast(image), image)


def test_extreme_but_safe_matrices_stay_within_a_level() -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (200, 200, 3), np.uint8)
    for _ in range(20):
        matrix = DensityMatrix(OpticalDensity(), rng.uniform(-7.2, 7.2, (3, 3)))
        assert matrix.safe
        assert np.abs(matrix.fast(image).astype(int) - matrix.exact(image)).max() <= 1


def test_default_target_is_the_common_one() -> None:
    assert np.allclose(np.linalg.norm(DEFAULT_TARGET.stains, axis=0), 1, atol=1e-3)
