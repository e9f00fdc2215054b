"""Votes and their margin, by hand."""

import pytest

from histokin.retrieval.votes import count_votes, vote_margin
from histokin.types import Hit


def _hits(*labels: str | None) -> list[Hit]:
    return [Hit(rank, 0.1 * rank, f"s{rank}", f"s{rank}", None, label, {}) for rank, label in enumerate(labels, 1)]


def test_counts_are_ordered_and_ties_go_to_the_nearer_hit() -> None:
    assert list(count_votes(_hits("b", "a", "a", "b", "c")).items()) == [("b", 2), ("a", 2), ("c", 1)]


def test_hits_without_label_do_not_vote() -> None:
    assert count_votes(_hits(None, "a", None)) == {"a": 1}


@pytest.mark.parametrize(
    ("labels", "margin"),
    [(("a", "a", "a", "a", "a"), 1.0), (("a", "a", "a", "b", "c"), 0.4), (("a", "b"), 0.0), ((None,), 0.0), ((), 0.0)],
)
def test_margin(labels: tuple[str | None, ...], margin: float) -> None:
    assert vote_margin(count_votes(_hits(*labels))) == pytest.approx(margin)
