"""ResNet channels as local features: counts, sizes, values, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from histokin.encoders.resnet_channels import ResNetChannels
from histokin.errors import EncoderError
from histokin.nets import backbones
from histokin.nets.backbones import build

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def small() -> ResNetChannels:
    return ResNetChannels("random", network="resnet50")


def picture(side: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, channels), dtype=np.uint8)


def test_parameters_of_the_network() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in build("resnet152").parameters()) == 60_192_808


@pytest.mark.parametrize(("network", "side"), [("resnet152", 256), ("resnet50", 834), ("resnet50", 40)])
def test_2048_descriptors_of_64_whatever_the_size(network: str, side: int) -> None:
    described = ResNetChannels("random", network=network)
    points = described.describe(picture(side))
    assert points.descriptors.shape == (2048, 64)
    assert (points.descriptors >= 0).all()
    np.testing.assert_allclose(points.strength, points.descriptors.sum(axis=1), rtol=1e-5)
    assert (points.xy == (side - 1) / 2).all()
    assert described.dim == 64


def test_the_cells_are_the_map_of_torchvision(small: ResNetChannels) -> None:
    """At 256 pixels the map has 8 x 8 places already."""
    image = picture(256, seed=3)
    mean, std = (torch.tensor(v)[:, None, None] for v in (backbones.IMAGENET_MEAN, backbones.IMAGENET_STD))
    batch = ((torch.from_numpy(image.copy()).permute(2, 0, 1) / 255 - mean) / std)[None]
    network = build("resnet50", seed=0)
    body = torch.nn.Sequential(*list(network.children())[:-2])
    with torch.inference_mode():
        wanted = body(batch)[0].reshape(2048, 64).numpy()
    np.testing.assert_allclose(small.describe(image).descriptors, wanted, rtol=1e-3, atol=1e-5)


def test_gray_is_three_equal_channels(small: ResNetChannels) -> None:
    gray = picture(64, 1)
    before = gray.copy()
    np.testing.assert_array_equal(
        small.describe(gray).descriptors, small.describe(np.repeat(gray, 3, axis=2)).descriptors
    )
    np.testing.assert_array_equal(gray, before)


def test_the_space_names_weights_and_says_random(small: ResNetChannels, tmp_path: Path) -> None:
    assert small.name == "resnet50-channels"
    assert small.weights == "random"
    assert small.space.startswith("resnet50-channels/random-")
    file = tmp_path / "mine.pth"
    torch.save(build("resnet50", 5, seed=1).state_dict(), file)
    own = ResNetChannels(file, network="resnet50")
    assert "random" not in own.space
    assert own.space != small.space


def test_refusals(small: ResNetChannels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="cannot be encoded"):
        small.describe(np.zeros((64, 64, 2), np.uint8))
    with pytest.raises(EncoderError, match="cannot be encoded"):
        small.describe(np.zeros((64, 64, 3), np.float32))
    with pytest.raises(EncoderError, match="has no such channels"):
        ResNetChannels("random", network="vgg19")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HISTOKIN_OFFLINE", "1")
    with pytest.raises(EncoderError, match="resnet152' are not on this computer"):
        ResNetChannels()
