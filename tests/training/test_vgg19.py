"""The VGG19 comparator: the published number of parameters, one batch learned, files that say what they are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from histokin.errors import EncoderError, UsageError
from histokin.nets.onnx_session import open_session
from histokin.nets.vgg19 import read_start, vgg19
from histokin.testing.appearance import synthetic_he
from histokin.training.classifier_task import ClassifierTask, figures
from histokin.training.images import from_arrays
from histokin.training.vgg19 import Vgg19Profile, train_vgg19

TINY = Vgg19Profile("tiny", 32, "pooled", 1e-4, 1, batch=4)


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_number_of_parameters() -> None:
    with torch.device("meta"):
        convolutions = 20_024_384
        assert parameters(vgg19(2, pooled=True)) == convolutions + 512 * 2 + 2


def test_cross_entropy_task_learns_one_batch() -> None:
    torch.manual_seed(0)
    images = np.zeros((4, 3, 8, 8), np.float32)
    images[2:, 0] = 1
    classes = np.array([0, 0, 1, 1])
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
    task = ClassifierTask(network, lambda step: (images, classes), (images, classes), 5e-2)
    task.plan(60)
    for number in range(60):
        task.step(number)
        task.after(number + 1)
    assert figures(task.best_network(), images, classes)["accuracy"] == 1.0
    assert task.best < 0.1


def test_a_training_writes_a_classifier(tmp_path: Path) -> None:
    images = from_arrays("a", [synthetic_he(px=32, seed=i) for i in range(12)])
    labels = {name: "C" if i % 2 else "NC" for i, name in enumerate(images.names)}
    done = train_vgg19(images, labels, tmp_path, profile=TINY, steps=2)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["classes"] == ["C", "NC"]
    assert report["weights_at_start"] == "random"
    assert report["steps"] == {"done": 2, "published": None}
    assert report["weights"]["difference_from_torch"] < 1e-3
    batch = np.random.default_rng(0).random((5, 3, 32, 32), np.float32)
    logits, before = (
        open_session(tmp_path / name, 1).run(["logits"], {"image": batch})[0]
        for name in ("classifier.onnx", "untrained.onnx")
    )
    assert logits.shape == (5, 2)
    assert not np.allclose(logits, before)
    assert done.weights == tmp_path / "classifier.onnx"


def test_refusals(tmp_path: Path) -> None:
    images = from_arrays("a", [synthetic_he(px=32, seed=i) for i in range(3)])
    with pytest.raises(UsageError, match="has no class"):
        train_vgg19(images, {}, tmp_path, profile=TINY)
    with pytest.raises(UsageError, match="one class only"):
        train_vgg19(images, dict.fromkeys(images.names, "C"), tmp_path, profile=TINY)
    (tmp_path / "wrong.pth").write_bytes(b"no weights")
    with torch.device("meta"):
        network = vgg19(2, pooled=True)
    with pytest.raises(EncoderError, match="the weights cannot be read"):
        read_start(tmp_path / "wrong.pth", network)
