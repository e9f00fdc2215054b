"""Learning rates over a training. No PyTorch."""

import math


def constant_then_linear(epoch: float | int, constant: float | int, falling: float | int) -> float:
    """Share of the starting rate: 1 for ``constant`` epochs, then in a straight line to 0 over ``falling`` more."""
    if epoch <= constant:
        return 1.0
    return max(0.0, 1.0 - (epoch - constant) / falling)


def cosine(epoch: float | int, epochs: float | int) -> float:
    """Share of the starting rate: half a cosine from 1 to 0 over ``epochs``."""
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, epoch / epochs)))
