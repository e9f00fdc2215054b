"""Why a hit was found: the same pixels, image map and encoder as the search used, or a note that says what is gone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from histokin.encoders.registry import encoder
from histokin.errors import UsageError
from histokin.retrieval.answer import Answer
from histokin.retrieval.archive import Archive, as_query
from histokin.retrieval.explaining.explain import Explanation, explain
from histokin.retrieval.explaining.occlusion import WINDOWS, changes, occluded
from histokin.retrieval.queries import CaseQuery, RegionQuery, SlideQuery
from histokin.retrieval.recipe import Recipe
from histokin.slides.grid import Grid
from histokin.slides.reading import open_slide
from histokin.types import RGB, Region


def read(path: Path) -> RGB:
    with open_slide(path) as slide:
        return slide.read(Region(0, 0, slide.width, slide.height), slide.width, slide.height)


def indexed(folder: Path, where: Path, **recipe: Any) -> Archive:
    made = Archive.create(where, Recipe(**{"normalizer": "macenko", "encoder": "color-histogram", **recipe}))
    report = made.index(folder, mpp=0.5 if "grid" in recipe else None)
    assert not report.failed
    return made


@pytest.fixture(scope="module")
def archive(tile_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return indexed(tile_set, tmp_path_factory.mktemp("a") / "archive")


def explained(archive: Archive, query: Any, hits: int = 2, **options: Any) -> tuple[Answer, Explanation]:
    answer = archive.search(query, **{"k": 3, **options})
    return answer, explain(archive.searcher(), as_query(query), answer, hits=hits)


def assert_same_distances(answer: Answer, found: Explanation) -> None:
    assert found.pairs
    for pair in found.pairs:
        assert pair.note == ""
        assert pair.distance == pytest.approx(pair.match.distance, abs=1e-6)
        assert pair.query is not None
        assert pair.hit is not None
        assert pair.query.grid.shape == pair.hit.grid.shape == (WINDOWS, WINDOWS)
        assert np.isfinite(pair.query.grid).all()


def test_an_archived_image_keeps_its_map_and_encoder(archive: Archive, tile_set: Path) -> None:
    answer, found = explained(archive, tile_set / "fine" / "fine_03.png")
    assert_same_distances(answer, found)
    assert [pair.match.hit for pair in found.pairs] == [1, 2]
    assert found.scale > 0


def test_an_image_from_elsewhere_keeps_the_map_that_the_search_fitted(archive: Archive, tile_set: Path) -> None:
    image = np.clip(read(tile_set / "fine" / "fine_03.png").astype(int) * 0.8 + 12, 0, 255).astype(np.uint8)
    answer, found = explained(archive, image)
    assert answer.fitted is not None
    assert_same_distances(answer, found)


def test_maps_are_those_of_the_definition(archive: Archive, tile_set: Path) -> None:
    answer, found = explained(archive, tile_set / "coarse" / "coarse_01.png", hits=1)
    pair, engine = found.pairs[0], archive.prepared.encoder
    assert pair.query is not None
    assert pair.hit is not None
    asked, other = engine.encode([pair.query.picture]), engine.encode([pair.hit.picture])
    expected = changes(engine.encode(occluded(pair.query.picture)), asked, other, "euclidean")
    np.testing.assert_allclose(pair.query.grid, expected, atol=1e-6)
    assert answer.hits[0].distance == pytest.approx(pair.distance, abs=1e-6)


def test_a_picture_that_finds_itself_can_only_lose(archive: Archive, tile_set: Path) -> None:
    _, found = explained(archive, tile_set / "fine" / "fine_05.png", hits=1, exclude="none")
    pair = found.pairs[0]
    assert pair.distance == pytest.approx(0, abs=1e-6)
    assert pair.query is not None
    assert pair.hit is not None
    assert min(pair.query.grid.min(), pair.hit.grid.min()) >= 0
    assert pair.query.grid.max() > 0


def test_a_region_and_a_slide_are_explained_by_their_closest_pair(tile_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mosaics"
    folder.mkdir()
    for start in range(0, 12, 4):
        tiles = [read(tile_set / "fine" / f"fine_{n:02d}.png") for n in range(start, start + 4)]
        mosaic = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
        assert cv2.imwrite(str(folder / f"m{start}.png"), mosaic)
    made = indexed(folder, tmp_path / "archive", grid=Grid(mpp=0.5, patch_px=112, min_tissue=0.0))
    path = folder / "m0.png"
    for query in (RegionQuery(path, Region(0, 0, 300, 300)), SlideQuery(path, patches=4)):
        answer, found = explained(made, query, exclude="slide")
        assert_same_distances(answer, found)
        for pair in found.pairs:
            mine = [match.distance for match in answer.matches if match.hit == pair.match.hit]
            assert pair.match.distance == min(mine)
        assert found.latent is not None
        assert len(found.latent.query) == len(answer.query.patches) > 1


def test_a_case_is_explained_by_its_closest_pairs(tile_set: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    rows = [f"{path.name},P{i % 4}" for i, path in enumerate(sorted(tile_set.rglob("*.png")))]
    table.write_text("slide,patient\n" + "\n".join(rows) + "\n")
    made = Archive.create(tmp_path / "archive", Recipe(normalizer="macenko", encoder="color-histogram"))
    assert not made.index(tile_set, labels=table).failed
    answer, found = explained(made, CaseQuery("P2"))
    assert {hit.columns["patient"] for hit in answer.hits} <= {"P0", "P1", "P3"}
    assert_same_distances(answer, found)
    assert len(found.pairs) == 2


def test_pixels_that_are_gone_or_changed_are_said(tile_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    shutil.copytree(tile_set / "fine", folder)
    made = indexed(folder, tmp_path / "archive", normalizer="none")
    query = tile_set / "fine" / "fine_00.png"
    first, second = made.search(query, k=2, exclude="none").hits
    Path(first.slide).unlink()
    shutil.copy(tile_set / "coarse" / "coarse_00.png", second.slide)
    answer, found = explained(made, read(query), k=3, hits=3, exclude="none")
    notes = {pair.match.hit: pair.note for pair in found.pairs}
    ranks = {hit.slide: hit.rank for hit in answer.hits}
    assert "there is no such file" in notes[ranks[first.slide]]
    assert "no longer give the features" in notes[ranks[second.slide]]
    assert sum(note == "" for note in notes.values()) == 1
    assert found.latent is not None


def test_the_answer_of_nothing_and_an_answer_from_elsewhere(archive: Archive, tile_set: Path) -> None:
    query = tile_set / "fine" / "fine_00.png"
    answer, found = explained(archive, query, where="label = 'none such'")
    assert (answer.hits, found.pairs, found.latent, found.scale) == ((), (), None, 0.0)
    with pytest.raises(UsageError, match="vectors"):
        explain(archive.searcher(), as_query(query), replace(answer, vectors=None))


def test_json_has_maps_and_shares_as_numbers(archive: Archive, tile_set: Path) -> None:
    _, found = explained(archive, tile_set / "fine" / "fine_01.png")
    data = json.loads(json.dumps(found.to_dict()))
    assert np.array(data["pairs"][0]["found"]["windows"]).shape == (WINDOWS, WINDOWS)
    assert data["pairs"][0]["query"]["reconstruction_error"] is None
    latent = data["latent"]
    assert (latent["sampled"], latent["patches"], len(latent["hits"])) == (24, 24, 2)
    assert 0 < latent["shares"][1] <= latent["shares"][0] <= sum(latent["shares"]) <= 1
    assert 0 <= latent["shown"] <= 1


@pytest.mark.parametrize("names", [("AC", "H"), ("S", "T"), ("H", "V")])
def test_tissue_matters_more_than_glass(shared_data: Path, names: tuple[str, str]) -> None:
    query, other = (read(sorted((shared_data / "crc5" / name).iterdir())[5]) for name in names)
    half = query.copy()
    glass = np.random.default_rng(0).normal(240, 1.5, (half.shape[0], half.shape[1] // 2, 3))
    half[:, half.shape[1] // 2 :] = np.clip(glass, 0, 255).astype(np.uint8)
    engine = encoder()
    vectors = engine.encode([half, other, *occluded(half)])
    grid = np.abs(changes(vectors[2:], vectors[:1], vectors[1:2], engine.spec.metric))
    assert grid[:, : WINDOWS // 2].mean() > grid[:, WINDOWS // 2 + 1 :].mean()
