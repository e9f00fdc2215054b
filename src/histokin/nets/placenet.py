"""PlaceNet's network: a small U-Net from an image to one in which places are told apart. PyTorch."""

from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float
from torch import nn

from histokin.errors import UsageError

Maps = Float[torch.Tensor, "n _ h w"]

MOST = 8
"""Levels below the fourth have no more channels than it: ``width`` times this."""


@final
class PlaceNet(nn.Module):  # type: ignore[misc]
    """Image to image of the same size: float32 "n inputs h w" in 0 to 1 to "n latent h w", unbounded.

    It computes at half the size (:meth:`coarse`) and enlarges the answer; both sides are multiples of
    ``2 ** levels``. What it is trained by sees neither the means of its channels nor a common factor, so these are set
    afterwards (:meth:`settle`): answers of two networks can then be looked at, and stored, on one scale. With width
    16, 3 levels and 3 channels either way it has 476,464 parameters.

    Raises
    ------
    UsageError
        for sizes that make no network.
    """

    def __init__(self, inputs: int, latent: int = 3, width: int = 16, levels: int = 3) -> None:
        super().__init__()
        if min(inputs, latent, width, levels) < 1:
            raise UsageError(
                f"no PlaceNet has {inputs} channels in, {latent} out, width {width} and {levels} levels",
                remedy="Give numbers of at least 1",
            )
        widths = [width * min(2**level, MOST) for level in range(levels + 1)]
        self.first = _layer(inputs, width)
        self.down = nn.ModuleList(
            nn.Sequential(_layer(fine, coarse), _layer(coarse, coarse)) for fine, coarse in pairwise(widths)
        )
        self.up = nn.ModuleList(
            nn.Sequential(
                _layer(widths[level + 1] + widths[level], widths[level]), _layer(widths[level], widths[level])
            )
            for level in range(levels - 1, 0, -1)
        )
        self.last = nn.Conv2d(widths[1], latent, 1, bias=False)
        self.register_buffer("mean", torch.zeros(latent, 1, 1))
        self.register_buffer("spread", torch.ones(()))

    def settle(self, mean: Float[torch.Tensor, "_"], spread: float) -> None:
        """From now on take the ``mean`` of each channel off the answer, and divide it by ``spread``."""
        device = self.mean.device
        self.mean += self.spread * mean.to(device)[:, None, None]
        self.spread *= max(spread, 1e-6)

    def coarse(self, images: Maps) -> Float[torch.Tensor, "n _ _ _"]:
        """The answer at half the size, with whatever means its channels have."""
        features = self.first(images)
        levels: list[torch.Tensor] = []
        for block in self.down:
            features = block(nn.functional.max_pool2d(features, 2))
            levels.append(features)
        features = levels.pop()
        for block in self.up:
            larger = nn.functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = block(torch.cat([larger, levels.pop()], dim=1))
        made: torch.Tensor = self.last(features)
        return made

    def forward(self, images: Maps) -> Maps:
        larger: torch.Tensor = nn.functional.interpolate(
            (self.coarse(images) - self.mean) / self.spread, scale_factor=2.0, mode="bilinear", align_corners=False
        )
        return larger


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect", bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
