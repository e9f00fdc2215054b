"""The patch grid and the tissue rule."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histokin.errors import TooCoarse, TooSmall, UsageError
from histokin.slides.grid import Grid, grid_patches, keep_tissue
from histokin.slides.tissue import TissueMask
from histokin.types import Region


def _mask(tissue: np.ndarray, pen: np.ndarray | None = None, fold: np.ndarray | None = None) -> TissueMask:
    no = np.zeros_like(tissue)
    return TissueMask(tissue, 8.0, no if pen is None else pen, no if fold is None else fold)


def test_known_grid() -> None:
    patches = grid_patches(1000, 500, 0.25, Grid())
    assert patches == [Region(0, 0, 448, 448), Region(448, 0, 448, 448)]
    assert grid_patches(1000, 500, 0.25, Grid(), centered=True)[0] == Region(52, 26, 448, 448)
    half = grid_patches(896, 448, 0.25, Grid(overlap=0.5))
    assert [r.x for r in half] == [0, 224, 448]


def test_a_region_equal_to_a_patch_gives_that_patch() -> None:
    for patch in grid_patches(2220, 2967, 0.499, Grid()):
        assert grid_patches(2220, 2967, 0.499, Grid(), region=patch) == [patch]


def test_failures_name_both_numbers_and_a_remedy() -> None:
    with pytest.raises(TooCoarse, match=r"16\.78 µm.*0\.5 µm.*--grid-mpp 16\.78"):
        grid_patches(957, 715, 16.783, Grid())
    with pytest.raises(TooSmall, match=r"50 x 50.*224 x 224"):
        grid_patches(50, 50, 0.499, Grid())
    with pytest.raises(TooSmall, match="the region"):
        grid_patches(5000, 5000, 0.5, Grid(), region=Region(4900, 0, 500, 500))
    with pytest.raises(UsageError, match="outside"):
        grid_patches(500, 500, 0.5, Grid(), region=Region(600, 0, 500, 500))
    assert grid_patches(500, 500, 0.75, Grid())
    for wrong in ({"mpp": 0.0}, {"overlap": 1.0}, {"min_tissue": 1.5}, {"patch_px": 0}):
        with pytest.raises(UsageError):
            Grid.from_dict(wrong)
    with pytest.raises(UsageError, match="mp"):
        Grid.from_dict({"mp": 0.5})


def test_grid_survives_json() -> None:
    grid = Grid(mpp=1.0, overlap=0.25)
    assert Grid.from_dict(grid.to_dict()) == grid


@given(
    width=st.integers(1, 1500),
    height=st.integers(1, 1500),
    mpp=st.floats(0.1, 0.75),
    patch=st.integers(64, 300),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5]),
    centered=st.booleans(),
)
def test_patches_are_inside_complete_and_cover_all_but_a_remainder(
    width: int, height: int, mpp: float, patch: int, overlap: float, centered: bool
) -> None:
    grid = Grid(patch_px=patch, overlap=overlap)
    side = grid.side(mpp)
    assert side == max(1, round(patch * 0.5 / mpp))
    if side > min(width, height):
        with pytest.raises(TooSmall):
            grid_patches(width, height, mpp, grid)
        return
    patches = grid_patches(width, height, mpp, grid, centered=centered)
    assert patches == sorted(patches, key=lambda r: (r.y, r.x))
    assert len(set(patches)) == len(patches)
    assert all((r.width, r.height) == (side, side) for r in patches)
    xs, ys = sorted({r.x for r in patches}), sorted({r.y for r in patches})
    step = max(1.0, side * (1 - overlap))
    for origins, extent in ((xs, width), (ys, height)):
        assert origins[0] >= 0
        assert origins[-1] + side <= extent
        assert extent - (origins[-1] - origins[0] + side) <= step + 1
        assert abs(len(origins) - ((extent - side) / step + 1)) <= 1
        if overlap == 0:
            assert len(origins) == extent // side
            assert all(b - a == side for a, b in pairwise(origins))
    assert len(patches) == len(xs) * len(ys)


def test_tissue_fraction_is_an_exact_area() -> None:
    tissue = np.zeros((28, 28), bool)
    tissue[:, :7] = True
    regions = grid_patches(448, 448, 0.5, Grid())
    patches, counts = keep_tissue(regions, _mask(tissue), 0.5, Grid(min_tissue=0.5))
    assert [(p.region.x, p.region.y, p.tissue) for p in patches] == [(0, 0, 0.5), (0, 224, 0.5)]
    assert counts == {"grid": 4, "background": 2, "pen": 0, "fold": 0, "kept": 2}


def test_pen_is_left_out_and_folds_are_flagged() -> None:
    tissue = np.ones((28, 28), bool)
    pen, fold = np.zeros_like(tissue), np.zeros_like(tissue)
    pen[:14, :7] = True
    fold[14:, 14:20] = True
    regions = grid_patches(448, 448, 0.5, Grid())
    patches, counts = keep_tissue(regions, _mask(tissue & ~pen, pen, fold), 0.5, Grid())
    assert counts == {"grid": 4, "background": 0, "pen": 1, "fold": 1, "kept": 3}
    assert [p.flags for p in patches] == [(), (), ("fold",)]
    assert keep_tissue([], _mask(tissue), 0.5, Grid())[1]["grid"] == 0


@given(seed=st.integers(0, 1000), mpp=st.floats(0.2, 0.75), offset=st.integers(0, 50))
def test_fractions_agree_with_counting_fine_pixels(seed: int, mpp: float, offset: int) -> None:
    random = np.random.default_rng(seed)
    tissue = random.random((40, 40)) < 0.5
    region = Region(offset, offset * 2, 200, 150)
    (patch,), _ = keep_tissue([region], _mask(tissue), mpp, Grid(min_tissue=0.0))
    scale = mpp / 8.0
    xs = ((np.arange(4000) + 0.5) / 4000 * region.width + region.x) * scale
    ys = ((np.arange(4000) + 0.5) / 4000 * region.height + region.y) * scale
    columns, rows = np.bincount(xs.astype(int), minlength=40), np.bincount(ys.astype(int), minlength=40)
    want = rows[:40] @ tissue.astype(float) @ columns[:40] / 4000**2
    assert patch.tissue == pytest.approx(want, abs=2e-3)
