"""Five synthetic laboratories that stain and scan the same kinds of tissue differently; the fifth is farthest off."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import UInt8

from histokin.evaluation.synthetic.folder import Entry, write_set
from histokin.evaluation.synthetic.staining import Staining
from histokin.evaluation.synthetic.tissue import CLASSES, tissue

SLIDES_DIFFER = 0.12
"""Standard deviation of the log of each stain's strength between images of one laboratory."""

CENTRES = (
    Staining((0.651, 0.701, 0.290), (0.216, 0.801, 0.558)),
    Staining((0.620, 0.720, 0.310), (0.190, 0.830, 0.520), (1.15, 0.85), (0.98, 0.96, 0.97)),
    Staining((0.680, 0.670, 0.300), (0.240, 0.780, 0.575), (0.85, 1.15), (0.97, 0.97, 0.93)),
    Staining((0.600, 0.740, 0.300), (0.160, 0.860, 0.480), (1.10, 1.10), (0.95, 0.92, 0.95)),
    Staining((0.540, 0.760, 0.360), (0.100, 0.920, 0.380), (1.45, 0.70), (0.92, 0.84, 0.90)),
)
"""The laboratories; the first is the standard that truth is told in."""

Pictures = tuple[UInt8[np.ndarray, "_ _ 3"], ...]


@final
@dataclass(frozen=True, eq=False)
class CentreSet:
    """Images of five laboratories with their classes and the truth.

    ``standard[i]`` is the tissue of ``images[i]`` as the first laboratory stains it on an average day: what a
    perfect normalizer towards that laboratory would return.
    """

    images: Pictures
    labels: tuple[str, ...]
    centres: tuple[str, ...]
    standard: Pictures

    def write(self, folder: Path) -> Path:
        """PNG files, ``manifest.csv`` and a README that says what they are; returns the manifest."""
        entries: list[Entry] = []
        for i, (label, centre) in enumerate(zip(self.labels, self.centres, strict=True)):
            name = f"{centre}/{label}_{i:04d}"
            entries.append(Entry(f"{name}.png", self.images[i], "five-centres", centre, label))
            entries.append(Entry(f"truth/{name}.png", self.standard[i], "truth", "centre-1", label))
        return write_set(folder, entries, "H&E-like tissue of five invented laboratories, with the truth beside it")


def five_centres(
    per_class: int = 4, *, px: int = 224, seed: int = 0, noise: float = 1.0, centres: Sequence[Staining] = CENTRES
) -> CentreSet:
    """``per_class`` images of each class from each laboratory, every one of other tissue.

    Parameters
    ----------
    px : side of an image. noise : of the camera, grey levels. seed : the same seed gives the same bytes.
    """
    images, labels, names, standard = [], [], [], []
    for c, centre in enumerate(centres):
        rng = np.random.default_rng([seed, c, 5])
        for label in CLASSES:
            for i in range(per_class):
                field = tissue(label, px=px, seed=(seed * 1000 + c) * 1000 + i)
                strength = np.exp(rng.normal(0, SLIDES_DIFFER, 2))
                key = (seed * 100 + c) * 1000 + i
                images.append(
                    centre.image(field.concentrations, gains=[float(s) for s in strength], noise=noise, seed=key)
                )
                standard.append(centres[0].image(field.concentrations))
                labels.append(label)
                names.append(f"centre-{c + 1}")
    return CentreSet(tuple(images), tuple(labels), tuple(names), tuple(standard))
