"""CoMIR's network: a densely connected U-Net from an image of one modality to an image of the shared space. PyTorch.

Source: N. Pielawski et al., CoMIR: Contrastive multimodal image representation for registration, NeurIPS 2020; the
network is the hundred-layer tiramisu of S. Jégou et al., CVPR workshops 2017.
"""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import nn

from histokin.errors import UsageError
from histokin.nets.comir_shape import PUBLISHED, DenseUnetShape

Maps = Float[torch.Tensor, "n _ h w"]


@final
class DenseUnet(nn.Module):  # type: ignore[misc]
    """Image to image of the same size: float32 "n inputs h w" in 0 to 1 to "n latent h w", unbounded.

    The sides are multiples of ``shape.multiple`` (64 as published). The published network from 1 channel to 1 has
    1,053,244 parameters, from 3 to 1 1,053,820, from 1 to 3 1,053,596.

    Raises
    ------
    UsageError
        for sizes that make no network.
    """

    def __init__(self, inputs: int, latent: int = 1, shape: DenseUnetShape = PUBLISHED) -> None:
        super().__init__()
        _check(inputs, latent, shape)
        channels = shape.first
        self.first = nn.Conv2d(inputs, channels, 3, padding=1)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        skips: list[int] = []
        for layers in shape.blocks:
            block = DenseBlock(channels, layers, shape, keep_input=True)
            skips.append(block.outputs)
            channels = int(shape.compression * block.outputs)
            self.down.append(block)
            self.shrink.append(_halving(block.outputs, channels, shape.dropout))
        self.middle = DenseBlock(channels, shape.bottleneck, shape, keep_input=False)
        channels = self.middle.outputs
        self.widen, self.up = nn.ModuleList(), nn.ModuleList()
        for i, layers in enumerate(shape.up):
            self.widen.append(nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()))
            last = i == len(shape.up) - 1
            block = DenseBlock(skips[-1 - i] + channels, layers, shape, keep_input=last)
            self.up.append(block)
            channels = block.outputs
        self.last = nn.Conv2d(channels, latent, 1, bias=False)

    def forward(self, images: Maps) -> Maps:
        features = self.first(images)
        skips: list[torch.Tensor] = []
        for block, halve in zip(self.down, self.shrink, strict=True):
            features = block(features)
            skips.append(features)
            features = halve(features)
        features = self.middle(features)
        for widen, block in zip(self.widen, self.up, strict=True):
            larger = nn.functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = block(torch.cat([skips.pop(), widen(larger)], dim=1))
        made: torch.Tensor = self.last(features)
        return made


@final
class DenseBlock(nn.Module):  # type: ignore[misc]
    """Layers that each see the input and all earlier layers' maps; gives the new maps, after the input if asked to."""

    def __init__(self, inputs: int, layers: int, shape: DenseUnetShape, *, keep_input: bool) -> None:
        super().__init__()
        self._kept = keep_input
        self._inputs = inputs
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(inputs + i * shape.growth),
                nn.ReLU(),
                nn.Conv2d(inputs + i * shape.growth, shape.growth, 3, padding=1),
                *([nn.Dropout(shape.dropout)] if shape.dropout else []),
            )
            for i in range(layers)
        )
        self.outputs = layers * shape.growth + (inputs if keep_input else 0)

    def forward(self, features: Maps) -> Maps:
        whole = features
        for layer in self.layers:
            whole = torch.cat([whole, layer(whole)], dim=1)
        return whole if self._kept else whole[:, self._inputs :]


def _halving(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    drop = [nn.Dropout2d(dropout)] if dropout else []
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, 1), *drop, nn.MaxPool2d(2))


def _check(inputs: int, latent: int, shape: DenseUnetShape) -> None:
    sizes: Sequence[int] = (inputs, latent, shape.first, shape.growth, shape.bottleneck, *shape.blocks, *shape.up)
    if min(sizes) < 1 or len(shape.blocks) != len(shape.up) or not shape.blocks or not 0 < shape.compression <= 1:
        raise UsageError(
            f"no dense U-Net has {inputs} channels in, {latent} out and the sizes {shape}",
            remedy="Give sizes of at least 1, as many blocks up as down, and a compression above 0, at most 1",
        )
