"""The DCNN comparator: a small convolutional classifier. PyTorch."""

from typing import final

import torch
from jaxtyping import Float
from torch import nn

WIDTHS = (32, 64, 128, 256)
LEAST_SIDE = 2 ** len(WIDTHS)


@final
class Dcnn(nn.Module):  # type: ignore[misc]
    """Four times convolution 3x3, batch normalization, ReLU, max-pooling 2x2; mean over the map; one linear layer.

    "n 3 h w" (sides from 16 pixels) to logits "n classes". The content-based medical image retrieval paper compares
    itself with a "DCNN" and does not describe it; this one is our reading: 32, 64, 128 and 256 channels, 390,404
    parameters with four classes.
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((3, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(WIDTHS[-1], num_classes)

    def features(self, images: Float[torch.Tensor, "n 3 _ _"]) -> Float[torch.Tensor, "n 256"]:
        """What the last layer sees: the mean of the last map."""
        found: torch.Tensor = self.avgpool(self.body(images)).flatten(1)
        return found

    def forward(self, images: Float[torch.Tensor, "n 3 _ _"]) -> Float[torch.Tensor, "n _"]:
        logits: torch.Tensor = self.fc(self.features(images))
        return logits
