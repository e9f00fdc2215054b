"""Pieces of a picture: as few as cover it, evenly spaced."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histokin.errors import UsageError
from histokin.retrieval.subimage.splitting import split, starts
from histokin.types import Region


def test_published_sizes() -> None:
    # The published splitter counts from 1 and starts at 1, 193, 385, 579; one pixel is rounding.
    assert starts(834, 256) == [0, 193, 385, 578]
    pieces = split(834, 834, 256, 256)
    assert len(pieces) == 16
    assert pieces[:2] == [Region(0, 0, 256, 256), Region(193, 0, 256, 256)]
    assert pieces[-1] == Region(578, 578, 256, 256)


def test_small_cases() -> None:
    assert starts(834, 834) == [0]
    assert starts(10, 5) == [0, 5]
    assert starts(10, 9) == [0, 1]
    assert starts(11, 5) == [0, 3, 6]


def test_width_and_height_keep_their_places() -> None:
    assert split(100, 40, 50, 20) == [Region(x, y, 50, 20) for y in (0, 20) for x in (0, 50)]


def test_a_piece_larger_than_the_image_is_the_image() -> None:
    assert split(100, 40, 300, 20) == [Region(0, 0, 100, 20), Region(0, 20, 100, 20)]
    assert split(30, 40, 31, 41) == [Region(0, 0, 30, 40)]


@given(st.integers(1, 3000), st.data())
def test_pieces_cover_the_length_and_none_is_superfluous(length: int, data: st.DataObject) -> None:
    side = data.draw(st.integers(1, length))
    begin = starts(length, side)
    assert begin[0] == 0
    assert begin[-1] + side == length
    gaps = [b - a for a, b in pairwise(begin)]
    assert all(0 < gap <= side for gap in gaps)
    assert max(gaps, default=0) - min(gaps, default=0) <= 1
    assert (len(begin) - 1) * side < length


@pytest.mark.parametrize(("length", "side"), [(10, 0), (10, 11), (0, 1)])
def test_pieces_that_do_not_fit(length: int, side: int) -> None:
    with pytest.raises(UsageError):
        starts(length, side)
