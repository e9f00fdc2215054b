"""Manifests: read back as written, and refused with the reason."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from histokin.errors import EncoderError
from histokin.nets.manifest import WeightManifest, file_digest, load_manifest

GOOD = WeightManifest(name="a", file="a.onnx", sha256="0" * 64, input_px=224, dim=4, mpp=0.5)


def test_digest_of_known_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_digest(tmp_path / "abc") == expected


def test_round_trip(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"")
    GOOD.save(tmp_path)
    for given in (tmp_path, tmp_path / "encoder.json", tmp_path / "a.onnx", str(tmp_path)):
        assert load_manifest(given) == (GOOD, tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "name is empty"),
        ({"file": "../a.onnx"}, "plain file name"),
        ({"input_px": 0}, "input_px"),
        ({"dim": 1.5}, "dim"),
        ({"dim": True}, "dim"),
        ({"mean": [0, 0]}, "mean"),
        ({"mean": [0, 0, float("nan")]}, "mean"),
        ({"std": [1, 0, 1]}, "below"),
        ({"mpp": -1}, "mpp"),
        ({"metric": "hamming"}, "metric"),
        ({"preprocessing": "nobody"}, "preprocessing"),
        ({"sha256": 12}, "sha256"),
        ({"colour": "blue"}, "unknown keys: colour"),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    (tmp_path / "a.onnx").write_bytes(b"")
    (tmp_path / "encoder.json").write_text(json.dumps(dataclasses.asdict(GOOD) | changes))
    with pytest.raises(EncoderError, match=message) as caught:
        load_manifest(tmp_path)
    assert caught.value.remedy
    assert caught.value.path == str(tmp_path / "encoder.json")


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "{}", "\ufeff{}"])
def test_text_that_is_no_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "encoder.json").write_text(text, encoding="utf-8")
    with pytest.raises(EncoderError, match="manifest"):
        load_manifest(tmp_path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "encoder.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EncoderError, match="not JSON"):
        load_manifest(tmp_path)


def test_missing_weights_and_strange_weights(tmp_path: Path) -> None:
    GOOD.save(tmp_path)
    with pytest.raises(EncoderError, match="weight file is missing"):
        load_manifest(tmp_path)
    (tmp_path / "b.onnx").write_bytes(b"")
    with pytest.raises(EncoderError, match=r"another file, a\.onnx"):
        load_manifest(tmp_path / "b.onnx")


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="cannot be read"):
        load_manifest(tmp_path)
