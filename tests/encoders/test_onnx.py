"""One's own ONNX files. The small networks here are written byte by byte, so that no exporter is needed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histokin.encoders.pixels import prepare
from histokin.encoders.registry import encoder
from histokin.errors import EncoderError
from histokin.nets.manifest import file_digest
from histokin.testing.encoders import check_encoder


def _field(number: int, value: bytes | str | int) -> bytes:
    """One protobuf field: text, bytes or a message, or a whole number below 128."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    raw = value.encode() if isinstance(value, str) else value
    assert len(raw) < 1 << 14
    size = bytes([len(raw)]) if len(raw) < 128 else bytes([len(raw) & 127 | 128, len(raw) >> 7])
    return bytes([number << 3 | 2]) + size + raw


def _value(name: str, *dims: str | int) -> bytes:
    shape = b"".join(_field(1, _field(1, d) if isinstance(d, int) else _field(2, d)) for d in dims)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))


def _mean_network(operator: str = "GlobalAveragePool") -> bytes:
    """float32 "n 3 h w" to "n 3": each channel pooled, then flattened."""
    pool = _field(1, "x") + _field(2, "p") + _field(4, operator)
    flat = _field(1, "p") + _field(2, "y") + _field(4, "Flatten")
    graph = _field(1, pool) + _field(1, flat) + _field(2, "g")
    graph += _field(11, _value("x", "n", 3, "h", "w")) + _field(12, _value("y", "n", 3))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(2, 17))


def _write(folder: Path, network: bytes | None = None, **changes: Any) -> Path:
    (folder / "mean.onnx").write_bytes(_mean_network() if network is None else network)
    manifest = {
        "name": "mean-color",
        "file": "mean.onnx",
        "sha256": file_digest(folder / "mean.onnx"),
        "input_px": 8,
        "dim": 3,
        "mean": [0.5, 0.25, 0.0],
        "std": [0.5, 0.25, 2.0],
        "licence": "CC0-1.0",
    }
    (folder / "encoder.json").write_text(json.dumps(manifest | changes))
    return folder


def test_standardization_by_hand(tmp_path: Path) -> None:
    image = np.full((8, 8, 3), [255, 51, 102], dtype=np.uint8)
    vector = encoder("onnx", path=_write(tmp_path)).encode([image])[0]
    np.testing.assert_allclose(vector, [1.0, -0.2, 0.2], atol=1e-6)


def test_contract(tmp_path: Path) -> None:
    check_encoder(encoder("onnx", path=_write(tmp_path)))


def test_file_folder_and_manifest_are_the_same_encoder(tmp_path: Path) -> None:
    _write(tmp_path)
    spaces = {encoder("onnx", path=tmp_path / end).spec.space for end in ("", "mean.onnx", "encoder.json")}
    assert len(spaces) == 1


def test_other_preprocessing_is_another_space(tmp_path: Path) -> None:
    spaces = set()
    for changes in ({}, {"mean": [0.5, 0.5, 0.5]}, {"std": [1.0, 1.0, 1.0]}, {"input_px": 16}):
        spaces.add(encoder("onnx", path=_write(tmp_path, **changes)).spec.space)
    assert len(spaces) == 4


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    folder = _write(tmp_path)
    (folder / "mean.onnx").write_bytes(_mean_network() + b"\0")
    with pytest.raises(EncoderError, match="differ from their manifest") as caught:
        encoder("onnx", path=folder)
    assert caught.value.remedy
    assert caught.value.path == str(folder / "mean.onnx")


@pytest.mark.parametrize(
    ("network", "message"),
    [(b"garbage", "cannot load"), (b"", "cannot load"), (_mean_network("NoSuchOperator"), "cannot load")],
)
def test_a_file_that_is_no_network(tmp_path: Path, network: bytes, message: str) -> None:
    with pytest.raises(EncoderError, match=message) as caught:
        encoder("onnx", path=_write(tmp_path, network))
    assert "\n" not in caught.value.reason


def test_wrong_dimension_is_named(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"answers with shape \(1, 3\)"):
        encoder("onnx", path=_write(tmp_path, dim=4)).encode([np.zeros((8, 8, 3), dtype=np.uint8)])


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    logarithms = encoder("onnx", path=_write(tmp_path, _mean_network("Log"), dim=192))
    with pytest.raises(EncoderError, match="not finite"):
        logarithms.encode([np.zeros((8, 8, 3), dtype=np.uint8)])


def test_resizing_averages_and_leaves_fitting_images_alone() -> None:
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    image[::2] = 200
    assert prepare(image, 32) is image
    small = prepare(image, 8)
    assert small.shape == (8, 8, 3)
    assert np.abs(small[1:-1].astype(int) - 100).max() <= 2
    assert prepare(image[:1, :1], 8).tolist() == np.full((8, 8, 3), 200).tolist()
