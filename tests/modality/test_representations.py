"""Representations: contract, known answers with tiny networks, damaged folders."""

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histokin.errors import HistokinError, NotComparable, UnknownName, UnreadableFile, UnsupportedFormat, UsageError
from histokin.modality.base import Representation
from histokin.modality.folder import FILE
from histokin.modality.registry import REPRESENTATIONS, chosen, map_from_dict, representation, representation_from_dict
from histokin.types import ImageMap

from .folders import comir_folder, translation_folder

MADE = ("none", "comir", "pix2pix", "cyclegan")


def picture(height: int = 45, width: int = 70, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Representation]:
    folders = {name: tmp_path_factory.mktemp(name) for name in MADE}
    return {
        "none": representation("none"),
        "comir": representation("comir", path=comir_folder(folders["comir"], shrink=2)),
        "pix2pix": representation(
            "pix2pix", path=translation_folder(folders["pix2pix"], "pix2pix"), towards="brightfield"
        ),
        "cyclegan": representation("cyclegan", path=translation_folder(folders["cyclegan"], "cyclegan"), towards="shg"),
    }


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("modality", ["brightfield", "shg"])
def test_contract(made: dict[str, Representation], name: str, modality: str) -> None:
    it = made[name]
    assert it.name == name
    assert it.modalities == ("brightfield", "shg")
    one = it.map(modality)
    assert isinstance(one, ImageMap)
    assert one.space == it.space
    assert one.input.modality == modality
    for height, width, channels in ((32, 32, 1), (45, 70, 3), (33, 64, 1)):
        image = picture(height, width, channels)
        before = image.copy()
        answer, status = one.apply(image)
        assert status.ok
        assert answer.dtype == np.uint8
        assert answer.shape[:2] == (height, width)
        assert answer.shape[2] in (1, 3)
        assert np.array_equal(image, before)
        assert np.abs(one(image.astype(np.uint16) * 257).astype(int) - answer.astype(int)).max() <= 1
        with ThreadPoolExecutor(2) as threads:
            assert all(np.array_equal(found, answer) for found in threads.map(one, [image] * 4))
    again = map_from_dict(json.loads(json.dumps(one.to_dict())))
    assert np.array_equal(again(image), answer)
    assert representation_from_dict(json.loads(json.dumps(it.to_dict()))).space == it.space
    with pytest.raises(UsageError, match="at least 32"):
        one(np.zeros((31, 64, 3), np.uint8))


@pytest.mark.parametrize("name", MADE)
def test_other_modalities_are_refused_by_name(made: dict[str, Representation], name: str) -> None:
    with pytest.raises(UsageError, match="modality 'xray'") as raised:
        made[name].map("xray")
    assert "brightfield, shg" in raised.value.remedy


def test_spaces_are_equal_within_and_only_within(made: dict[str, Representation]) -> None:
    assert made["none"].space == "raw"
    assert len({it.space for it in made.values()}) == 4


def test_comir_answers_are_the_networks(tmp_path: Path) -> None:
    folder = comir_folder(tmp_path, scale=(0.0, 0.5))
    it = representation("comir", path=folder)
    color = picture(64, 50)
    expected = np.rint(np.clip(color.mean(axis=2) / 255 / 0.5, 0, 1) * 255)
    assert np.abs(it.map("brightfield")(color)[..., 0] - expected).max() <= 1
    white = np.full((40, 40, 1), 255, np.uint8)
    assert it.map("shg")(white // 2)[0, 0, 0] == round(math.log(1 + 127 / 255) / 0.5 * 255)
    assert it.map("shg")(white).min() == 255
    assert it.facts["steps"] == {"done": 1, "published": 736}


def test_translations_lead_to_the_modality_asked_for(made: dict[str, Representation]) -> None:
    towards_brightfield, towards_shg = made["pix2pix"], made["cyclegan"]
    color, gray = picture(), picture(channels=1)
    assert np.array_equal(towards_brightfield.map("brightfield")(color), color)
    turned = towards_brightfield.map("shg")(gray)
    assert np.array_equal(turned, np.repeat(255 - gray, 3, axis=2))
    assert np.array_equal(towards_shg.map("shg")(gray), gray)
    assert towards_shg.map("brightfield")(color).shape == (*color.shape[:2], 1)


def test_the_space_holds_scale_and_weights(tmp_path: Path) -> None:
    made = [
        representation("comir", path=comir_folder(tmp_path / name, **options)).space
        for name, options in (("a", {}), ("b", {}), ("c", {"gain": 2.0}), ("d", {"scale": (0.0, 2.0)}))
    ]
    assert made[0] == made[1]
    assert len(set(made)) == 3


def test_a_changed_folder_is_noticed(tmp_path: Path) -> None:
    comir_folder(tmp_path / "one")
    stored = representation("comir", path=tmp_path / "one").to_dict()
    comir_folder(tmp_path / "one", gain=3.0)
    with pytest.raises(NotComparable, match="has changed"):
        representation_from_dict(stored)
    comir_folder(tmp_path / "two")
    it = representation("comir", path=tmp_path / "two")
    (tmp_path / "two" / "shg.onnx").write_bytes(b"something else")
    with pytest.raises(NotComparable, match="weights have changed"):
        it.map("shg")(picture())
    (tmp_path / "two" / "shg.onnx").unlink()
    with pytest.raises(UnreadableFile, match=r"shg\.onnx"):
        it.map("shg")(picture())


def _edited(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        raw = json.loads(text)
        change(raw)
        return json.dumps(raw)

    return edit


@pytest.mark.parametrize(
    ("edit", "kind"),
    [
        (lambda text: text[:50], UnreadableFile),
        (lambda text: "[1, 2]", UnsupportedFormat),
        (_edited(lambda raw: raw.update(kind="pix2pix")), UnsupportedFormat),
        (_edited(lambda raw: raw.update(format=99)), UnsupportedFormat),
        (_edited(lambda raw: raw.pop("scale")), UnreadableFile),
        (_edited(lambda raw: raw.update(scale=[1, 1])), UnreadableFile),
        (_edited(lambda raw: raw.update(modalities=["a", "b"])), UnreadableFile),
        (_edited(lambda raw: raw["inputs"]["shg"].update(shrink=0)), UnreadableFile),
        (_edited(lambda raw: raw["channels"].update(shg=2)), UnreadableFile),
        (_edited(lambda raw: raw.update(networks="x")), UnreadableFile),
    ],
)
def test_damaged_descriptions(tmp_path: Path, edit: Callable[[str], str], kind: type[HistokinError]) -> None:
    where = comir_folder(tmp_path) / FILE
    where.write_text(edit(where.read_text()))
    with pytest.raises(kind) as raised:
        representation("comir", path=tmp_path)
    assert raised.value.path == str(where)
    assert raised.value.remedy


def test_a_folder_never_leads_outside_of_itself(tmp_path: Path) -> None:
    where = comir_folder(tmp_path / "in") / FILE
    raw = json.loads(where.read_text())
    raw["networks"]["shg"]["file"] = "../shg.onnx"
    where.write_text(json.dumps(raw))
    (tmp_path / "shg.onnx").write_bytes(b"not this one")
    assert representation("comir", path=tmp_path / "in").map("shg")(picture()).size


def test_choices_of_the_command_line(tmp_path: Path) -> None:
    assert chosen("none") == ("none", {})
    assert chosen(f"comir={tmp_path}") == ("comir", {"path": tmp_path})
    assert chosen(f"pix2pix={tmp_path},towards=shg") == ("pix2pix", {"path": tmp_path, "towards": "shg"})
    assert chosen(f"comir={tmp_path},odd")[1]["path"].name.endswith(",odd")
    for wrong in ("none=folder", "comir="):
        with pytest.raises(UsageError):
            chosen(wrong)
    with pytest.raises(UnknownName, match="no representation is called 'comr'"):
        chosen("comr=x")


def test_options_are_named(tmp_path: Path) -> None:
    assert set(MADE) <= set(REPRESENTATIONS.names())
    with pytest.raises(UsageError, match="needs path"):
        representation("comir")
    with pytest.raises(UsageError, match="no option shade"):
        representation("none", shade=1)
    with pytest.raises(UsageError, match="no network towards 'xray'"):
        representation("pix2pix", path=translation_folder(tmp_path, "pix2pix"), towards="xray")
    with pytest.raises(UnreadableFile, match="no trained representation"):
        representation("comir", path=tmp_path / "nowhere")
    for damaged in ({}, {"name": "none"}, {"name": 3, "options": {}}):
        with pytest.raises(UsageError):
            representation_from_dict(damaged)
        with pytest.raises(UsageError):
            map_from_dict({"representation": damaged, "modality": "shg"})
