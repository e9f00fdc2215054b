"""Sizes of CoMIR's network. No PyTorch."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class DenseUnetShape:
    """Sizes of the network.

    ``first`` channels after the first convolution; every dense layer adds ``growth``. ``blocks`` are the dense layers
    of each level on the way down and ``up`` those on the way up (in the order they are run); between levels the sides
    are halved and the channels multiplied by ``compression``. ``dropout`` is the share dropped while training.
    """

    first: int = 32
    growth: int = 12
    blocks: tuple[int, ...] = (4, 4, 4, 4, 4, 4)
    bottleneck: int = 4
    up: tuple[int, ...] = (4, 4, 4, 4, 4, 4)
    compression: float = 0.75
    dropout: float = 0.2

    @property
    def multiple(self) -> int:
        """Sides of images must be multiples of this."""
        return int(2 ** len(self.blocks))


PUBLISHED = DenseUnetShape()
AERIAL = DenseUnetShape(16, 12, (2, 2, 2), 3, (2, 2, 2), 1.0, 0.0)
