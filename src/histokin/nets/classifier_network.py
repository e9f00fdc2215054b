"""The four classifiers as one kind of network: last maps, their means, logits; and an auxiliary head. PyTorch."""

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import nn

from histokin.nets import backbones
from histokin.nets.small_classifier import MEAN, STD, SmallClassifier

AUXILIARY_GRID = 17
"""Side of the map that InceptionV3's auxiliary head was made for: that of images of 299 pixels."""

Color = tuple[float, float, float]


@final
class ClassifierNetwork(nn.Module):  # type: ignore[misc]
    """A body that ends in maps, their mean, and one linear layer.

    :meth:`forward` gives logits "n c" for images "n 3 h w" in 0 to 1; :meth:`views` also the maps behind them.
    """

    def __init__(self, body: nn.Module, mean: Color, std: Color) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(1, 3, 1, 1), persistent=False)

    @property
    def head(self) -> nn.Linear:
        """The linear layer: a row of weights and a bias for each class."""
        found: nn.Linear = backbones.head(self.body)
        return found

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """The last maps, "n k gh gw", as they are averaged."""
        seen = (images - self.mean) / self.std
        if isinstance(self.body, SmallClassifier):
            return self.body.maps(seen)
        found: torch.Tensor = backbones.last_map(self.body, seen)
        return found

    def views(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits "n c", maps "n k gh gw", and the maps' means "n k"."""
        maps = self.maps(images)
        pooled = maps.mean(dim=(2, 3))
        return self.head(pooled), maps, pooled

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.views(images)[0]

    def learning(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Logits as training sees them, dropout included where the network has it, and those of the auxiliary head."""
        if getattr(self.body, "AuxLogits", None) is None:
            maps, side = self.maps(images), None
        else:
            maps, side = self._with_auxiliary((images - self.mean) / self.std)
        pooled = maps.mean(dim=(2, 3))
        dropout = getattr(self.body, "dropout", None)
        return self.head(pooled if dropout is None else dropout(pooled)), side

    def _with_auxiliary(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        side = torch.empty(0)
        for name, part in self.body.named_children():
            if name == "avgpool":
                break
            if name != "AuxLogits":
                x = part(x)
                continue
            grown = x
            if x.shape[-1] < AUXILIARY_GRID:
                # Smaller images leave too small a map for the head's convolution of 5x5.
                shape = (AUXILIARY_GRID, AUXILIARY_GRID)
                grown = nn.functional.interpolate(x, shape, mode="bilinear", align_corners=False)
            side = part(grown)
        return x, side


def classifier_network(
    name: str, classes: int, *, seed: int, auxiliary: bool = False, scaling: Sequence[Color] | None = None
) -> ClassifierNetwork:
    """The network with random weights drawn from ``seed``, for RGB images in 0 to 1.

    Parameters
    ----------
    name : ``small``, or a backbone that ends in a mean and one linear layer.
    auxiliary : InceptionV3 with its auxiliary head, which only training uses.
    scaling : mean and standard deviation to standardize with; None for the network's own.

    Raises
    ------
    UnknownName
        when there is no such network.
    """
    if name == "small":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            body: Any = SmallClassifier(classes)
        mean, std = (MEAN,) * 3, (STD,) * 3
    else:
        known = backbones.backbone(name)
        body = backbones.build(name, classes, seed=seed, aux=auxiliary and name == "inception_v3")
        mean, std = known.mean, known.std
    if scaling is not None:
        mean, std = scaling
    return ClassifierNetwork(body, mean, std)
