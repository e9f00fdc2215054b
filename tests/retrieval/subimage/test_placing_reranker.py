"""Re-ranking by the best place of the query in each hit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from histokin.errors import UsageError
from histokin.retrieval.archive import Archive
from histokin.retrieval.subimage.placing_reranker import PlacingReranker
from histokin.types import Region

Make = Callable[[list[np.ndarray]], Archive]
Draw = Callable[[np.ndarray], np.ndarray]


def test_the_picture_that_holds_the_query_comes_first_with_its_place(make_archive: Make, draw: Draw) -> None:
    random = np.random.default_rng(5)
    pictures = [random.integers(0, 60, (8, 8)) for _ in range(24)]
    archive = make_archive(pictures)
    query = pictures[17][2:6, 3:7]
    before = archive.search(draw(query), k=24)
    after = archive.search(draw(query), k=24, method="placing", rerank=11)
    assert Path(after.hits[0].slide).stem == "17"
    place = after.hits[0].place
    assert place is not None
    assert place.region == Region(48, 32, 64, 64)
    assert place.angle == pytest.approx(0, abs=0.01)
    assert place.score > 0.99
    scores = [hit.place.score for hit in after.hits[:11] if hit.place is not None]
    assert len(scores) == 11
    assert scores == sorted(scores, reverse=True)
    # All who were looked at come back, and those below keep their places.
    stems = [[Path(hit.slide).stem for hit in answer.hits] for answer in (before, after)]
    assert sorted(stems[0][:11]) == sorted(stems[1][:11])
    assert stems[0][11:] == stems[1][11:]


def test_in_a_small_archive_every_picture_is_looked_at(make_archive: Make, draw: Draw) -> None:
    random = np.random.default_rng(6)
    pictures = [random.integers(0, 60, (8, 8)) for _ in range(5)]
    archive = make_archive(pictures)
    answer = archive.search(draw(pictures[4][2:6, 3:7]), k=5, method="placing")
    assert all(hit.place is not None for hit in answer.hits)
    assert not any("ranked again" in warning for warning in answer.warnings)
    # The first place stands out, and the archive's own distances are no measure for a part.
    assert answer.best_places is not None
    assert answer.best_places[0] > 0.99
    assert answer.best_places[1] < 0.9
    assert answer.alike.value is not None
    assert answer.alike.threshold is None


def test_rerankers_that_make_no_sense() -> None:
    with pytest.raises(UsageError):
        PlacingReranker(first=0)
    with pytest.raises(UsageError):
        PlacingReranker(max_turn=200)
