"""The four classifiers: published numbers of parameters, exact maps, the auxiliary head, weights from elsewhere."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from histokin.encoders.shipped import WEIGHTS
from histokin.errors import EncoderError
from histokin.nets import efficientnet_lite as lite
from histokin.nets.classifier_network import classifier_network
from histokin.nets.small_classifier import BLOCKS, SmallClassifier

SHIPPED = WEIGHTS / "efficientnet-lite0-b14" / "model.onnx"
SIDES = {"small": 64, "resnet50": 64, "densenet121": 64, "inception_v3": 96}


@pytest.mark.parametrize(
    ("name", "count"),
    [("resnet50", 23_518_277), ("densenet121", 6_958_981), ("inception_v3", 21_795_813), ("small", 1_879_941)],
)
def test_numbers_of_parameters_with_five_classes(name: str, count: int) -> None:
    network = classifier_network(name, 5, seed=0)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("name", sorted(SIDES))
def test_mean_of_the_class_activation_map_plus_bias_is_the_logit(name: str) -> None:
    network = classifier_network(name, 5, seed=1).eval()
    images = torch.rand(2, 3, SIDES[name], SIDES[name], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, maps, pooled = network.views(images)
        cams = torch.einsum("ck,nkyx->ncyx", network.head.weight, maps)
        # The network's own way from images to logits, which knows of no maps.
        straight = network.body((images - network.mean) / network.std)
        from_maps = cams.mean(dim=(2, 3)) + network.head.bias
    np.testing.assert_allclose(from_maps, logits, atol=1e-4)
    np.testing.assert_allclose(straight, logits, atol=1e-4)
    np.testing.assert_allclose(maps.mean(dim=(2, 3)), pooled, atol=1e-6)


def test_same_seed_same_weights_and_the_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    one, two, other = (classifier_network("small", 3, seed=seed) for seed in (4, 4, 5))
    assert torch.rand(1) == before
    assert torch.equal(one.head.weight, two.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)


@pytest.mark.parametrize("side", [96, 299])
def test_auxiliary_head_of_inception(side: int) -> None:
    network = classifier_network("inception_v3", 5, seed=0, auxiliary=True)
    normalized = [m for m in network.body.AuxLogits.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(normalized) == 2
    network.train()
    images = torch.rand(2, 3, side, side)
    with torch.no_grad():
        logits, beside = network.learning(images)
    assert logits.shape == (2, 5)
    assert beside is not None
    assert beside.shape == (2, 5)
    assert classifier_network("resnet50", 5, seed=0).learning(images)[1] is None


def test_shipped_weights_give_the_shipped_features() -> None:
    network = classifier_network("small", 5, seed=0)
    assert isinstance(network.body, SmallClassifier)
    network.body.fill(SHIPPED)
    network.train()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 224, 224)).astype(np.uint8)
    with torch.no_grad():
        seen = (torch.from_numpy(pixels).float() / 255 - network.mean) / network.std
        means = lite.feature_maps(network.body.trunk, seen, BLOCKS).mean(dim=(2, 3))
    session = onnxruntime.InferenceSession(str(SHIPPED), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    # In training mode too: the trunk is left as it is.
    np.testing.assert_allclose(means / means.norm(dim=1, keepdim=True), wanted, atol=1e-5)
    assert network.body.normalize.training
    learned = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert learned == ["body.normalize.weight", "body.normalize.bias", "body.fc.weight", "body.fc.bias"]


@pytest.mark.parametrize(("side", "cells"), [(128, 8), (100, 7), (33, 3), (32, 2)])
def test_small_network_takes_any_side_from_32(side: int, cells: int) -> None:
    network = classifier_network("small", 5, seed=0).eval()
    with torch.no_grad():
        assert network.views(torch.rand(1, 3, side, side))[1].shape == (1, 384, cells, cells)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    body = SmallClassifier(5)
    (tmp_path / "noise.onnx").write_bytes(b"no network")
    with pytest.raises(EncoderError, match="cannot be read"):
        body.fill(tmp_path / "noise.onnx")
    helper, shape = onnx.helper, [1, 3, 8, 8]
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y")]
    stored = [
        onnx.numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w"),
        onnx.numpy_helper.from_array(np.ones(3, np.float32), "b"),
    ]
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"])
    graph = helper.make_graph([node], "one", values[:1], values[1:], stored)
    onnx.save(helper.make_model(graph), str(tmp_path / "other.onnx"))
    with pytest.raises(EncoderError, match="belong to another network"):
        body.fill(tmp_path / "other.onnx")
