"""pix2pix's networks: the U-Net that draws and the patch discriminator that sees both images. PyTorch.

Source: P. Isola et al., Image-to-image translation with conditional adversarial networks, CVPR 2017.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import nn

from histokin.errors import UsageError

SPREAD = 0.02
"""Standard deviation of the weights at the start."""

Planes = Float[torch.Tensor, "n _ _ _"]


@final
class UnetGenerator(nn.Module):  # type: ignore[misc]
    """Image to image of the same size: float32 "n inputs h w" to "n outputs h w", both in -1 to 1.

    Parameters
    ----------
    width : channels of the first level; they double to eight times as many.
    downs : how often the sides are halved; they are multiples of 2 to that power (256 as published). Levels between
        the fifth and the last but one drop half of their features while training.

    With the usual values it has 54,413,955 parameters for 3 channels to 3, 54,409,857 for 3 to 1.
    Raises :class:`UsageError` for sizes below 1, or fewer than 2 levels.
    """

    def __init__(self, inputs: int = 3, outputs: int = 3, *, width: int = 64, downs: int = 8) -> None:
        super().__init__()
        if min(inputs, outputs, width) < 1 or downs < 2:
            raise UsageError(
                f"a U-Net of width {width}, {downs} levels, {inputs} to {outputs} channels",
                remedy="Give a width and channels of at least 1, and at least 2 levels",
            )
        widths = [width * min(2**level, 8) for level in range(downs)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, wide in enumerate(widths):
            before = inputs if level == 0 else widths[level - 1]
            last = level == downs - 1
            layers: list[nn.Module] = [] if level == 0 else [nn.LeakyReLU(0.2)]
            layers.append(nn.Conv2d(before, wide, 4, stride=2, padding=1, bias=False))
            layers += [] if level == 0 or last else [nn.BatchNorm2d(wide)]
            self.down.append(nn.Sequential(*layers))
        for level in reversed(range(downs)):
            wide = widths[level] * (1 if level == downs - 1 else 2)
            after = outputs if level == 0 else widths[level - 1]
            layers = [nn.ReLU(), nn.ConvTranspose2d(wide, after, 4, stride=2, padding=1, bias=level == 0)]
            layers += [nn.Tanh()] if level == 0 else [nn.BatchNorm2d(after)]
            if 4 <= level < downs - 1:
                layers.append(nn.Dropout(0.5))
            self.up.append(nn.Sequential(*layers))

    def forward(self, images: Planes) -> Planes:
        features, skips = images, []
        for layer in self.down:
            features = layer(features)
            skips.append(features)
        skips.pop()
        for layer in self.up:
            features = layer(features)
            if skips:
                features = torch.cat([skips.pop(), features], dim=1)
        return features


@final
class PairDiscriminator(nn.Module):  # type: ignore[misc]
    """Tells real from made pairs, for each patch of 70 x 70 pixels: "n c h w" to "n 1 h' w'" (no sigmoid).

    ``inputs`` counts the channels of both images. With the usual values it has 2,768,705 parameters for 6 channels,
    2,766,657 for 4.
    """

    def __init__(self, inputs: int = 6, *, width: int = 64) -> None:
        super().__init__()
        if min(inputs, width) < 1:
            raise UsageError(f"a discriminator of width {width}, {inputs} channels", remedy="Give at least 1 of each")
        layers: list[nn.Module] = [nn.Conv2d(inputs, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for wide, stride in ((2 * width, 2), (4 * width, 2), (8 * width, 1)):
            layers += [nn.Conv2d(wide // 2, wide, 4, stride=stride, padding=1, bias=False), nn.BatchNorm2d(wide)]
            layers.append(nn.LeakyReLU(0.2))
        layers.append(nn.Conv2d(8 * width, 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, pairs: Planes) -> Float[torch.Tensor, "n 1 _ _"]:
        made: torch.Tensor = self.layers(pairs)
        return made


def initialize(network: nn.Module, draws: torch.Generator) -> None:
    """Draw convolutions from N(0, 0.02) and scales of normalizations from N(1, 0.02); biases are zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, SPREAD, generator=draws)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, SPREAD, generator=draws)
            nn.init.zeros_(module.bias)
