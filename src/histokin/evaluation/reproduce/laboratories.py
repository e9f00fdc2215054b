"""Sets of images from several laboratories: synthetic, the user's own, and three real sources of colon tissue."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from histokin.evaluation.reproduce.pairs import Kind
from histokin.evaluation.reproduce.records import load, read_manifest
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.synthetic.centres import five_centres
from histokin.types import RGB

REAL = {
    "crc5": ("crc5", ("H", "AC")),
    "LC25000": ("lc25000-colon-768", ("colon_n", "colon_aca")),
    "NCT": ("nct-crc-val-70", ("NORM", "TUM")),
}
"""Name of the laboratory -> its folder in the shared data and the folders of healthy and cancerous colon in it."""


@final
@dataclass(frozen=True)
class Laboratories:
    """Image files by laboratory, and what they are.

    ``side`` is the number of pixels they are brought to. ``truth`` says which file shows a file's tissue as the
    first laboratory stains it, where that is known.
    """

    name: str
    kind: Kind
    about: str
    files: Mapping[str, tuple[Path, ...]]
    side: int
    truth: Mapping[Path, Path]

    def images(self, laboratory: str) -> tuple[RGB, ...]:
        """All images of one laboratory, in order."""
        return tuple(load(path, self.side) for path in self.files[laboratory])


def synthetic_laboratories(run: Run) -> Laboratories:
    """Five invented laboratories; written to ``out/synthetic/five-centres``."""
    run.say("making images of five synthetic laboratories")
    side = 64 if run.quick else 224
    made = five_centres(1 if run.quick else 10, px=side, seed=1)
    folder = run.out / "synthetic" / "five-centres"
    records = [record for record in read_manifest(made.write(folder)) if record.set != "truth"]
    files: dict[str, list[Path]] = {}
    for record in records:
        files.setdefault(record.centre, []).append(record.path)
    truth = {record.path: folder / "truth" / record.path.relative_to(folder) for record in records}
    about = "SYNTHETIC: invented H&E-like tissue of five invented laboratories, the fifth farthest off"
    return Laboratories(
        "five synthetic centres", "synthetic", about, {c: tuple(f) for c, f in files.items()}, side, truth
    )


def real_laboratories(run: Run) -> Laboratories | None:
    """Healthy and cancerous colon from three sources of the shared data; None unless two of them are there."""
    files: dict[str, tuple[Path, ...]] = {}
    most = 2 if run.quick else 20
    for name, (folder, labels) in REAL.items():
        places = [run.share(folder, label) for label in labels]
        found = [sorted(p for p in place.iterdir() if p.is_file()) for place in places if place]
        if found:
            files[name] = tuple(path for paths in found for path in _some(paths, most))
    if len(files) < 2:
        return None
    about = "REAL: colon H&E, healthy and cancerous in equal parts, of " + ", ".join(
        f"{name} ({len(paths)})" for name, paths in files.items()
    )
    return Laboratories("three real colon sources", "real", about, files, 64 if run.quick else 224, {})


def given_laboratories(run: Run) -> tuple[Laboratories, ...]:
    """The user's sets that name centres and have no pairs."""
    records = [record for record in run.given() if record.centre and not record.pair]
    found = []
    for name in dict.fromkeys(record.set for record in records):
        own = [record for record in records if record.set == name]
        centres = dict.fromkeys(record.centre for record in own)
        files = {c: tuple(record.path for record in own if record.centre == c) for c in centres}
        about = f"GIVEN with --data: {len(own)} images of {len(files)} centres"
        found.append(Laboratories(name, "given", about, files, 64 if run.quick else 224, {}))
    return tuple(found)


def _some(paths: list[Path], most: int) -> list[Path]:
    return paths if len(paths) <= most else [paths[i * len(paths) // most] for i in range(most)]
