import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow

from histokin.app.cli import cli
from histokin.errors import UsageError
from histokin.evaluation.cross_modality.locating import (
    Located,
    Query,
    at_random,
    chance,
    drawn_queries,
    figures,
    judged,
    located,
    mosaic_of,
)
from histokin.evaluation.cross_modality.locating_run import answered, check_apart, fold_of, task_of
from histokin.modality.none import NoRepresentation
from histokin.retrieval.subimage.placing import Placement, Sweep
from histokin.training.pairs import PairSet, pairs_from_arrays


def image(seed: int, side: int = 128) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    made: np.ndarray = np.clip(128 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)[..., None]
    return made


def some_pairs(count: int = 6) -> PairSet:
    """Both "modalities" show the same, with another gain."""
    both = [(image(i), image(i) // 2) for i in range(count)]
    return pairs_from_arrays(("brightfield", "shg"), [f"core {i}" for i in range(count)], both)


def test_a_mosaic_holds_every_image_once_and_glass() -> None:
    images = [image(i, 64) for i in range(5)]
    mosaic = mosaic_of(images)
    assert mosaic.pixels.shape == (192, 192, 1)
    assert len(set(mosaic.corners)) == 5
    for own, (x, y) in zip(images, mosaic.corners, strict=True):
        np.testing.assert_array_equal(mosaic.pixels[y : y + 64, x : x + 64], own)
    assert int((mosaic.pixels == 255).all(axis=2).sum()) >= 4 * 64 * 64
    assert mosaic_of(images, seed=1).corners != mosaic.corners
    assert mosaic_of([np.zeros((512, 512, 3), np.uint8)] * 21).pixels.shape == (2560, 2560, 3)
    with pytest.raises(UsageError, match="2 different shapes"):
        mosaic_of([image(0, 64), image(0, 32)])


def test_the_truth_of_a_query_puts_its_pixels_back() -> None:
    images = [image(i) for i in range(4)]
    mosaic = mosaic_of(images)
    queries = drawn_queries(images, mosaic, [1, 3], count=6, side=48)
    assert [query.image for query in queries] == [1, 3, 1, 3, 1, 3]
    for query in queries:
        matrix = cv2.getRotationMatrix2D((23.5, 23.5), query.angle, 1.0)
        upright = cv2.warpAffine(query.pixels, matrix, (48, 48))
        there = cv2.getRectSubPix(mosaic.pixels, (48, 48), (query.x, query.y))
        disc = np.hypot(*(np.mgrid[:48, :48] - 23.5)) < 20
        assert np.corrcoef(upright[disc], there[disc])[0, 1] > 0.98


def test_queries_stay_within_their_image() -> None:
    images = [image(0)]
    mosaic = mosaic_of(images)
    for query in drawn_queries(images, mosaic, [0], count=40, side=80):
        assert 56 <= query.x <= 71
        assert 56 <= query.y <= 71
    with pytest.raises(UsageError, match="too large"):
        drawn_queries(images, mosaic, [0], side=100)
    with pytest.raises(UsageError, match="no core"):
        drawn_queries(images, mosaic, [])


def test_right_is_within_16_pixels_and_5_degrees() -> None:
    query = Query(image(0, 32), 0, 100.0, 50.0, 178.0)
    found = judged(query, Placement(0.7, 100.0, 66.0, -178.0, 0.5))
    assert (found.distance, found.turn, found.right) == (16.0, 4.0, True)
    assert found.margin == pytest.approx(0.2)
    assert not judged(query, Placement(0.7, 100.0, 66.1, -178.0)).right
    assert not judged(query, Placement(0.7, 100.0, 50.0, 172.0)).right


def test_figures() -> None:
    answers = [Located(0, 2.0, 1.0, 0.9, 0.2), Located(0, 4.0, 3.0, 0.9, 0.2), Located(1, 900.0, 90.0, 0.3, 0.0)]
    found = figures(answers)
    assert found.right.value == pytest.approx(2 / 3)
    assert (found.right.low, found.right.high) == (0, 1)
    assert (found.distance, found.turn, found.distance_right, found.turn_right) == (4, 3, 3, 2)
    assert np.isnan(figures(answers[2:]).distance_right)


def test_random_places_are_as_often_right_as_chance_says() -> None:
    mosaic = mosaic_of([image(0, 64)])
    query = Query(image(0, 32), 0, 32.0, 32.0, 0.0)
    right = np.mean([answer.right for answer in at_random([query] * 20_000, mosaic)])
    assert chance(mosaic) == pytest.approx(np.pi * 256 / 4096 / 36)
    assert right == pytest.approx(chance(mosaic), abs=0.002)


def test_patches_are_found_in_the_mosaic() -> None:
    pairs = some_pairs()
    fold = fold_of(pairs, 2)
    task = task_of(pairs, fold, count=4, side=48)
    assert {query.image for query in task.queries} <= set(fold.test)
    rows = answered(task, {"none": NoRepresentation()})
    assert [row.name for row in rows] == ["none", "random places"]
    assert rows[0].figures.right.value == 1
    assert rows[0].figures.distance < 2
    assert rows[1].figures.right.value == 0
    few = located(task.queries[:1], task.mosaic, lambda x: x, lambda x: x, sweep=Sweep(max_turn=180, finest=2))
    assert few[0] == rows[0].answers[0]
    with pytest.raises(UsageError, match="no fold 4"):
        fold_of(pairs, 4)


def test_one_command_trains_and_measures(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    for modality in ("brightfield", "shg"):
        (pairs / modality).mkdir(parents=True)
    for i in range(3):
        field = image(i, 160)[..., 0]
        Pillow.fromarray(np.stack([field, 255 - field, field], axis=-1)).save(pairs / "brightfield" / f"{i}.png")
        Pillow.fromarray(field).save(pairs / "shg" / f"{i}.png")
    out = tmp_path / "out"
    asked = ["evaluate-locate", str(pairs), "--out", str(out), "--queries", "2", "--side", "64", "--json"]
    trained = _train_briefly(pairs, tmp_path / "placenet")
    result = CliRunner().invoke(cli, [*asked, "--representation", f"placenet={trained}"])
    assert result.exit_code == 0, result.output
    found = json.loads((out / "located.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["placenet", "placenet, untrained", "random places"]
    assert found["mosaic"] == [320, 320]
    assert len(found["rows"][0]["answers"]) == 2
    other = CliRunner().invoke(cli, [*asked, "--representation", f"placenet={trained}", "--fold", "2"])
    assert other.exit_code == 2
    assert "not trained on the other cores of fold 2" in other.stderr


def _train_briefly(pairs: Path, out: Path) -> Path:
    from histokin.training.pairs import read_pairs
    from histokin.training.placenet import place_profile, train_placenet

    found = read_pairs(pairs)
    train_placenet(found.some(fold_of(found, 1).train), out, profile=place_profile("reduced", 64), steps=2)
    return out


def test_what_was_not_trained_is_not_refused() -> None:
    pairs = some_pairs()
    check_apart(pairs, fold_of(pairs, 1), NoRepresentation())
