"""CycleGAN's networks: the residual generator and the patch discriminator. PyTorch.

Source: J.-Y. Zhu et al., Unpaired image-to-image translation using cycle-consistent adversarial networks,
ICCV 2017; as used for stains by M. T. Shaban et al., StainGAN, ISBI 2019.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import nn

from histokin.errors import UsageError

SPREAD = 0.02
"""Standard deviation of the weights at the start."""


@final
class Residual(nn.Module):  # type: ignore[misc]
    """Two mirrored 3x3 convolutions whose result is added to the input."""

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        between = [nn.Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(
            *(nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width), nn.ReLU()),
            *between,
            *(nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)),
        )

    def forward(self, features: Float[torch.Tensor, "n c h w"]) -> Float[torch.Tensor, "n c h w"]:
        return features + self.layers(features)


@final
class ResnetGenerator(nn.Module):  # type: ignore[misc]
    """Image to image of the same size: float32 "n c h w" in -1 to 1, sides multiples of 4, at least 16.

    Parameters
    ----------
    inputs, outputs : channels of the two images.
    width : channels after the first convolution; four times as many in the middle.
    blocks : residual blocks in the middle.
    dropout : share of features dropped within each residual block while training; 0 leaves the layer out.

    With the usual values it has 11,378,179 parameters. Instance normalization has no learned scale, and
    convolutions keep their biases. Raises :class:`UsageError` for sizes below 1.
    """

    def __init__(
        self, inputs: int = 3, outputs: int = 3, *, width: int = 64, blocks: int = 9, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if min(inputs, outputs, width) < 1 or blocks < 0:
            raise UsageError(
                f"a generator of width {width}, {blocks} blocks, {inputs} to {outputs} channels",
                remedy="Give a width and channels of at least 1",
            )
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), *_normed(nn.Conv2d(inputs, width, 7), width)]
        for wide in (2 * width, 4 * width):
            layers += _normed(nn.Conv2d(wide // 2, wide, 3, stride=2, padding=1), wide)
        layers += [Residual(4 * width, dropout) for _ in range(blocks)]
        for wide in (2 * width, width):
            up = nn.ConvTranspose2d(2 * wide, wide, 3, stride=2, padding=1, output_padding=1)
            layers += _normed(up, wide)
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Float[torch.Tensor, "n _ h w"]) -> Float[torch.Tensor, "n _ h w"]:
        made: torch.Tensor = self.layers(images)
        return made


@final
class PatchDiscriminator(nn.Module):  # type: ignore[misc]
    """Tells real from made, for each overlapping patch of 70 x 70 pixels: "n c h w" to "n 1 h' w'" (no sigmoid).

    An image of side s gives s / 8 - 2 answers a side; s is at least 32. With the usual values it has 2,764,737
    parameters.
    """

    def __init__(self, inputs: int = 3, *, width: int = 64) -> None:
        super().__init__()
        if min(inputs, width) < 1:
            raise UsageError(f"a discriminator of width {width}, {inputs} channels", remedy="Give at least 1 of each")
        layers: list[nn.Module] = [nn.Conv2d(inputs, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for wide, stride in ((2 * width, 2), (4 * width, 2), (8 * width, 1)):
            layers += [nn.Conv2d(wide // 2, wide, 4, stride=stride, padding=1), nn.InstanceNorm2d(wide)]
            layers.append(nn.LeakyReLU(0.2))
        layers.append(nn.Conv2d(8 * width, 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Float[torch.Tensor, "n _ _ _"]) -> Float[torch.Tensor, "n 1 _ _"]:
        made: torch.Tensor = self.layers(images)
        return made


def initialize(network: nn.Module, draws: torch.Generator) -> None:
    """Draw all convolution weights from N(0, 0.02) and set their biases to zero; the same for the same ``draws``."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, SPREAD, generator=draws)
            nn.init.zeros_(module.bias)


def parameter_count(network: nn.Module) -> int:
    """How many numbers the network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def _normed(convolution: nn.Module, width: int) -> list[nn.Module]:
    return [convolution, nn.InstanceNorm2d(width), nn.ReLU()]
