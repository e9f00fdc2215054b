"""Images of several laboratories through one normalizer: what becomes of their colors, and how long it takes."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import numpy as np

from histokin.errors import UsageError
from histokin.evaluation.reproduce.laboratories import Laboratories
from histokin.evaluation.reproduce.records import load
from histokin.metrics.image_quality import nmi, nmi_spread, psnr
from histokin.stain.base import Appearance
from histokin.stain.registry import normalizer
from histokin.types import RGB, ImageMap

Fitted = Literal["image", "laboratory"]

SAMPLE = 32
"""Images of a laboratory that one fit for all of it looks at."""


@final
@dataclass(frozen=True)
class Treated:
    """What one method made of one set.

    ``nmi`` is by laboratory; ``psnr`` of each image against itself before, ``psnr_truth`` against the truth where
    it is known (dB); ``seconds`` per image, fit included and reading not; ``unchanged`` counts images that came
    back as they were because no stain was found.
    """

    method: str
    fitted: str
    nmi: Mapping[str, tuple[float, ...]]
    psnr: tuple[float, ...]
    psnr_truth: tuple[float, ...]
    seconds: float
    unchanged: int

    def overall(self) -> tuple[float, float]:
        """NMI-SD and NMI-CV of all images together."""
        return nmi_spread([value for values in self.nmi.values() for value in values])

    def within(self) -> float:
        """Mean over laboratories of their NMI-SD: the spread inside a laboratory."""
        return float(np.mean([nmi_spread(values)[0] for values in self.nmi.values()]))


def reference_of(laboratories: Laboratories) -> tuple[Path, RGB]:
    """The reference image: of the first laboratory, the one whose mean optical density is the median.

    The paper names none; a middling image of a training laboratory is our choice. Where the truth is known, the
    image is taken as the truth shows it, so that a perfect normalizer would match the truth.
    """
    first = next(iter(laboratories.files.values()))
    density = [float(-np.log((load(path, laboratories.side) + 1.0) / 256).mean()) for path in first]
    order = np.argsort(density, kind="stable")
    path = first[int(order[len(order) // 2])]
    return path, load(laboratories.truth.get(path, path), laboratories.side)


def treat(name: str, laboratories: Laboratories, reference: RGB, fitted: Fitted) -> Treated | None:
    """Normalize every image towards ``reference``, fitted by itself or with its laboratory.

    None where the reference cannot be a target of this method.
    """
    try:
        appearance = normalizer(name) if name == "none" else normalizer(name, target=reference)
    except UsageError:
        return None
    values: dict[str, tuple[float, ...]] = {}
    against, truth = [], []
    seconds, unchanged = 0.0, 0
    for laboratory, files in laboratories.files.items():
        shared, spent = _shared(appearance, laboratories, files) if fitted == "laboratory" else (None, 0.0)
        seconds += spent
        found = []
        for path in files:
            image = load(path, laboratories.side)
            began = time.perf_counter()
            mapped, status = (shared or appearance.fit([image])).apply(image)
            seconds += time.perf_counter() - began
            unchanged += not status.ok
            found.append(nmi(mapped))
            if name != "none":
                against.append(psnr(mapped, image))
            if path in laboratories.truth:
                truth.append(psnr(mapped, load(laboratories.truth[path])))
        values[laboratory] = tuple(found)
    count = sum(map(len, values.values()))
    return Treated(name, fitted, values, tuple(against), tuple(truth), seconds / count, unchanged)


def _shared(appearance: Appearance, laboratories: Laboratories, files: tuple[Path, ...]) -> tuple[ImageMap, float]:
    """One map for a laboratory, and the seconds that fitting it took."""
    step = max(len(files) // SAMPLE, 1)
    sample = [load(path, laboratories.side) for path in files[::step]]
    began = time.perf_counter()
    fitted = appearance.fit(sample)
    return fitted, time.perf_counter() - began


def finite_mean(values: tuple[float, ...]) -> float:
    """Mean of the finite values (images that came back unchanged have infinite PSNR); not a number without any."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
