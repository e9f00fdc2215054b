"""Re-ranking by the parts of the nearest images."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from histokin.errors import TooSmall, UnknownName, UnreadableFile, UsageError
from histokin.retrieval.answer import Answer
from histokin.retrieval.archive import Archive
from histokin.retrieval.queries import CaseQuery, RegionQuery
from histokin.retrieval.subimage.bags import BagReranker
from histokin.retrieval.subimage.registry import reranker
from histokin.types import Region

Make = Callable[[list[np.ndarray]], Archive]
Draw = Callable[[np.ndarray], np.ndarray]
TRUE = 11


def planted() -> tuple[list[np.ndarray], np.ndarray]:
    """32 pictures of 8 x 8 words and a query of 4 x 4, which is the upper right of picture 11 alone.

    Eleven others hold more of the query's words, but each part of them holds others, too.
    """
    random = np.random.default_rng(3)
    query = random.permutation(np.repeat(np.arange(4), 4)).reshape(4, 4)
    pictures = []
    for i in range(32):
        words = random.integers(30, 60, (8, 8))
        if i < TRUE:
            for rows in (slice(0, 4), slice(4, 8)):
                for columns in (slice(0, 4), slice(4, 8)):
                    part = words[rows, columns].ravel()
                    part[random.permutation(16)[: 11 - i // 6]] = random.integers(0, 4, 11 - i // 6)
                    words[rows, columns] = part.reshape(4, 4)
        elif i == TRUE:
            words[:4, 4:] = query
        pictures.append(words)
    return pictures, query


def order(answer: Answer) -> list[int]:
    return [int(Path(hit.slide).stem) for hit in answer.hits]


@pytest.mark.parametrize("vocabulary", ["reuse", "rebuild"])
def test_the_planted_picture_moves_from_twelfth_to_first(
    vocabulary: Literal["reuse", "rebuild"], make_archive: Make, draw: Draw
) -> None:
    pictures, query = planted()
    archive = make_archive(pictures)
    before = archive.search(draw(query), k=32)
    assert order(before).index(TRUE) == 11
    after = archive.search(draw(query), k=32, method="paper", rerank=15, vocabulary=vocabulary)
    assert order(after)[0] == TRUE
    # Those below the fifteenth keep their places, and nobody is lost or added.
    assert order(after)[15:] == order(before)[15:]
    assert sorted(order(after)[:15]) == sorted(order(before)[:15])
    assert [hit.rank for hit in after.hits] == list(range(1, 33))
    assert not after.warnings
    place = after.hits[0].place
    assert place is not None
    assert place.region == Region(64, 0, 64, 64)
    assert place.angle == 0
    if vocabulary == "reuse":
        assert place.score == pytest.approx(1.0)
    assert after.matches[0].region == place.region
    assert after.hits[20].place is None
    assert after.to_dict()["hits"][0]["place"] == {
        **{"x": 64, "y": 0, "width": 64, "height": 64},
        **{"angle": 0.0, "score": place.score},
    }
    assert after.to_dict()["hits"][20]["place"] is None


def test_fewer_hits_than_are_looked_at(make_archive: Make, draw: Draw) -> None:
    pictures, query = planted()
    archive = make_archive(pictures)
    answer = archive.search(draw(query), k=2, rerank=15)
    assert order(answer)[0] == TRUE
    assert len(answer.hits) == 2


def test_the_first_m_stay_the_first_m(make_archive: Make, draw: Draw) -> None:
    """Acc@M is unchanged by re-ranking the top M, and Acc@1 is not: parts of every picture are looked for."""
    pictures, _ = planted()
    archive = make_archive(pictures)
    random = np.random.default_rng(0)
    moved, first = 0, np.zeros(2)
    for true, words in enumerate(pictures[:16]):
        x, y = random.integers(0, 5, 2)
        query = draw(words[y : y + 4, x : x + 4])
        before = order(archive.search(query, k=32))
        for depth in (1, 4, 15):
            after = order(archive.search(query, k=32, method="paper", rerank=depth))
            assert set(after[:depth]) == set(before[:depth])
            assert after[depth:] == before[depth:]
            moved += after != before
        first += before[0] == true, after[0] == true
    assert moved > 5
    assert first[1] > first[0]


def test_less_than_half_of_the_archive_is_looked_at(make_archive: Make, draw: Draw) -> None:
    pictures, query = planted()
    archive = make_archive(pictures[5:16])
    before, after = archive.search(draw(query), k=11), archive.search(draw(query), k=11, rerank=15)
    assert order(after)[5:] == order(before)[5:]
    assert any("5 hits were ranked again, not 15" in warning for warning in after.warnings)
    two = archive.search(draw(query), k=11, rerank=15, where="slide IN ('00.png', '01.png')")
    assert any("0 hits were ranked again" in warning for warning in two.warnings)
    assert len(two.hits) == 2


def test_a_query_larger_than_a_hit(make_archive: Make, draw: Draw) -> None:
    pictures, _ = planted()
    archive = make_archive(pictures)
    big = np.concatenate([pictures[3], pictures[3]], axis=1)
    answer = archive.search(draw(big), k=3, rerank=15)
    assert order(answer)[0] == 3
    assert answer.hits[0].place is not None
    assert answer.hits[0].place.region == Region(0, 0, 128, 128)


def test_a_region_of_an_archived_picture_finds_it_where_it_may(make_archive: Make, draw: Draw) -> None:
    pictures, _ = planted()
    archive = make_archive(pictures)
    path = Path(archive.store.sources()[TRUE].path)
    query = RegionQuery(path, Region(64, 0, 64, 64))
    found = archive.search(query, k=4, exclude="none", rerank=15)
    assert order(found)[0] == TRUE
    assert found.query.region == Region(64, 0, 64, 64)
    assert TRUE not in order(archive.search(query, k=32))
    with pytest.raises(UsageError, match="not inside the picture"):
        archive.search(RegionQuery(path, Region(100, 0, 64, 64)))


def test_a_hit_without_its_file(make_archive: Make, draw: Draw) -> None:
    pictures, query = planted()
    archive = make_archive(pictures)
    path = Path(archive.store.sources()[TRUE].path)
    path.unlink()
    assert TRUE in order(archive.search(draw(query), k=32))
    with pytest.raises(UnreadableFile, match="re-ranking looks at its pixels") as caught:
        archive.search(draw(query), k=5, rerank=15)
    assert caught.value.path == str(path)


def test_what_cannot_be_asked(make_archive: Make, draw: Draw) -> None:
    pictures, query = planted()
    archive = make_archive(pictures[:6])
    with pytest.raises(UnknownName, match="no method is called 'papre'"):
        archive.search(draw(query), method="papre")
    with pytest.raises(UsageError, match="vocabulary is for ranking again"):
        archive.search(draw(query), vocabulary="reuse")
    with pytest.raises(UsageError, match="cannot re-rank 0 hits"):
        BagReranker(0)
    with pytest.raises(UsageError, match="takes no angle"):
        reranker("paper", angle=3)
    with pytest.raises(UsageError, match="searched by pictures, not by whole slides or cases"):
        archive.search(CaseQuery("P1"))
    plain = np.full((64, 64, 3), 128, np.uint8)
    with pytest.raises(TooSmall, match="blank"):
        archive.search(plain)
