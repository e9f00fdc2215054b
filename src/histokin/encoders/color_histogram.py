"""The baseline every encoder has to beat: how often each color occurs, and nothing about its place."""

from typing import final

import numpy as np
from jaxtyping import Float64

from histokin.encoders.base import Encoder, EncoderSpec
from histokin.encoders.pixels import prepare
from histokin.types import RGB, Images, Vectors

LEVELS = 8
BINS = LEVELS**3


@final
class ColorHistogram(Encoder):
    """512-bin RGB histogram (8 levels a channel), square root of the shares.

    A row is ``sqrt(p)`` with ``p`` the share of pixels in each bin, so it has unit length and the Euclidean distance
    of two rows is ``sqrt(2)`` times their Hellinger distance, ``sqrt(1 - sum(sqrt(p q)))``, which lies in 0 to 1;
    the ranking is the same.
    """

    @property
    def spec(self) -> EncoderSpec:
        return EncoderSpec(name="color-histogram", space="color-histogram/8x8x8/hellinger/fp32", dim=BINS)

    def encode(self, images: Images) -> Vectors:
        """One row per image; see :meth:`histokin.encoders.base.Encoder.encode`."""
        out = np.empty((len(images), BINS), dtype=np.float32)
        for row, image in enumerate(images):
            out[row] = np.sqrt(color_shares(prepare(image, self.spec.input_px)))
        return out


def color_shares(image: RGB) -> Float64[np.ndarray, "512"]:
    """Share of pixels in each of the 512 bins, sum 1; bin ``64 r + 8 g + b`` of the levels 0 to 7."""
    level = (image >> 5).astype(np.uint16)
    bins = (level[..., 0] << 6) | (level[..., 1] << 3) | level[..., 2]
    shares: np.ndarray = np.bincount(bins.ravel(), minlength=BINS) / bins.size
    return shares
