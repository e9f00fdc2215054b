"""Sets of images of several kinds ("modalities"): synthetic, two real ones of the shared data, and the user's own."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Shaped

from histokin.errors import UsageError
from histokin.evaluation.labelled import read_set
from histokin.evaluation.leakage import Verdict, leakage_verdict, side
from histokin.evaluation.reproduce.cbmir_split import copies, divide, without_crops
from histokin.evaluation.reproduce.pairs import Kind
from histokin.evaluation.reproduce.records import load
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.synthetic.modalities import four_modalities
from histokin.types import RGB

REAL = {
    "medical-mnist": "radiology thumbnails of 64 x 64 pixels, six kinds",
    "brain-mri": "brain MRI, three kinds of tumor and none: one modality, so classes are alike",
}
"""Folder in the shared data -> what it is."""

MOST, QUICK_MOST = 128, 12
"""Pictures of a class, synthetic or real: 102 of them are then the database's, more than the 100 that are retrieved."""

SEED = 0
"""Of the split and of every training on this page."""


@final
@dataclass(frozen=True)
class Modalities:
    """Image files, their classes and their part in the split.

    ``groups`` are numbers: the same for copies of one picture. ``verdict`` is the leakage verdict between what is
    searched (train) and what is asked (test).
    """

    name: str
    kind: Kind
    about: str
    paths: tuple[Path, ...]
    labels: tuple[str, ...]
    groups: tuple[int, ...]
    splits: tuple[str, ...]
    side: int
    verdict: Verdict

    @property
    def slug(self) -> str:
        """The name as a folder."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.name.lower()).split())

    @property
    def classes(self) -> tuple[str, ...]:
        """Sorted."""
        return tuple(sorted(set(self.labels)))

    def places(self, split: str) -> list[int]:
        """Which images belong to ``train``, ``validation`` or ``test``."""
        return [i for i, own in enumerate(self.splits) if own == split]

    def label_array(self, split: str) -> Shaped[np.ndarray, "n"]:
        """Classes of one part, in order."""
        return np.array([self.labels[i] for i in self.places(split)])

    def image(self, place: int) -> RGB:
        """One image, at most ``side`` pixels a side (its central square)."""
        return _image(self.paths[place], self.side)

    def write(self, folder: Path) -> Path:
        """``split.csv``: which file is in which part, with the number of its group of copies."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "split.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("path", "label", "split", "group"))
            writer.writerows(zip(map(str, self.paths), self.labels, self.splits, self.groups, strict=True))
        return path


@lru_cache(maxsize=4000)
def _image(path: Path, most: int) -> RGB:
    return load(path, min(most, *load(path).shape[:2]))


def modality_sets(run: Run) -> tuple[Modalities, ...]:
    """Every set there is: the user's first, then synthetic and real ones.

    Raises
    ------
    UsageError
        when the user's data cannot be used.
    """
    found = [*_given(run), _synthetic(run)]
    for name, about in REAL.items():
        folder = run.share(name)
        if folder is not None:
            run.say(f"reading {name}")
            images = read_set(folder)
            chosen = _some(images.labels, QUICK_MOST if run.quick else MOST)
            paths = [images.paths[i] for i in chosen]
            labels = [images.labels[i] for i in chosen]
            found.append(_made(run, name, "real", f"REAL: {about}", paths, labels))
    return tuple(found)


def _synthetic(run: Run) -> Modalities:
    run.say("making synthetic pictures of four modalities")
    made = four_modalities(QUICK_MOST if run.quick else MOST, px=64 if run.quick else 128, seed=1)
    folder = run.out / "synthetic" / "four-modalities"
    made.write(folder)
    images = read_set(folder)
    about = "SYNTHETIC: pictures like X-rays, MRI, OCT and EEG, drawn from formulas; almost anything tells them apart"
    return _made(run, "synthetic modalities", "synthetic", about, images.paths, images.labels)


def _given(run: Run) -> list[Modalities]:
    """The user's: a folder with one folder per modality, or the sets of a manifest."""
    if run.data is None:
        return []
    if run.data.is_dir() and not (run.data / "manifest.csv").is_file():
        images = read_set(run.data)
        return [_made(run, images.name, "given", f"GIVEN: {len(images.paths)} images", images.paths, images.labels)]
    records = run.given()
    sets = []
    for name in dict.fromkeys(record.set for record in records):
        own = [record for record in records if record.set == name]
        if bare := next((record for record in own if not record.label), None):
            raise UsageError(
                f"{bare.path.name} has no label", path=run.data, remedy="Fill the column 'label' with the modality"
            )
        about = f"GIVEN: {len(own)} images"
        splits = [record.split for record in own]
        sets.append(_made(run, name, "given", about, [r.path for r in own], [r.label for r in own], splits))
    return sets


def _made(
    run: Run,
    name: str,
    kind: Kind,
    about: str,
    paths: Sequence[Path],
    labels: Sequence[str],
    given: Sequence[str] = (),
) -> Modalities:
    if len(set(labels)) < 2:
        raise UsageError(
            f"{name} has one class only", path=run.data, remedy="Give one folder (or label) per modality, two at least"
        )
    most = 64 if run.quick else 256
    run.say(f"{name}: looking for copies among {len(paths)} images")
    seen = side([str(path) for path in paths], labels, (_image(path, most) for path in paths))
    groups = copies(seen.thumbs)
    splits = divide(labels, groups, SEED, given)
    if not any(given):
        splits, groups = without_crops(seen, splits, groups)
    train, test = (np.array([i for i, own in enumerate(splits) if own == part], np.int64) for part in ("train", "test"))
    verdict = leakage_verdict(seen.take(train), seen.take(test))
    made = Modalities(name, kind, about, tuple(paths), tuple(labels), tuple(groups.tolist()), splits, most, verdict)
    made.write(run.out / made.slug)
    return made


def _some(labels: Sequence[str], each: int) -> list[int]:
    """At most ``each`` images of every class, spread over it."""
    chosen = []
    for label in dict.fromkeys(labels):
        own = [i for i, name in enumerate(labels) if name == label]
        count = min(each, len(own))
        chosen += [own[i * len(own) // count] for i in range(count)]
    return sorted(chosen)
