"""Stains from small random batches of tissue, one after the other, until a batch changes them no more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float64

from histokin.stain.bksvd_pixels import Atoms, Batch, Draw, ordered

BATCH = 1000
"""Pixels drawn, without replacement, for one batch."""

MOST_BATCHES = 10

STEADY = 5e-3
"""Change of the stains over a batch (spectral norm of the difference) below which the search ends."""


@final
@dataclass(frozen=True, eq=False)
class Belief:
    """What one batch hands to the next: the stains (unit columns) and the precision of the noise."""

    atoms: Atoms
    precision: float
    turns: int = 0
    """Alternations that the batch took."""


@final
@dataclass(frozen=True, eq=False)
class Search:
    """The stains found (unit columns, hematoxylin first) and the way there."""

    stains: Atoms
    batches: tuple[Belief, ...]
    """After each batch, as it was."""


def search(
    tissue: Float64[np.ndarray, "n 3"], start: Belief, learn: Callable[[Batch, Belief], Belief], seed: int
) -> Search:
    """Go through at most :data:`MOST_BATCHES` batches of the densities; with few pixels, through all of them once."""
    draw, belief, done = Draw(seed), start, list[Belief]()
    for _ in range(MOST_BATCHES):
        places = draw.places(len(tissue), BATCH)
        before = belief.atoms
        belief = learn(np.ascontiguousarray(tissue[places].T), belief)
        done.append(belief)
        if len(tissue) <= BATCH or np.linalg.norm(belief.atoms - before, 2) <= STEADY:
            break
    return Search(ordered(belief.atoms), tuple(done))
