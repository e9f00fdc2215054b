"""How images of one modality become what a network takes; the same while training and afterwards."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from histokin.errors import UsageError
from histokin.modality.pixels import unit_values

LOGARITHMIC = ("shg",)
"""Modalities whose values go through ln(1 + x): their range is wide and most of it dark."""


@final
@dataclass(frozen=True)
class Input:
    """Values in 0 to 1, of ``channels``, ln(1 + ``gain`` x) where ``logarithm``; then ``low`` to ``high`` is 0 to 1.

    ``signed`` makes that -1 to 1. ``shrink`` divides both sides by a whole number, averaging.
    """

    channels: int = 3
    logarithm: bool = False
    low: float = 0.0
    high: float = 1.0
    signed: bool = False
    shrink: int = 1
    gain: float = 1.0

    def prepare(self, image: object) -> Float32[np.ndarray, "_ _ _"]:
        """Float32 "h w c" of one image; h and w divided by ``shrink`` and rounded up.

        Raises :class:`UsageError` for what :func:`~histokin.modality.pixels.unit_values` refuses.
        """
        values = unit_values(image, self.channels)
        if self.logarithm:
            values = np.log1p(values * np.float32(self.gain))
        if (self.low, self.high) != (0.0, 1.0):
            values = (values - np.float32(self.low)) / np.float32(self.high - self.low)
        if self.signed:
            values = values * np.float32(2) - np.float32(1)
        return smaller(values, self.shrink)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; a gain of 1 is not told."""
        return {name: value for name, value in asdict(self).items() if name != "gain" or value != 1.0}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Input":
        """What :meth:`to_dict` wrote. Raises :class:`UsageError` where it is damaged."""
        try:
            made = cls(
                int(stored["channels"]),
                bool(stored["logarithm"]),
                float(stored["low"]),
                float(stored["high"]),
                bool(stored["signed"]),
                int(stored["shrink"]),
                float(stored.get("gain", 1.0)),
            )
        except (KeyError, TypeError, ValueError):
            made = None
        if made is None or made.channels not in (1, 3) or not made.low < made.high or made.shrink < 1 or made.gain <= 0:
            raise UsageError("the description of an input is damaged", remedy="Train again, or restore the file")
        return made


def smaller(values: Float32[np.ndarray, "h w c"], factor: int) -> Float32[np.ndarray, "_ _ c"]:
    """Means of squares of ``factor`` pixels; what is missing at the right and below is mirrored."""
    if factor == 1:
        return values
    height, width, channels = values.shape
    below, beside = -height % factor, -width % factor
    whole = np.pad(values, ((0, below), (0, beside), (0, 0)), mode="reflect")
    shape = ((height + below) // factor, factor, (width + beside) // factor, factor, channels)
    means: Float32[np.ndarray, "_ _ c"] = whole.reshape(shape).mean(axis=(1, 3), dtype=np.float32)
    return means
