"""The autoencoder of content-based medical image retrieval, in torch (extra ``torch``).

Strided 3x3 convolutions of 128 filters down to a latent vector of 48 numbers, and the mirror image back. The paper
leaves depth, input size, batch normalization and the output's activation open; the usual values here are three
layers at 128 pixels with batch normalization and a sigmoid.
"""

from typing import NamedTuple, final

import torch
from torch import Tensor, nn

FILTERS, LATENT, SIDE, LAYERS = 128, 48, 128, 3


@final
class Reconstruction(NamedTuple):
    """The image made again ("n 3 h w", 0 to 1) and the latent vectors it was made from ("n 48")."""

    image: Tensor
    features: Tensor


@final
class CbmirAutoencoder(nn.Module):  # type: ignore[misc]
    """Image "n 3 side side" (0 to 1) to 48 numbers and back; 3,923,507 parameters without batch normalization.

    Parameters
    ----------
    side : pixels of the square input, a multiple of ``2 ** layers``.
    layers : convolutions, each halving the side.
    latent : numbers in the middle.
    batch_norm : after every activation.
    """

    def __init__(
        self, side: int = SIDE, *, layers: int = LAYERS, latent: int = LATENT, batch_norm: bool = True
    ) -> None:
        super().__init__()
        small = side >> layers
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for number in range(layers):
            norm = [nn.BatchNorm2d(FILTERS)] if batch_norm else []
            other = [nn.BatchNorm2d(FILTERS)] if batch_norm else []
            down += [nn.Conv2d(3 if number == 0 else FILTERS, FILTERS, 3, 2, 1), nn.LeakyReLU(0.2), *norm]
            up += [nn.ConvTranspose2d(FILTERS, FILTERS, 3, 2, 1, output_padding=1), nn.LeakyReLU(0.2), *other]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(FILTERS * small * small, latent))
        self.decoder = nn.Sequential(
            nn.Linear(latent, FILTERS * small * small),
            nn.Unflatten(1, (FILTERS, small, small)),
            *up,
            nn.ConvTranspose2d(FILTERS, 3, 3, 1, 1),
        )

    def forward(self, image: Tensor) -> Reconstruction:
        features = self.encoder(image)
        return Reconstruction(torch.sigmoid(self.decoder(features)), features)


def learning_rate(step: int, start: float = 1e-3, decay: float = 2e-5) -> float:
    """The published decay, counted per step and not per epoch: ``start / (1 + decay * step)``."""
    return start / (1 + decay * step)
