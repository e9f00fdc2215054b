"""A region is covered to its edges by whole patches."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from histokin.retrieval.asking import EDGE_SLACK, cover
from histokin.types import Region


def test_one_patch_is_itself() -> None:
    region = Region(896, 1792, 224, 224)
    assert cover(region, 224) == [region]


def test_two_and_a_half_patches_take_three() -> None:
    assert [r.x for r in cover(Region(0, 0, 560, 224), 224)] == [0, 168, 336]


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 2000), st.integers(0, 2000), st.integers(50, 600))
def test_inside_and_to_the_edges(x: int, y: int, more_x: int, more_y: int, side: int) -> None:
    region = Region(x, y, side + more_x, side + more_y)
    patches = cover(region, side)
    assert all(region.x <= p.x and p.x + side <= region.x + region.width for p in patches)
    assert patches[0].x == region.x
    assert max(p.x + side for p in patches) >= region.x + region.width - EDGE_SLACK
    assert max(p.y + side for p in patches) >= region.y + region.height - EDGE_SLACK
    columns = sorted({p.x for p in patches})
    assert all(right - left <= side + EDGE_SLACK for left, right in pairwise(columns))
