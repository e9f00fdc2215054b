"""A recipe survives the archive."""

import json
from pathlib import Path

import pytest

import histokin
from histokin.encoders.shipped import WEIGHTS
from histokin.retrieval.archive import Archive
from histokin.retrieval.recipe import Prepared, Recipe


def test_round_trip_through_json() -> None:
    made = Recipe(normalizer="reinhard", grid=histokin.Grid(mpp=1.0, patch_px=128)).prepare()
    again = Prepared.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again.to_dict() == made.to_dict()
    assert again.digest == made.digest


def test_a_users_own_network_is_found_again(tmp_path: Path, tile_set: Path) -> None:
    folder = WEIGHTS / "efficientnet-lite0-b14"
    made = Archive.create(tmp_path / "archive", Recipe(encoder="onnx", encoder_options={"path": folder}))
    made.index(tile_set / "fine")
    query = tile_set / "coarse" / "coarse_00.png"
    assert Archive.open(tmp_path / "archive").search(query).hits == made.search(query).hits


def test_threads_are_no_part_of_a_recipe() -> None:
    assert Recipe(encoder_options={"threads": 1}).prepare().digest == Recipe().prepare().digest


def test_an_archive_outlives_the_default_encoder(
    tmp_path: Path, tile_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Archive.create(tmp_path / "archive")
    made.index(tile_set / "fine")
    monkeypatch.setattr("histokin.retrieval.recipe.DEFAULT_ENCODER", "color-histogram")
    monkeypatch.setattr("histokin.encoders.registry.DEFAULT_ENCODER", "color-histogram")
    opened = Archive.open(tmp_path / "archive")
    assert opened.prepared.encoder.spec.name == made.prepared.encoder.spec.name
    assert opened.search(tile_set / "fine" / "fine_00.png", exclude="none").hits[0].distance <= 1e-5
