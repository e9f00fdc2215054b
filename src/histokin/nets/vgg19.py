"""VGG19 with a smaller head, and its start from ImageNet's convolutions (extra ``torch``)."""

from pathlib import Path

from torch import nn

from histokin.errors import EncoderError
from histokin.nets.backbones import build
from histokin.nets.state_dict import read_state

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colors in 0 to 1: what the official weights were trained with."""


def vgg19(classes: int, *, pooled: bool = False) -> nn.Module:
    """VGG19 with random weights: "n 3 h w" (standardized) to logits "n classes".

    ``pooled`` replaces the two layers of 4096 (120 of the 140 million parameters) by the mean of the last map; the
    input may then be smaller than 224 pixels.
    """
    network: nn.Module = build("vgg19", classes)
    if pooled:
        network.avgpool = nn.AdaptiveAvgPool2d(1)
        network.classifier = nn.Linear(512, classes)
    return network


def read_start(path: Path, network: nn.Module) -> None:
    """Load the convolutions of torchvision's state dictionary of VGG19 into ``network``.

    Raises
    ------
    EncoderError
        when the file cannot be read or has other tensors.
    """
    stored = read_state(path)
    try:
        network.features.load_state_dict(
            {name.removeprefix("features."): value for name, value in stored.items() if name.startswith("features.")}
        )
    except RuntimeError:
        raise EncoderError(
            "the weights are not those of VGG19", path=path, remedy="Give torchvision's vgg19 state dictionary"
        ) from None
