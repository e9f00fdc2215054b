"""Labelled images of several hospitals, one of which asks and the others answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Shaped

from histokin.evaluation.reproduce.pairs import Kind
from histokin.evaluation.reproduce.records import load, read_manifest
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.synthetic.centres import five_centres
from histokin.types import RGB

CANCER, HEALTHY = "C", "NC"
"""The paper's two labels: cancerous and not."""

REAL = {
    "crc5": ("crc5", {"H": HEALTHY, "AC": CANCER}),
    "NCT": ("nct-crc-val-70", {"NORM": HEALTHY, "TUM": CANCER}),
    "LC25000": ("lc25000-colon-768", {"colon_n": HEALTHY, "colon_aca": CANCER}),
}
"""Hospital -> its folder in the shared data, and the label of each folder in it. The last one asks."""


@final
@dataclass(frozen=True)
class Case:
    """One image, the hospital it is from, its label."""

    path: Path
    hospital: str
    label: str


@final
@dataclass(frozen=True)
class Hospitals:
    """The images of the archive, and the queries of a hospital that the archive has not seen.

    ``side`` is the number of pixels they are brought to; ``positive`` the label that stands for cancer.
    """

    name: str
    kind: Kind
    about: str
    archive: tuple[Case, ...]
    queries: tuple[Case, ...]
    side: int
    positive: str = CANCER

    @property
    def labels(self) -> tuple[Shaped[np.ndarray, "n"], Shaped[np.ndarray, "q"]]:
        """Labels of the archive and of the queries."""
        return np.array([c.label for c in self.archive]), np.array([c.label for c in self.queries])

    def of(self, hospital: str) -> tuple[Case, ...]:
        """All images of one hospital."""
        return tuple(case for case in (*self.archive, *self.queries) if case.hospital == hospital)

    @property
    def names(self) -> tuple[str, ...]:
        """The hospitals, those of the archive first."""
        return tuple(dict.fromkeys(case.hospital for case in (*self.archive, *self.queries)))

    def load(self, case: Case) -> RGB:
        """The image, square."""
        return load(case.path, self.side)


def all_hospitals(run: Run) -> Iterator[Hospitals]:
    """What there is: the user's own, real stand-ins from the shared data, and synthetic ones."""
    yield from _given(run)
    real = _real(run)
    if real is not None:
        yield real
    yield _synthetic(run)


def _given(run: Run) -> Iterator[Hospitals]:
    records = [r for r in run.given() if r.centre and r.label and r.split]
    for name in dict.fromkeys(r.set for r in records):
        sides = {
            split: tuple(Case(r.path, r.centre, r.label) for r in records if r.set == name and r.split == split)
            for split in ("train", "test")
        }
        if not (sides["train"] and sides["test"]):
            continue
        labels = {case.label for case in sides["train"]}
        about = f"GIVEN with --data: {len(sides['train'])} images answer, {len(sides['test'])} ask"
        positive = CANCER if CANCER in labels else max(labels)
        yield Hospitals(name, "given", about, sides["train"], sides["test"], 64 if run.quick else 224, positive)


def _real(run: Run) -> Hospitals | None:
    found: dict[str, list[Case]] = {}
    for hospital, (folder, labels) in REAL.items():
        for name, label in labels.items():
            place = run.share(folder, name)
            paths = sorted(p for p in place.iterdir() if p.is_file()) if place else []
            found.setdefault(hospital, []).extend(Case(path, hospital, label) for path in _some(paths, run))
    present = [cases for cases in found.values() if cases]
    if len(present) < 2:
        return None
    archive, queries = tuple(case for cases in present[:-1] for case in cases), tuple(present[-1])
    names = ", ".join(dict.fromkeys(case.hospital for case in archive))
    about = (
        f"REAL, standing in for CAMELYON17: colon H&E, healthy (NC) and cancerous (C); {len(archive)} tiles of {names} "
        f"answer, {len(queries)} of {queries[0].hospital} ask"
    )
    return Hospitals("three colon laboratories", "real", about, archive, queries, 64 if run.quick else 224)


def _synthetic(run: Run) -> Hospitals:
    run.say("making images of five synthetic hospitals")
    folder = run.out / "synthetic" / "hospitals"
    side = 64 if run.quick else 224
    made = five_centres(4 if run.quick else 40, px=side, seed=2)
    rows = [record for record in read_manifest(made.write(folder)) if record.set != "truth"]
    labels = {"sparse": HEALTHY, "crowded": CANCER}
    cases = [Case(row.path, row.centre, labels[row.label]) for row in rows]
    last = cases[-1].hospital
    archive = tuple(case for case in cases if case.hospital != last)
    queries = tuple(case for case in cases if case.hospital == last)
    about = (
        f"SYNTHETIC: invented tissue with sparse (NC) or crowded (C) nuclei; {len(archive)} images of four invented "
        f"hospitals answer, {len(queries)} of the fifth, which stains most differently, ask"
    )
    return Hospitals("five synthetic hospitals", "synthetic", about, archive, queries, side)


def _some(paths: Sequence[Path], run: Run) -> list[Path]:
    return [paths[i * len(paths) // 8] for i in range(8)] if run.quick and len(paths) > 8 else list(paths)
