"""Aligned pairs from two synthetic scanners, the color map between which is a known smooth function."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import cv2
import numpy as np

from histokin.evaluation.synthetic.centres import Pictures
from histokin.evaluation.synthetic.folder import Entry, write_set
from histokin.evaluation.synthetic.staining import DENSITY, Staining, with_noise
from histokin.evaluation.synthetic.tissue import CLASSES, tissue
from histokin.types import RGB

SOURCE = Staining((0.600, 0.730, 0.320), (0.150, 0.850, 0.500), (1.15, 0.95), (0.95, 0.91, 0.94))
"""The dyes as the source scanner (O) sees them."""

OTHER = Staining((0.670, 0.690, 0.280), (0.230, 0.780, 0.570), (0.80, 1.25), (0.99, 0.97, 0.92))
"""The same dyes on a third scanner (P), which no color map here was made for."""

SLIDES_DIFFER = 0.10


@final
@dataclass(frozen=True)
class ScannerMap:
    """From the colors of scanner O to those of scanner T.

    In optical density, per pixel: ``D' = max(0, matrix · D^power)``, then light is ``256 exp(-D') - 1``. Smooth
    wherever light stays below full, as in all stained colors, and no two-stain model: every channel has its own
    ``power``.
    """

    matrix: tuple[tuple[float, float, float], ...] = (
        (1.06, -0.20, 0.10),
        (0.12, 0.76, 0.03),
        (-0.08, 0.24, 0.70),
    )
    power: tuple[float, float, float] = (0.92, 1.12, 1.05)

    def apply(self, image: RGB) -> RGB:
        """The image as scanner T would show it, without noise."""
        density = DENSITY.forward(image) ** np.array(self.power, np.float64)
        return DENSITY.inverse(np.maximum(density @ np.array(self.matrix, np.float64).T, 0))


@final
@dataclass(frozen=True, eq=False)
class ScannerPairs:
    """``sources[i]`` and ``targets[i]`` show the same tissue; ``color_map`` is the truth between them.

    ``others[i]`` shows that tissue on a third scanner: another source style with the same target.

    Noise of either scanner (and the source's blur) keeps even the true map from an exact match: its own scores
    are the ceiling for every method that maps color by color.
    """

    sources: Pictures
    targets: Pictures
    others: Pictures
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    color_map: ScannerMap

    def write(self, folder: Path) -> Path:
        """PNG files, ``manifest.csv`` and a README that says what they are; returns the manifest."""
        entries: list[Entry] = []
        for i, (label, split) in enumerate(zip(self.labels, self.splits, strict=True)):
            for scanner, images in (("O", self.sources), ("T", self.targets), ("P", self.others)):
                path = f"{split}/scanner-{scanner}/{i:04d}.png"
                entries.append(Entry(path, images[i], "two-scanners", scanner, label, f"{i:04d}", split))
        about = f"H&E-like tissue on two invented scanners; the color map between them is {self.color_map}"
        return write_set(folder, entries, about)


def two_scanners(
    train: int = 24, test: int = 8, *, px: int = 256, seed: int = 0, noise: float = 1.5, blur: float = 0.5
) -> ScannerPairs:
    """``train`` + ``test`` pairs, classes in turn, every pair of other tissue stained a little differently.

    Parameters
    ----------
    noise : of either camera, grey levels. blur : of the source scanner's optics, pixels (a 20x lens against a
        40x one). seed : the same seed gives the same bytes.
    """
    color_map, rng = ScannerMap(), np.random.default_rng([seed, 9])
    sources, targets, others, labels = [], [], [], []
    for i in range(train + test):
        label = CLASSES[i % len(CLASSES)]
        field = tissue(label, px=px, seed=seed * 100_000 + i)
        strength = [float(s) for s in np.exp(rng.normal(0, SLIDES_DIFFER, 2))]
        seen = SOURCE.image(field.concentrations, gains=strength)
        third = OTHER.image(field.concentrations, gains=strength)
        key = 3 * (seed * 10_000 + i)
        targets.append(with_noise(color_map.apply(seen), noise, key))
        sources.append(with_noise(_blurred(seen, blur), noise, key + 1))
        others.append(with_noise(_blurred(third, blur), noise, key + 2))
        labels.append(label)
    splits = ("train",) * train + ("test",) * test
    return ScannerPairs(tuple(sources), tuple(targets), tuple(others), tuple(labels), splits, color_map)


def _blurred(image: RGB, sigma: float) -> RGB:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma)) if sigma else image
