"""Sliding windows, corrected and as published, and random ones."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histokin.errors import UsageError
from histokin.slides.windows import (
    iou,
    published_windows,
    random_windows,
    shared_out,
    starts,
    step_of,
    thinned,
    windows,
)
from histokin.types import Region


def _covered(area: Region, boxes: list[Region]) -> float:
    plane = np.zeros((area.height, area.width), bool)
    for box in boxes:
        plane[box.y - area.y : box.y - area.y + box.height, box.x - area.x : box.x - area.x + box.width] = True
    return float(plane.mean())


def test_known_windows() -> None:
    assert starts(1000, 400, 280) == [0, 280, 560, 600]
    found = windows(Region(0, 0, 1000, 1000), 400)
    assert len(found) == 16
    assert found[:5] == [Region(x, 0, 400, 400) for x in (0, 280, 560, 600)] + [Region(0, 280, 400, 400)]
    assert windows(Region(7, 9, 400, 400), 400) == [Region(7, 9, 400, 400)]
    assert windows(Region(0, 0, 399, 500), 400) == []
    assert windows(Region(5, 0, 399, 500), 400, pad_small=True) == [Region(5, y, 400, 400) for y in (0, 100)]


def test_overlap_is_a_share_of_the_side_or_an_iou() -> None:
    assert step_of(400, 0.3) == 280
    assert step_of(400, 0.3, "iou") == 215
    first, second = windows(Region(0, 0, 1000, 400), 400)[:2]
    assert iou(first, second) == pytest.approx(0.1765, abs=5e-5)
    first, second = windows(Region(0, 0, 1000, 400), 400, mode="iou")[:2]
    assert iou(first, second) == pytest.approx(0.30, abs=0.005)
    assert step_of(400, 0) == 400
    for wrong in (1.0, -0.1, float("nan")):
        with pytest.raises(UsageError, match="overlap by"):
            step_of(400, wrong)
    with pytest.raises(UsageError, match="0 pixels"):
        windows(Region(0, 0, 5, 5), 0)


def test_the_published_listing_has_its_faults() -> None:
    area = Region(0, 0, 1000, 1000)
    found = windows(area, 400, legacy=True)
    corners = [(r.x, r.y) for r in found]
    assert corners == [(0, 0), (0, 0), (280, 0), (560, 0), (0, 280), (280, 280), (560, 280), (0, 560), (280, 560)]
    assert len(set(found)) == 8
    assert _covered(area, found) == pytest.approx(0.84, abs=0.005)
    assert _covered(area, published_windows(area, 400, 280, inclusive=False)) == pytest.approx(0.38, abs=0.005)
    wide = Region(0, 0, 2000, 1500)
    assert _covered(wide, published_windows(wide, 400, 280)) == pytest.approx(0.72, abs=0.005)
    assert _covered(wide, published_windows(wide, 400, 280, inclusive=False)) == pytest.approx(0.46, abs=0.005)
    assert max(r.x + r.width for r in published_windows(Region(0, 0, 410, 410), 400, 280)) == 680


@given(
    width=st.integers(1, 900),
    height=st.integers(1, 900),
    side=st.integers(1, 300),
    overlap=st.floats(0, 0.9),
    mode=st.sampled_from(["linear", "iou"]),
    at=st.tuples(st.integers(-50, 50), st.integers(0, 50)),
)
def test_windows_cover_the_area_once_without_reaching_outside(
    width: int, height: int, side: int, overlap: float, mode: str, at: tuple[int, int]
) -> None:
    area = Region(*at, width, height)
    step = step_of(side, overlap, mode)  # type: ignore[arg-type]
    columns, rows = starts(width, side, step), starts(height, side, step)
    for length, places in ((width, columns), (height, rows)):
        assert bool(places) == (length >= side)
        assert places == sorted(set(places))
        if places:
            assert places[0] == 0
            assert places[-1] == length - side
            assert all(b - a <= min(step, side) for a, b in pairwise(places))
    if len(columns) * len(rows) > 400:
        return
    found = windows(area, side, overlap=overlap, mode=mode)  # type: ignore[arg-type]
    assert len(found) == len(columns) * len(rows) == len(set(found))
    assert found == sorted(found, key=lambda r: (r.y, r.x))
    if found:
        assert _covered(area, found) == 1.0


@given(seed=st.integers(0, 99), max_iou=st.floats(0, 0.8), count=st.integers(0, 12))
def test_random_windows_stay_inside_and_apart(seed: int, max_iou: float, count: int) -> None:
    area, rng = Region(10, 20, 300, 260), np.random.default_rng(seed)
    taken = windows(area, 100)[:2]
    found = random_windows(area, 100, count, rng, max_iou=max_iou, taken=taken)
    assert len(found) <= count
    for one in found:
        assert area.x <= one.x <= area.x + area.width - 100
        assert area.y <= one.y <= area.y + area.height - 100
    for one, other in combinations(found, 2):
        assert one != other
        assert iou(one, other) <= max_iou
    assert all(iou(one, other) <= max_iou for one in found for other in taken)


def test_random_windows_give_up_and_obey() -> None:
    rng = np.random.default_rng(0)
    assert random_windows(Region(0, 0, 99, 300), 100, 5, rng) == []
    assert len(random_windows(Region(0, 0, 110, 110), 100, 5, rng, max_iou=0.3)) == 1
    left = random_windows(Region(0, 0, 1000, 1000), 100, 20, rng, accept=lambda r: r.x < 450)
    assert len(left) == 20
    assert all(r.x < 450 for r in left)
    again = random_windows(Region(0, 0, 1000, 1000), 100, 3, np.random.default_rng(5))
    assert again == random_windows(Region(0, 0, 1000, 1000), 100, 3, np.random.default_rng(5))
    with pytest.raises(UsageError, match="-1 random"):
        random_windows(Region(0, 0, 9, 9), 3, -1, rng)


def test_sharing_out_and_thinning() -> None:
    assert shared_out(10, 4) == [3, 3, 2, 2]
    assert shared_out(-3, 2) == [0, 0]
    assert shared_out(3, 0) == []
    assert thinned(3, 5) == [0, 1, 2]
    assert thinned(10, 2) == [2, 7]
    assert all(len(set(thinned(n, k))) == min(n, k) for n in range(12) for k in range(1, 12))
