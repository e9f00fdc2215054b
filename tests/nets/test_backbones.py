"""Networks by name: sizes, views, heads."""

import sys
from typing import Any

import pytest

from histokin.errors import EncoderError, UnknownName, UsageError
from histokin.nets import backbones
from histokin.nets.backbones import BACKBONES, build, embedding, head, head_name, last_map, logits
from histokin.nets.state_dict import digest
from histokin.nets.torchvision_compat import torchvision_models

torch = pytest.importorskip("torch")

PUBLISHED = {
    "alexnet": 61_100_840,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "resnet50": 25_557_032,
    "resnet152": 60_192_808,
    "densenet121": 7_978_856,
    "densenet169": 14_149_480,
    "inception_v3": 23_834_568,
}
MAPS = {"alexnet": (256, 6), "inception_v3": (2048, 8), "dcnn": (256, 14)}


def count(network: Any) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def shape_only(name: str, classes: int = 1000, *, aux: bool = False) -> Any:
    """The network without numbers: shapes can be followed through it at no cost."""
    with torch.device("meta"):
        return build(name, classes, aux=aux)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_as_many_parameters_as_published(name: str) -> None:
    assert count(shape_only(name)) == BACKBONES[name].parameters == PUBLISHED[name]


def test_inception_with_its_auxiliary_classifier() -> None:
    assert count(shape_only("inception_v3", aux=True)) == 27_161_264
    with pytest.raises(UsageError, match="no auxiliary classifier"):
        build("resnet50", aux=True)


def test_the_small_network_by_hand() -> None:
    convolutions = sum(9 * a * b + b for a, b in ((3, 32), (32, 64), (64, 128), (128, 256)))
    assert count(shape_only("dcnn", 4)) == convolutions + 2 * 480 + 4 * 257 == 390_404
    assert BACKBONES["dcnn"].parameters == count(shape_only("dcnn"))


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_three_views(name: str) -> None:
    known, network = BACKBONES[name], shape_only(name, 7)
    images = torch.zeros(2, 3, known.input_px, known.input_px, device="meta")
    channels, side = MAPS.get(name, (known.dim if known.dim != 4096 else 512, 7))
    assert last_map(network, images).shape == (2, channels, side, side)
    assert embedding(network, images).shape == (2, known.dim)
    assert logits(network, images).shape == (2, 7)
    assert head(network).weight.shape == (7, known.dim)
    assert network.state_dict()[f"{head_name(network)}.weight"].shape == (7, known.dim)


@pytest.mark.parametrize(("name", "side"), [("alexnet", 80), ("resnet50", 64), ("densenet121", 64), ("dcnn", 32)])
def test_logits_are_those_of_the_whole_network(name: str, side: int) -> None:
    network = build(name, 5, seed=3)
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = network(images)
        close(logits(network, images), whole)
        close(head(network)(embedding(network, images)), whole)
        seen = last_map(network, images)
    assert seen.min() >= 0
    assert whole.std() > 0


def test_inception_sees_what_torchvision_shows_it() -> None:
    ours = build("inception_v3", 5, seed=1)
    theirs = torchvision_models().inception_v3(
        num_classes=5, aux_logits=False, transform_input=True, init_weights=False
    )
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(v)[:, None, None] for v in (backbones.IMAGENET_MEAN, backbones.IMAGENET_STD))
    known = BACKBONES["inception_v3"]
    scaled = (images - torch.tensor(known.mean)[:, None, None]) / torch.tensor(known.std)[:, None, None]
    with torch.inference_mode():
        close(logits(ours, scaled), theirs.eval()((images - mean) / std), 1e-4)


def test_names_sizes_and_colors_are_torchvisions() -> None:
    models = torchvision_models()
    for name, known in BACKBONES.items():
        if not known.file:
            continue
        weights = models.get_model_weights(name).IMAGENET1K_V1
        assert known.url == weights.url
        assert abs(known.megabytes - weights.meta["_file_size"]) < 0.1
        assert weights.transforms().crop_size == [known.input_px]
        if name != "inception_v3":
            assert (weights.transforms().mean, weights.transforms().std) == (list(known.mean), list(known.std))


def test_random_weights_come_from_the_seed_alone() -> None:
    torch.manual_seed(5)
    first = torch.rand(1)
    torch.manual_seed(5)
    made = [digest(build("dcnn", 4, seed=seed)) for seed in (1, 1, 2)]
    assert torch.rand(1) == first
    assert made[0] == made[1] != made[2]


def test_refusals() -> None:
    with pytest.raises(UnknownName, match="no backbone is called 'resnet51'") as caught:
        build("resnet51")
    assert "resnet50" in caught.value.remedy
    with pytest.raises(UsageError, match="classifier for 1 classes"):
        build("dcnn", 1)


def test_a_missing_torchvision_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(EncoderError, match="torchvision cannot be used here") as caught:
        torchvision_models()
    assert "pip install 'histokin[torch]'" in caught.value.remedy


def close(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    assert (a - b).abs().max() <= tolerance * max(1.0, float(b.abs().max()))
