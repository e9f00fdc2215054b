"""StainNet as a PyTorch module, for training. What is trained runs without PyTorch: see ``nets/stainnet.py``."""

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import nn

from histokin.errors import UsageError
from histokin.nets.stainnet import Layer, StainNetWeights


def kernel_sides(layers: int = 3, wide: int = 0) -> tuple[int, ...]:
    """Sides of the kernels when ``wide`` of the layers are 3x3: the first ones, the others stay 1x1.

    The paper's ablation does not say which layers it replaces; from the first onwards is our reading.
    """
    if not 0 <= wide <= layers:
        raise UsageError(f"{wide} of {layers} layers are to be 3x3", remedy=f"Give 0 to {layers}")
    return (3,) * wide + (1,) * (layers - wide)


@final
class StainNetModule(nn.Module):  # type: ignore[misc]
    """Convolutions with ReLU between them and nothing after the last: "n 3 h w" in -1 to 1 on both sides.

    Parameters
    ----------
    kernels : side of each layer's kernel, odd; one layer each. Zeros are seen beyond the edges.
    channels : width of the layers between the first and the last.
    inputs, outputs : channels of the images.

    The usual values are the published network of 1283 parameters. Raises :class:`UsageError` for other sizes.
    Source: H. Kang et al., StainNet: a fast and robust stain normalization network, Frontiers in Medicine 2021.
    """

    def __init__(
        self, kernels: tuple[int, ...] = (1, 1, 1), channels: int = 32, *, inputs: int = 3, outputs: int = 3
    ) -> None:
        super().__init__()
        if not kernels or any(side < 1 or side % 2 == 0 for side in kernels) or min(channels, inputs, outputs) < 1:
            raise UsageError(
                f"a StainNet with kernels {kernels} and {channels} channels", remedy="Give odd kernel sides, such as 1"
            )
        self.kernels, self.channels = kernels, channels
        sizes = [inputs, *[channels] * (len(kernels) - 1), outputs]
        self.layers = nn.ModuleList(
            nn.Conv2d(sizes[i], sizes[i + 1], side, padding=side // 2) for i, side in enumerate(kernels)
        )

    def forward(self, images: Float[torch.Tensor, "n _ h w"]) -> Float[torch.Tensor, "n _ h w"]:
        for layer in self.layers[:-1]:
            images = torch.relu(layer(images))
        made: torch.Tensor = self.layers[-1](images)
        return made


def initialize(network: StainNetModule, draws: torch.Generator) -> None:
    """PyTorch's usual start for convolutions (uniform within 1/sqrt(inputs of a neuron)), from ``draws``."""
    for layer in network.layers:
        bound = layer.weight[0].numel() ** -0.5
        nn.init.uniform_(layer.weight, -bound, bound, generator=draws)
        nn.init.uniform_(layer.bias, -bound, bound, generator=draws)


def to_weights(network: StainNetModule, metadata: Mapping[str, str] | None = None) -> StainNetWeights:
    """The numbers of the module, to be written or run without PyTorch."""
    layers = tuple(
        Layer(layer.weight.detach().float().cpu().numpy().copy(), layer.bias.detach().float().cpu().numpy().copy())
        for layer in network.layers
    )
    return StainNetWeights(layers, dict(metadata or {}))


def from_weights(weights: StainNetWeights) -> StainNetModule:
    """A module with these numbers. Raises :class:`UsageError` when its hidden layers differ in width."""
    widths = {layer.weight.shape[0] for layer in weights.layers[:-1]} or {1}
    if len(widths) > 1:
        raise UsageError(
            f"a StainNet with layers of {sorted(widths)} channels", remedy="Start from one whose layers are alike"
        )
    network = StainNetModule(tuple(layer.side for layer in weights.layers), int(widths.pop()))
    with torch.no_grad():
        for layer, given in zip(network.layers, weights.layers, strict=True):
            layer.weight.copy_(torch.from_numpy(given.weight.copy()))
            layer.bias.copy_(torch.from_numpy(given.bias.copy()))
    return network
