"""The engine: all forms of a map give the same bytes, for every color there is."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, final

import numpy as np
import pytest

from histokin.stain import fast
from histokin.stain.color_map import BLOCK, LOOPS_PAY, STRIP_PAYS, ColorMap, Compiled, packed
from histokin.stain.color_spaces import D65, RGB_TO_XYZ
from histokin.stain.color_table import COLORS, CUBES, SIDE, TABLE_PAYS, ColorTable, look_up
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
    assert table.min() >= 255 << 24
    for image in every_color():
        direct, out = fitted(image).reshape(-1, 3), np.empty((image.size // 3, 3), np.uint8)
        assert look_up(image.reshape(-1, 3), table, out)
        assert np.array_equal(out, direct)
        if fast.installed():
            assert fast.prepare()
            out[:] = 0
            assert fast.gather(image.reshape(-1, 3), table, out)
            assert np.array_equal(out, direct)


@pytest.mark.parametrize("od", ["od240", "od256"])
def test_compiled_product_gives_the_same_bytes_for_every_color(od: str) -> None:
    if not fast.installed():
        pytest.skip("llvmlite is not installed")
    fitted = macenko(od)
    compiled = fitted.compiled(10**10)
    assert isinstance(compiled, Compiled)
    for image in every_color():
        assert np.array_equal(compiled(image), fitted(image))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 7, 11, 4097])
@pytest.mark.parametrize("offset", [0, 1, 2, 3])
def test_loops_take_any_number_of_pixels_from_any_byte_on(count: int, offset: int) -> None:
    if not fast.installed():
        pytest.skip("llvmlite is not installed")
    rng = np.random.default_rng(count)
    source = rng.integers(0, 256, 3 * count + offset, np.uint8)[offset:].reshape(-1, 3)
    table = rng.integers(255 << 24, 1 << 32, COLORS, np.uint32)
    keys = source.astype(np.int64) @ np.array([1, 256, 65536])
    sink = np.full((count + 2, 3), 7, np.uint8)
    assert fast.prepare()
    assert fast.gather(source, table, sink[1:-1])
    assert np.array_equal(sink[1:-1], table[keys].view(np.uint8).reshape(-1, 4)[:, :3])
    assert (sink[[0, -1]] == 7).all()
    tables = rng.uniform(0, 7, (3, 256, 4)).astype(np.float32)
    assert fast.prepare()
    fast.product(source, tables, -1.5, sink[1:-1])
    r, g, b = (tables[c, source[:, c], :3] for c in range(3))
    assert np.array_equal(sink[1:-1], np.rint(np.clip(r * g * b + np.float32(-1.5), 0, 255)).astype(np.uint8))
    assert (sink[[0, -1]] == 7).all()


@pytest.mark.parametrize("place", range(6))
def test_one_missing_color_is_noticed_wherever_it_stands(place: int) -> None:
    source = np.arange(18, dtype=np.uint8).reshape(6, 3)
    table = np.full(COLORS, 255 << 24, np.uint32)
    key = int(source[place] @ np.array([1, 256, 65536]))
    sink = np.empty_like(source)
    looks = [look_up, fast.gather] if fast.installed() and fast.prepare() else [look_up]
    for look in looks:
        table[key] = 255 << 24
        assert look(source, table, sink)
        table[key] = 254 << 24
        assert not look(source, table, sink)


def test_a_form_is_prepared_only_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "installed", lambda: False)
    loose = 224 * 224
    for fitted in (macenko(), reinhard()):
        assert fitted.compiled(loose) is fitted
    assert isinstance(macenko().compiled(10**10), TwoStainMap)
    assert reinhard().compiled(TABLE_PAYS - 1).to_dict() == reinhard().to_dict()
    assert isinstance(reinhard().compiled(TABLE_PAYS), Compiled)


def test_compiling_waits_for_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[bool] = []
    monkeypatch.setattr(fast, "installed", lambda: True)
    monkeypatch.setattr(fast, "ready", lambda: False)

    def broken() -> bool:
        prepared.append(True)
        return False

    monkeypatch.setattr(fast, "prepare", broken)
    assert isinstance(macenko().compiled(LOOPS_PAY - 1), TwoStainMap)
    assert not prepared
    assert isinstance(macenko().compiled(LOOPS_PAY), TwoStainMap)  # LLVM is broken: back to the plain form
    assert prepared


def test_maps_without_compiled_loops_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(1).integers(0, 256, (129, 131, 3), np.uint8)
    assert image.size // 3 > BLOCK
    with_loops = macenko().compiled(10**10)(image)
    monkeypatch.setattr(fast, "installed", lambda: False)
    assert np.array_equal(with_loops, macenko().compiled(10**10)(image))


@final
@dataclass(frozen=True, eq=False)
class Inverted(ColorMap):
    """A map that is no product and counts the colors it computes."""

    counted: list[int] = field(default_factory=list)

    @property
    def space(self) -> str:
        return "inverted"

    def colors(self, image: RGB) -> RGB:
        self.counted.append(image.size // 3)
        return 255 - image

    def to_dict(self) -> dict[str, Any]:
        return {"method": "inverted"}


def test_only_colors_near_those_met_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = Inverted()
    image = np.random.default_rng(5).integers(96, 128, (300, 200, 3), np.uint8)
    for there in (False, True):
        monkeypatch.setattr(fast, "installed", lambda there=there: there and find_spec("llvmlite") is not None)
        fitted.counted.clear()
        compiled = fitted.compiled(TABLE_PAYS)
        assert not fitted.counted
        assert np.array_equal(compiled(image), 255 - image)
        assert sum(fitted.counted) == 32**3
        assert np.array_equal(compiled(image[::-1]), 255 - image[::-1])
        assert sum(fitted.counted) == 32**3
        assert np.array_equal(compiled(image + np.uint8(40)), 215 - image)
        assert sum(fitted.counted) > 32**3


def test_images_of_all_colors_cost_at_most_twice_the_plain_computation() -> None:
    fitted = Inverted()
    table = ColorTable(fitted.colors, budget=5 * SIDE**3)
    work = table.mapper(loops=False)
    noise = np.random.default_rng(6).integers(0, 256, (3000, 3), np.uint8)
    few, sink = noise[:2], np.empty_like(noise)
    work(few, sink[:2])
    assert sum(fitted.counted) <= 2 * SIDE**3
    for _ in range(3):
        sink[:] = 0
        work(noise, sink)
        assert np.array_equal(sink, 255 - noise)
    assert sum(fitted.counted) <= 3 * len(noise) + 5 * SIDE**3


def test_a_table_is_whole_when_filled() -> None:
    one = packed(Inverted().colors)
    colors = np.arange(COLORS, dtype=np.uint32)
    assert np.array_equal(one, (255 << 24 | 0xFFFFFF) - colors)
    assert CUBES * SIDE**3 == COLORS
    assert np.array_equal(packed(Inverted().colors, threads=2), one)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_give_the_same_bytes(threads: int) -> None:
    image = np.random.default_rng(2).integers(100, 180, (701, 3 * STRIP_PAYS // 701 + 3, 3), np.uint8)
    for fitted in (macenko(), reinhard(), Inverted()):
        for expected in (image.size // 3, 10**9):
            compiled = fitted.compiled(expected, threads=threads)
            assert np.array_equal(compiled(image), fitted(image))
            assert np.array_equal(compiled(image[:5, :5]), fitted(image[:5, :5]))
            assert np.array_equal(compiled(image[::-1, ::-1]), fitted(image[::-1, ::-1]))
            assert compiled.to_dict() == fitted.to_dict()


def test_a_table_is_shared_between_threads() -> None:
    fitted = reinhard()
    compiled = fitted.compiled(10**9)
    images = [np.random.default_rng(i).integers(100, 140, (64, 64, 3), np.uint8) for i in range(16)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(compiled, images))
    assert all(np.array_equal(one, fitted(image)) for one, image in zip(together, images, strict=True))


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
