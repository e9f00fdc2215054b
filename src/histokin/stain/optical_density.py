"""Optical density: how much light a stain takes away, per channel (Beer–Lambert law, natural logarithm)."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from jaxtyping import Float64, UInt8

from histokin.errors import UsageError

WHITE = {"od256": 256.0, "od240": 240.0, "od255": 255.0}
"""The three conventions in use and the light each takes as unstained."""


@final
@dataclass(frozen=True)
class OpticalDensity:
    """One convention of optical density; conventions must not be mixed.

    ========  ======================================  =====================  =========================
    mode      forward                                 inverse                where it is used
    ========  ======================================  =====================  =========================
    od256     ``-ln((I + 1) / 256)``                  ``256 exp(-D) - 1``    BKSVD; an exact pair
    od240     ``-ln((I + 1) / io)``, io 240           ``io exp(-D)``         Macenko's common port
    od255     ``max(-ln(max(I, 1) / io), 1e-6)``      ``io exp(-D)``         StainTools, io 255
    ========  ======================================  =====================  =========================

    ``od240`` is not an exact pair (the 1 is dropped on the way back) and is negative above ``io - 1``.

    Parameters
    ----------
    mode : one of the names above.
    io : intensity of unstained light, in grey levels; None for the mode's own. Fixed for ``od256``.

    Raises
    ------
    UsageError
        for another mode, or an ``io`` that is not between 1 and 512.
    """

    mode: str = "od240"
    io: float | int | None = None

    def __post_init__(self) -> None:
        if self.mode not in WHITE:
            raise UsageError(f"no optical density is called '{self.mode}'", remedy=f"Choose one of: {', '.join(WHITE)}")
        if not 1 <= self.white <= 512 or (self.mode == "od256" and self.white != 256):
            raise UsageError(
                f"unstained light of {self.io} grey levels does not suit {self.mode}",
                remedy="Leave io out, or give 1 to 512 (od256 takes 256 only)",
            )

    @property
    def white(self) -> float:
        """Intensity of unstained light, in grey levels."""
        return WHITE[self.mode] if self.io is None else float(self.io)

    @property
    def offset(self) -> float:
        """What the inverse adds after the exponential, in grey levels."""
        return -1.0 if self.mode == "od256" else 0.0

    @cached_property
    def table(self) -> Float64[np.ndarray, "256"]:
        """Density of each of the 256 grey levels."""
        levels = np.arange(256, dtype=np.float64)
        if self.mode == "od255":
            return np.asarray(np.maximum(-np.log(np.maximum(levels, 1) / self.white), 1e-6))
        return np.asarray(-np.log((levels + 1) / self.white))

    def forward(
        self, pixels: UInt8[np.ndarray, "*shape 3"], *, legacy_overwrite: bool = False
    ) -> Float64[np.ndarray, "*shape 3"]:
        """Density of every channel of every pixel. The pixels are only read.

        ``legacy_overwrite`` turns zeros of the caller's array into ones under ``od255``, as the published code for
        that convention does. The densities are the same; whoever uses the array afterwards gets the ones.
        """
        if legacy_overwrite and self.mode == "od255":
            pixels[pixels == 0] = 1
        density: Float64[np.ndarray, "*shape 3"] = self.table[pixels]
        return density

    def inverse(
        self, density: Float64[np.ndarray, "*shape 3"], *, legacy_truncate: bool = False
    ) -> UInt8[np.ndarray, "*shape 3"]:
        """Pixels of a density, clipped to 0–255 and rounded half to even.

        ``legacy_truncate`` cuts the fraction off instead, as most published code does.
        """
        light = np.clip(self.white * np.exp(-density) + self.offset, 0, 255)
        return np.asarray(light if legacy_truncate else np.rint(light), np.uint8)
