"""ReliefF: hand values, and a planted feature comes first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histokin.encoders.relieff import best, relieff
from histokin.errors import UsageError


def test_two_classes_by_hand() -> None:
    """The first feature is the class, the second is constant, the third differs within the class only."""
    features = np.array([[0, 5, 0], [0, 5, 1], [1, 5, 0], [1, 5, 1]], float)
    # Nearest miss of a sample has the same third value; its hit differs by the full range.
    np.testing.assert_allclose(relieff(features, ["a", "a", "b", "b"], 1), [1, 0, -1])
    np.testing.assert_allclose(relieff(features, ["a", "a", "b", "b"], 2), [1, 0, -0.5])


def test_other_classes_count_by_their_share() -> None:
    """Three classes on a line at 0, 1 and 3 of 3; one sample each but two of the first."""
    features = np.array([[0.0], [0.0], [1.0], [3.0]])
    share = {"a": 0.5, "b": 0.25, "c": 0.25}
    from_a = (share["b"] / 3 + share["c"] * 1) / (1 - share["a"])
    from_b = (share["a"] / 3 + share["c"] * 2 / 3) / (1 - share["b"])
    from_c = (share["a"] * 1 + share["b"] * 2 / 3) / (1 - share["c"])
    wanted = (2 * from_a + from_b + from_c) / 4
    np.testing.assert_allclose(relieff(features, ["a", "a", "b", "c"], 1), [wanted])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 19))
def test_a_planted_feature_ranks_first(seed: int, place: int) -> None:
    draws = np.random.default_rng(seed)
    classes = [str(i % 5) for i in range(60)]
    features = draws.normal(size=(60, 20))
    features[:, place] = [int(name) + draws.normal(0, 0.1) for name in classes]
    worth = relieff(features, classes, 10)
    assert worth.argmax() == place
    assert (np.abs(worth) <= 1).all()
    assert best(worth, 0.05).tolist() == [place]


def test_a_fifth_of_2074_is_415() -> None:
    worth = np.random.default_rng(0).random(2074)
    kept = best(worth, 0.2)
    assert len(kept) == 415
    assert (np.diff(kept) > 0).all()
    assert worth[kept].min() > np.delete(worth, kept).max()


def test_what_cannot_be_ranked_is_refused() -> None:
    for classes in (["a"] * 4, ["a", "b", "c", "d"], ["a", "b"]):
        with pytest.raises(UsageError, match="cannot rank features"):
            relieff(np.zeros((4, 2)), classes)
