"""Backbones as encoders: where weights come from, what the name and the space say, and the contract."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histokin.encoders import backbone, weight_files
from histokin.encoders.registry import chosen, encoder
from histokin.errors import EncoderError, UsageError
from histokin.nets import backbones
from histokin.nets.backbones import BACKBONES, build
from histokin.testing.encoders import check_encoder
from histokin.types import RGB

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights on this computer, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def picture(seed: int = 0) -> RGB:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def saved(path: Path, network: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.parametrize("name", ["dcnn", "resnet50"])
def test_contract(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On small images, to save time."""
    monkeypatch.setattr(backbones, "BACKBONES", {name: replace(BACKBONES[name], input_px=64)})
    check_encoder(encoder(name, weights="random"))


def test_random_weights_are_called_random_and_are_always_the_same() -> None:
    first, second = (encoder("densenet121", weights="random", threads=n) for n in (1, 2))
    assert first.spec == second.spec
    assert first.spec.name == "densenet121-random"
    assert first.spec.space.startswith("densenet121/random-")
    assert "random" in first.spec.licence
    assert first.spec.dim == 1024
    np.testing.assert_array_equal(first.encode([picture()]), second.encode([picture()] * 2)[1:])


def test_standardization_by_hand(tmp_path: Path) -> None:
    """A network whose vector is the mean of each standardized channel, as far as its rectifiers let it through."""
    network = build("dcnn", 3)
    with torch.no_grad():
        for layer in network.body:
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.zero_()
                layer.bias.zero_()
                for channel in range(3):
                    layer.weight[channel, channel, 1, 1] = 1
    made = encoder("dcnn", weights=saved(tmp_path / "mean.pth", network))
    image = np.full((224, 224, 3), (255, 51, 102), np.uint8)
    vector = made.encode([image])[0]
    scale = (1 + 1e-5) ** -2  # four batch normalizations with a variance of one
    np.testing.assert_allclose(vector[:3], np.array([1.0, 0.2, 0.4]) * scale, rtol=1e-5)
    assert not vector[3:].any()


def test_the_vector_is_the_networks_embedding_of_torchvisions_input() -> None:
    made, image = encoder("resnet50", weights="random"), np.resize(picture(3), (224, 224, 3))
    mean, std = (torch.tensor(v)[:, None, None] for v in (backbones.IMAGENET_MEAN, backbones.IMAGENET_STD))
    tensor = (torch.from_numpy(image.copy()).permute(2, 0, 1) / 255 - mean) / std
    with torch.inference_mode():
        wanted = backbones.embedding(build("resnet50", seed=backbone.SEED), tensor[None])
    np.testing.assert_allclose(made.encode([image]), wanted.numpy(), rtol=1e-3, atol=1e-5)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.pth", build("dcnn", 9, seed=backbone.SEED))
    made = encoder("dcnn", weights=path)
    assert made.spec.name == "dcnn"
    assert "random" not in made.spec.space
    assert made.spec.licence == "that of its weights"


def test_the_same_body_under_other_classes_is_the_same_space(tmp_path: Path) -> None:
    network = build("dcnn", 9, seed=1)
    first = encoder("dcnn", weights=saved(tmp_path / "a.pth", network)).spec.space
    network.fc = torch.nn.Linear(256, 4)
    assert encoder("dcnn", weights=saved(tmp_path / "b.pth", network)).spec.space == first
    with torch.no_grad():
        network.body[0].bias[0] += 1
    assert encoder("dcnn", weights=saved(tmp_path / "c.pth", network)).spec.space != first


def test_official_files_with_the_names_of_their_time() -> None:
    network = build("densenet121", 3, seed=2)
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if ".denselayer" in name else name: tensor
        for name, tensor in network.state_dict().items()
    }
    assert set(old) != set(network.state_dict())
    assert set(backbone.fitted("densenet121", old)) == set(network.state_dict())
    with_aux = build("inception_v3", 3, seed=2, aux=True).state_dict()
    assert set(backbone.fitted("inception_v3", with_aux)) == set(build("inception_v3", 3).state_dict())


def test_official_weights_offline_say_which_file_and_where(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="weights of encoder 'resnet50' are not on this computer") as caught:
        encoder("resnet50")
    assert "HF_HUB_OFFLINE" in caught.value.reason
    for word in ("resnet50-0676ba61.pth", "https://download.pytorch.org/models/", str(tmp_path / "torch"), "=FILE"):
        assert word in caught.value.remedy


def test_official_weights_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(backbones, "OFFICIAL", "http://127.0.0.1:9/")
    with pytest.raises(EncoderError, match="it cannot be downloaded") as caught:
        encoder("vgg19")
    assert "vgg19-dcbb9e9d.pth" in caught.value.remedy


def test_official_weights_in_the_cache_are_used_and_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = saved(tmp_path / "made.pth", build("dcnn", 4, seed=8))
    name = f"dcnn-{hashlib.sha256(made.read_bytes()).hexdigest()[:8]}.pth"
    known = {**BACKBONES, "dcnn": replace(BACKBONES["dcnn"], file=name)}
    monkeypatch.setattr(backbones, "BACKBONES", known)
    monkeypatch.setattr(weight_files, "BACKBONES", known)
    cached = weight_files.torch_hub_folder() / name
    cached.parent.mkdir(parents=True)
    made.rename(cached)
    assert encoder("dcnn").spec.name == "dcnn"
    cached.write_bytes(cached.read_bytes()[:-1] + b"x")
    with pytest.raises(EncoderError, match="not the official one") as caught:
        encoder("dcnn")
    assert caught.value.path == str(cached)


def test_the_cache_is_pytorchs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Path(torch.hub.get_dir()) / "checkpoints" == weight_files.torch_hub_folder()
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert Path(torch.hub.get_dir()) / "checkpoints" == weight_files.torch_hub_folder()


def test_a_network_without_official_weights() -> None:
    with pytest.raises(EncoderError, match="no official weights of 'dcnn'") as caught:
        encoder("dcnn")
    assert "random" in caught.value.remedy


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EncoderError, match="no such weight file"):
        encoder("resnet50", weights=tmp_path / "none.pth")
    with pytest.raises(EncoderError, match="another network"):
        encoder("resnet50", weights=saved(tmp_path / "dcnn.pth", build("dcnn", 3)))
    torch.save({"a": torch.zeros(2)}, tmp_path / "body.pth")
    with pytest.raises(EncoderError, match="no layer of classes"):
        encoder("dcnn", weights=tmp_path / "body.pth")
    with pytest.raises(UsageError, match="device 'nowhere' cannot be used"):
        encoder("dcnn", weights="random", device="nowhere")
    with pytest.raises(UsageError, match="threads is 0"):
        encoder("dcnn", weights="random", threads=0)
    monkeypatch.setattr(weight_files, "find_spec", lambda name: None)
    with pytest.raises(EncoderError, match="needs torch and torchvision, which is not installed") as caught:
        encoder("dcnn", weights="random")
    assert "pip install 'histokin[torch]'" in caught.value.remedy


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    network = build("dcnn", 3, seed=1)
    with torch.no_grad():
        network.body[0].bias[0] = torch.nan
    with pytest.raises(EncoderError, match="not finite"):
        encoder("dcnn", weights=saved(tmp_path / "nan.pth", network)).encode([picture()])


def test_threads_of_pytorch_are_as_before() -> None:
    before = torch.get_num_threads()
    encoder("dcnn", weights="random", threads=2).encode([picture(n) for n in range(4)])
    assert torch.get_num_threads() == before


def test_names_with_files(tmp_path: Path) -> None:
    assert chosen("resnet50") == ("resnet50", {})
    assert chosen("resnet50=random") == ("resnet50", {"weights": "random"})
    assert chosen(f"uni={tmp_path}/uni.bin") == ("uni", {"weights": tmp_path / "uni.bin"})
    assert chosen(f"cbhir={tmp_path}") == ("cbhir", {"path": tmp_path})
    assert chosen(f"{tmp_path}") == ("onnx", {"path": tmp_path})
    assert chosen("nobody") == ("nobody", {})
    with pytest.raises(UsageError, match="takes no file"):
        chosen("color-histogram=x")


def test_a_smaller_input_is_another_space() -> None:
    own, small = (encoder("alexnet", weights="random", input_px=px) for px in (None, 96))
    assert (own.spec.input_px, small.spec.input_px) == (224, 96)
    assert small.spec.space == own.spec.space.replace("/fp32", "/96px/fp32") != own.spec.space
    one, other = own.encode([picture()]), small.encode([picture()])
    assert one.shape == other.shape
    assert not np.allclose(one, other)
    with pytest.raises(UsageError, match=r"input_px of inception_v3 is 64.*Give 75 to 1024"):
        encoder("inception_v3", weights="random", input_px=64)
