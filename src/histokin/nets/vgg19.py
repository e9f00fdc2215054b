"""VGG19 with a head for other classes than ImageNet's; the network itself is torchvision's (extra ``torch``)."""

from pathlib import Path

import torch
from torch import nn

from histokin.errors import EncoderError
from histokin.nets.torchvision_compat import torchvision_models

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colors in 0 to 1: what the official weights were trained with."""


def vgg19(classes: int, *, pooled: bool = False) -> nn.Module:
    """VGG19 with random weights: "n 3 h w" (standardized) to logits "n classes".

    ``pooled`` replaces the two layers of 4096 (120 of the 140 million parameters) by the mean of the last map; the
    input may then be smaller than 224 pixels. With 1000 classes and the layers in place it has 143,667,240 parameters.
    """
    network: nn.Module = torchvision_models().vgg19(weights=None, num_classes=classes)
    if pooled:
        network.avgpool = nn.AdaptiveAvgPool2d(1)
        network.classifier = nn.Linear(512, classes)
    return network


def read_start(path: Path, network: nn.Module) -> None:
    """Load the convolutions of an ImageNet state dictionary of torchvision's into ``network``.

    Raises
    ------
    EncoderError
        when the file cannot be read or has other tensors.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        features = {k.removeprefix("features."): v for k, v in stored.items() if k.startswith("features.")}
        network.features.load_state_dict(features)
    except Exception as error:  # torch raises a dozen kinds for files that are not its own
        raise EncoderError(
            f"the weights cannot be used for VGG19 ({type(error).__name__})",
            path=path,
            remedy="Give torchvision's vgg19 state dictionary",
        ) from None
