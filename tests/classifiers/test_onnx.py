"""A classifier from its folder: known answers, the contract, and folders that are not whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histokin.classifiers.base import probabilities
from histokin.classifiers.onnx import OnnxClassifier
from histokin.classifiers.registry import CLASSIFIERS, classifier
from histokin.encoders.registry import chosen, encoder
from histokin.errors import EncoderError, TooSmall, UnknownName, UsageError
from histokin.nets.classifier_file import _short, read_classifier
from histokin.nets.manifest import file_digest
from histokin.testing.classifiers import check_classifier
from histokin.testing.encoders import check_encoder


def red_corner() -> np.ndarray:
    image = np.zeros((16, 16, 3), np.uint8)
    image[:8, 8:, 0] = 255
    return image


def test_known_answers(folder: Path) -> None:
    made = OnnxClassifier(folder, threads=1)
    logits = made.logits([red_corner()])
    assert logits.tolist() == [[2 * 0.25 + 0.5, -1.0, 0.25]]
    assert made.cam([red_corner()], [0]).tolist() == [[[0.0, 2.0], [0.0, 0.0]]]
    assert made.features([red_corner()]).tolist() == [[0.25, 0, 0]]
    np.testing.assert_allclose(made.predict([red_corner()]), probabilities(logits, 2.0))
    assert made.bias.tolist() == [0.5, -1.0, 0.25]
    assert made.spec.class_number("blue") == 2


@pytest.mark.parametrize("threads", [1, 3])
def test_contract(folder: Path, threads: int) -> None:
    check_classifier(OnnxClassifier(folder, threads=threads))


def test_penultimate_layer_is_an_encoder(folder: Path) -> None:
    name, options = chosen(f"classifier={folder}")
    made = encoder(name, **options)
    check_encoder(made)
    assert made.encode([red_corner()]).tolist() == [[0.25, 0, 0]]
    assert made.spec.space == OnnxClassifier(folder).spec.space
    assert made.spec.mpp == 0.5


def test_by_folder_by_file_and_by_kind(folder: Path) -> None:
    for text in (folder, str(folder), folder / "classifier.json", folder / "classifier.onnx", f"onnx={folder}"):
        assert classifier(text).spec.name == "by-hand"
    assert CLASSIFIERS.names() == ["onnx"]
    with pytest.raises(UnknownName, match="no classifier is called 'other'"):
        classifier(f"other={folder}")
    with pytest.raises(UsageError, match="the classifier 'onnx' needs a folder"):
        classifier("onnx")


def test_probabilities_are_a_softmax() -> None:
    logits = np.array([[1000.0, 999.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(probabilities(logits, 1), [[0.7310586, 0.2689414], [0.5, 0.5]], atol=1e-6)
    assert probabilities(logits, 10)[0, 0] < 0.53


def test_an_image_of_the_wrong_size(folder: Path) -> None:
    with pytest.raises(TooSmall, match="an image of 7 x 30 pixels, the classifier takes 16 x 16") as caught:
        OnnxClassifier(folder).logits([red_corner(), np.zeros((30, 7, 3), np.uint8)])
    assert "at least 8 pixels" in caught.value.remedy
    large = np.repeat(np.repeat(red_corner(), 4, axis=0), 4, axis=1)
    np.testing.assert_allclose(OnnxClassifier(folder).logits([large])[0, 0], 1.0, atol=0.02)


def test_a_class_list_that_does_not_match(folder: Path) -> None:
    spec = OnnxClassifier(folder).spec
    spec.require_classes(["red", "blue"])
    with pytest.raises(UsageError, match=r"the class list does not match.*it has no tumor") as caught:
        spec.require_classes(["red", "tumor"])
    assert "red, green, blue" in caught.value.remedy
    with pytest.raises(UsageError, match="has no class 'tumor'"):
        spec.class_number("tumor")


def test_a_corrupt_network(folder: Path) -> None:
    weights = folder / "classifier.onnx"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(EncoderError, match="the weights differ from their description") as caught:
        OnnxClassifier(folder)
    assert caught.value.path == str(weights)
    assert caught.value.remedy
    _edit(folder, sha256=file_digest(weights))
    with pytest.raises(EncoderError, match="onnxruntime cannot load it"):
        OnnxClassifier(folder)
    weights.unlink()
    with pytest.raises(EncoderError, match="weight file of the classifier is missing"):
        OnnxClassifier(folder)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"classes": ["red", "green"]}, "the class list does not match: 2 classes"),
        ({"classes": ["red", "red", "blue"]}, "a class is named twice"),
        ({"classes": "red"}, "classes is no list"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": None}, "temperature"),
        ({"input_px": 0}, "input_px"),
        ({"grid": [2]}, "grid"),
        ({"weights": [[1, 2], [3]]}, "not tables of numbers"),
        ({"weights": [["a"]]}, "not tables of numbers"),
        ({"bias": [1.0]}, "does not match"),
        ({"mpp": -1}, "mpp"),
        ({"file": "../classifier.onnx"}, "no plain name"),
        ({"format": 9}, "format 9"),
        ({"normalizer": "macenko"}, "normalizer"),
    ],
)
def test_a_description_with_errors(folder: Path, change: dict[str, Any], match: str) -> None:
    _edit(folder, **change)
    with pytest.raises(EncoderError, match=match) as caught:
        read_classifier(folder)
    assert caught.value.path == str(folder / "classifier.json")
    assert caught.value.remedy


def test_descriptions_that_are_none(folder: Path) -> None:
    place = folder / "classifier.json"
    for text, match in (("[]", "no[ta].* JSON object"), ("{", "not JSON"), ("{}", "lacks format, name")):
        place.write_text(text)
        with pytest.raises(EncoderError, match=match):
            classifier(folder)
    with pytest.raises(EncoderError, match="cannot be read"):
        classifier(folder / "nowhere")


def test_a_network_that_does_not_keep_its_word(folder: Path) -> None:
    _edit(folder, grid=[4, 4])
    with pytest.raises(EncoderError, match="answers maps of shape"):
        OnnxClassifier(folder).cam([red_corner()], [0])
    _edit(folder, grid=[2, 2], input_px=24)
    with pytest.raises(EncoderError, match="cannot run on an input of shape"):
        OnnxClassifier(folder).logits([np.zeros((24, 24, 3), np.uint8)])


def test_description_survives_a_round_trip(folder: Path) -> None:
    made, _ = read_classifier(folder)
    again = json.loads(json.dumps(made.to_dict()))
    assert np.array_equal(np.array(again["weights"], np.float32), made.weights)
    odd = np.array([[0.1, 1 / 3, 1e-30]], np.float32)
    assert np.array_equal(np.array(_short(odd[0]), np.float32), odd[0])


def _edit(folder: Path, **changes: Any) -> None:
    place = folder / "classifier.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), **changes}))
