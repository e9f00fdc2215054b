"""Color versions of hospitals: as they are, and after each normalizer, fitted once per hospital."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from histokin.errors import UsageError
from histokin.evaluation.reproduce.hospitals import Case, Hospitals
from histokin.stain.registry import normalizer
from histokin.training.images import ImageSet
from histokin.types import RGB, ImageMap

VERSIONS = {"none": "original", "macenko": "Macenko", "vahadane": "Vahadane", "bksvd": "BKSVD"}
"""The paper's four, in the order of its Figures 7 to 10."""

SAMPLE = 32
"""Images of a hospital that its fit looks at."""


@final
@dataclass(frozen=True, eq=False)
class Version:
    """Hospitals after one normalizer; images are mapped when they are asked for."""

    name: str
    hospitals: Hospitals
    maps: Mapping[str, ImageMap]

    @property
    def title(self) -> str:
        """As the paper calls it."""
        return VERSIONS[self.name]

    def image(self, case: Case) -> RGB:
        """One image in this version."""
        mapped: RGB = self.maps[case.hospital](self.hospitals.load(case))
        return mapped

    def images(self, cases: Sequence[Case], most: int = 64) -> Iterator[list[RGB]]:
        """All images in order, ``most`` at a time."""
        for start in range(0, len(cases), most):
            yield [self.image(case) for case in cases[start : start + most]]

    def to_train(self) -> ImageSet:
        """The archive's images, for a training; a digest of file and map stands for the pixels."""
        cases = self.hospitals.archive
        names = tuple(str(case.path) for case in cases)
        digests = tuple(self._digest(case) for case in cases)
        empty = ("",) * len(cases)
        name = f"{self.hospitals.name}, {self.title}"
        return ImageSet(name, names, names, empty, digests, lambda i: self.image(cases[i]))

    def _digest(self, case: Case) -> str:
        found = hashlib.blake2b(case.path.read_bytes(), digest_size=16)
        found.update(f"{self.name} {self.hospitals.side} {self.maps[case.hospital].space}".encode())
        return found.hexdigest()


def make_version(name: str, hospitals: Hospitals) -> Version:
    """Fit a normalizer on each hospital, towards one image of the first.

    The paper says neither what the target is nor on what each fit looks; an image of median optical density, and a
    fit per hospital (labels unseen), are our choice.

    Raises
    ------
    UsageError
        when that image has no stains to take over.
    """
    appearance = normalizer(name) if name == "none" else normalizer(name, target=_target(hospitals))
    maps = {}
    for hospital in hospitals.names:
        cases = hospitals.of(hospital)
        step = max(1, len(cases) // SAMPLE)
        maps[hospital] = appearance.fit([hospitals.load(case) for case in cases[::step][:SAMPLE]])
        if not maps[hospital].status.ok and name != "none":
            raise UsageError(f"{name} finds no stain in {hospital}: {maps[hospital].status.reason}")
    return Version(name, hospitals, maps)


def _target(hospitals: Hospitals) -> RGB:
    cases = hospitals.of(hospitals.names[0])
    cases = cases[:: max(1, len(cases) // 100)]
    density = [float(-np.log((hospitals.load(case) + 1.0) / 256).mean()) for case in cases]
    order = np.argsort(density, kind="stable")
    return hospitals.load(cases[int(order[len(order) // 2])])
