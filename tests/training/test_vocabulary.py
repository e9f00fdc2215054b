"""Learning visual words from a folder, from representations, and through the command line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
from click.testing import CliRunner

from histokin.app.cli import cli
from histokin.encoders.bag_of_words import BagEncoder
from histokin.encoders.local import chosen_features
from histokin.encoders.surf import DenseSurf
from histokin.errors import UsageError
from histokin.modality.base import Representation
from histokin.modality.registry import REPRESENTATIONS
from histokin.training.images import from_arrays, read_images
from histokin.training.vocabulary import train_vocabulary
from histokin.types import Image, ImageMap, Status


@final
class _Halved(ImageMap):
    """One channel of half the brightness."""

    space = "halved/1"

    def apply(self, image: Image) -> tuple[Image, Status]:
        return (image[..., :1] // 2).astype(np.uint8), Status()

    def to_dict(self) -> dict[str, Any]:
        return {}


@final
class Halves(Representation):
    """Of "brightfield" only."""

    name, space, modalities = "halves", "halves/1", ("brightfield",)

    def _map(self, modality: str) -> ImageMap:
        return _Halved()

    def to_dict(self) -> dict[str, Any]:
        return {"name": "halves", "options": {}}


def _run(*args: str) -> tuple[int, Mapping[str, Any] | str]:
    done = CliRunner().invoke(cli, ["train", "vocabulary", *args])
    text = done.stdout
    return done.exit_code, json.loads(text) if "--json" in args and text else done.output


def test_words_are_those_of_the_mapped_images(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    pixels = [draws.integers(0, 256, (48, 48, 3), dtype=np.uint8) for _ in range(3)]
    told: list[tuple[int, int]] = []
    made = train_vocabulary(
        from_arrays("noise", pixels),
        tmp_path / "mapped",
        DenseSurf(widths=(32,)),
        words=12,
        representation=Halves(),
        modality="brightfield",
        watch=lambda done, planned: told.append((done, planned)),
    )
    assert sorted(set(told)) == [(0, 3), (1, 3), (2, 3)]
    halved = [np.repeat(image[..., :1] // 2, 3, axis=2) for image in pixels]
    by_hand = train_vocabulary(from_arrays("halved", halved), tmp_path / "b", DenseSurf(widths=(32,)), words=12)
    np.testing.assert_array_equal(made.vocabulary, by_hand.vocabulary)
    assert made.spec.space == by_hand.spec.space
    assert made.learned["representation_space"] == "halves/1"
    assert by_hand.learned["representation"] is None
    assert BagEncoder.load(tmp_path / "mapped").learned == made.learned


def test_a_representation_needs_its_modality(tmp_path: Path) -> None:
    images = from_arrays("noise", [np.zeros((40, 40, 3), np.uint8)])
    with pytest.raises(UsageError, match=r"belong together.*brightfield"):
        train_vocabulary(images, tmp_path, DenseSurf(), representation=Halves())
    with pytest.raises(UsageError, match="belong together"):
        train_vocabulary(images, tmp_path, DenseSurf(), modality="shg")
    with pytest.raises(UsageError, match="no map for images of modality 'shg'"):
        train_vocabulary(images, tmp_path, DenseSurf(), representation=Halves(), modality="shg")


def test_the_command_learns_and_the_encoder_is_found(tile_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "words"
    status, said = _run(str(tile_set), "--out", str(out), "--words", "30", "--most", "4", "--json")
    assert status == 0
    assert isinstance(said, Mapping)
    assert said["encoder"]["dim"] == 30
    assert said["encoder"]["kind"] == "counts"
    assert said["learned"]["images"] == 4
    bag = BagEncoder.load(out)
    assert bag.spec.space == said["encoder"]["space"]
    image = read_images(tile_set, most=4).load(0)
    assert bag.encode([image]).sum() == 4 * 28 * 28


def test_the_command_names_what_is_wrong(tile_set: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "words")
    for args, reason in (
        ((str(tmp_path / "nowhere"),), "nowhere"),
        ((str(tile_set), "--features", "surv"), "Did you mean 'surf'"),
        ((str(tile_set), "--features", "surf=x.pth"), "take no file"),
        ((str(tile_set), "--modality", "shg"), "belong together"),
        ((str(tile_set), "--representation", "comix"), "no representation is called 'comix'"),
    ):
        status, said = _run(*args, "--out", out)
        assert status == 2, said
        assert reason in said
        assert "Traceback" not in said
    assert not (tmp_path / "words").exists()


def test_a_broken_image_is_named_and_the_others_are_used(tile_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for file in sorted((tile_set / "fine").iterdir())[:2]:
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    status, said = _run(str(folder), "--out", str(tmp_path / "words"), "--words", "10", "--json")
    assert status == 1
    assert isinstance(said, Mapping)
    assert len(said["failed"]) == 1
    assert said["failed"][0]["path"].endswith("broken.png")
    assert BagEncoder.load(tmp_path / "words").learned["images"] == 2


def test_representations_of_the_registry_are_taken(tile_set: Path, tmp_path: Path) -> None:
    assert "none" in REPRESENTATIONS.names()
    args = ("--representation", "none", "--modality", "brightfield", "--words", "10", "--most", "2", "--json")
    status, said = _run(str(tile_set), "--out", str(tmp_path / "words"), *args)
    assert status == 0, said
    assert isinstance(said, Mapping)
    assert said["learned"]["modality"] == "brightfield"


def test_features_with_weights_of_their_own() -> None:
    assert chosen_features("sift").name == "sift"
    with pytest.raises(UsageError, match="take no file"):
        chosen_features("resnet152-channels=")
