"""The convolutional autoencoder of content-based histopathology retrieval, in torch (extra ``torch``).

Three convolutions down, a residual bottleneck through a single channel, 200 features, three transposed convolutions
up, and a skip connection around it all. The paper gives widths and sizes; strides, activations and the place of the
skip follow the same authors' published network of the same family.
"""

from typing import Any, Literal, NamedTuple, final

import torch
from torch import Tensor, nn

FEATURES = 200
WIDTHS = (16, 32, 64)
SQUEEZE = (32, 16, 1, 64)
SIDE = 224
KERAS_EPS, KERAS_MOMENTUM = 1e-3, 0.01
"""Keras' batch normalization; torch counts the momentum from the other end."""


@final
class Reconstruction(NamedTuple):
    """The image made again ("n 3 h w", 0 to 1) and the features it was made from ("n 200")."""

    image: Tensor
    features: Tensor


def _step(inside: int, outside: int, stride: int, dropout: float, keras: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, 1),
        _norm(outside, keras),
        nn.LeakyReLU(0.2),
        nn.Dropout(dropout),
    )


def _norm(channels: int, keras: bool) -> nn.BatchNorm2d:
    if keras:
        return nn.BatchNorm2d(channels, eps=KERAS_EPS, momentum=KERAS_MOMENTUM)
    return nn.BatchNorm2d(channels)


def _up(inside: int, outside: int, stride: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inside, outside, 3, stride, 1, output_padding=stride - 1)


@final
class Encoder(nn.Module):  # type: ignore[misc]
    """Image "n 3 h w" (0 to 1) to 200 features, and the skip tensor "n 32 h/2 w/2".

    ``bottleneck``: ``residual`` adds the squeezed maps to their input; ``sigmoid_gate`` multiplies it by the sigmoid
    of the single channel (the other reading of the paper's "attention").
    """

    def __init__(self, side: int, bottleneck: str, dropout: float, keras: bool) -> None:
        super().__init__()
        self.bottleneck = bottleneck
        a, b, c = WIDTHS
        self.enc0 = _step(3, a, 1, dropout, keras)
        self.enc1 = _step(a, b, 2, dropout, keras)
        self.skip = nn.Conv2d(b, b, 3, 1, 1)
        self.enc2 = _step(b, c, 2, dropout, keras)
        inside = (c, *SQUEEZE[:-1])
        steps = [_step(i, o, 1, dropout, keras) for i, o in zip(inside, SQUEEZE, strict=True)]
        self.squeeze, self.widen = nn.Sequential(*steps[:-1]), steps[-1]
        self.dense = nn.Linear(c * (side // 4) ** 2, FEATURES)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.skip(self.enc1(self.enc0(image)))
        deep = self.enc2(skip)
        narrow = self.squeeze(deep)
        deep = deep * torch.sigmoid(narrow) if self.bottleneck == "sigmoid_gate" else deep + self.widen(narrow)
        return self.dense(deep.flatten(1)), skip


@final
class Decoder(nn.Module):  # type: ignore[misc]
    """200 features, and the skip tensor or None, to an image "n 3 h w" (0 to 1)."""

    def __init__(self, side: int, keras: bool) -> None:
        super().__init__()
        a, b, c = WIDTHS
        self.shape = (c, side // 4, side // 4)
        self.dense = nn.Linear(FEATURES, c * (side // 4) ** 2)
        self.norm0, self.up0 = _norm(c, keras), _up(c, b, 2)
        self.norm1, self.up1 = _norm(b, keras), _up(b, b, 1)
        self.norm2, self.up2 = _norm(b, keras), _up(b, a, 2)
        self.up3 = _up(a, 3, 1)
        self.act = nn.LeakyReLU(0.2)

    def forward(self, features: Tensor, skip: Tensor | None) -> Tensor:
        deep = self.dense(features).reshape(-1, *self.shape)
        deep = self.up0(self.act(self.norm0(deep)))
        if skip is not None:
            deep = deep + skip
        deep = self.up1(self.act(self.norm1(deep)))
        deep = self.up2(self.act(self.norm2(deep)))
        return torch.sigmoid(self.up3(deep))


@final
class CbhirAutoencoder(nn.Module):  # type: ignore[misc]
    """The whole network: 80,572,686 parameters at 224 pixels, 80,482,504 of them in the two dense layers.

    Parameters
    ----------
    side : pixels of the square input, a multiple of 4.
    bottleneck : ``residual`` or ``sigmoid_gate``.
    skip : ``add``, or ``none``: the decoder then sees the features only.
    keras_defaults : batch normalization, initial weights as where the network was first written.
    """

    def __init__(
        self,
        side: int = SIDE,
        *,
        bottleneck: Literal["residual", "sigmoid_gate"] = "residual",
        skip: Literal["add", "none"] = "add",
        dropout: float = 0.25,
        keras_defaults: bool = True,
    ) -> None:
        super().__init__()
        self.skip = skip
        self.encoder = Encoder(side, bottleneck, dropout, keras_defaults)
        self.decoder = Decoder(side, keras_defaults)
        if keras_defaults:
            self.apply(_glorot)

    def forward(self, image: Tensor, *, zero_skip: bool = False) -> Reconstruction:
        """``zero_skip`` shows how much of the image is in the features alone."""
        features, skip = self.encoder(image)
        given = None if self.skip == "none" or zero_skip else skip
        return Reconstruction(self.decoder(features, given), features)


def _glorot(module: Any) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
