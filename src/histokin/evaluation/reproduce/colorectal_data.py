"""The tiles of the colorectal page: where they are from, what stands in for their slides, and how they are divided."""

import csv
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from histokin.errors import UsageError
from histokin.evaluation.reproduce.colorectal_published import CLASSES as PAPER
from histokin.evaluation.reproduce.pairs import Kind
from histokin.evaluation.reproduce.records import load
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.synthetic.gland_grades import LABELS, gland_grades
from histokin.extras import needed
from histokin.training.class_labels import read_classes
from histokin.training.class_split import split_classes
from histokin.training.images import ImageSet
from histokin.types import RGB

SPLIT_SEED = 0
"""Of the division that every table is about, chosen before anything was scored."""

GROUPS = Path(__file__).parent / "groups"
PARTS = ("train", "validation", "test")
HEALTHY, CANCER = "H", "AC"
CRC5 = {
    "H": "healthy",
    "S": "serrated adenoma",
    "T": "tubular adenoma",
    "V": "villous adenoma",
    "AC": "adenocarcinoma",
}
"""Classes of the real tiles, from healthy to malignant."""

FOREIGN = {
    "LC25000": ("lc25000-colon-768", {"colon_n": HEALTHY, "colon_aca": CANCER}),
    "NCT": ("nct-crc-val-70", {"NORM": HEALTHY, "TUM": CANCER}),
}
"""Other laboratories: their folder in the shared data, and what their classes are called in crc5."""

SIDE, QUICK_SIDE = 224, 64
MARK = "SYNTHETIC: invented glands, no picture of real tissue"
NOT_GRADED = "Nothing in the real data is graded: only synthetic images exercise the paper's three grades of cancer."


@final
@dataclass(frozen=True, eq=False)
class Tiles:
    """Images with a class each.

    ``images.groups`` are what a normalizer is fitted to and what is never divided; ``units`` is what intervals draw:
    slides, or what stands in for them. ``classes`` are in the order of the tables. ``counts`` are of slides and drawn
    areas by class, where these are known.
    """

    name: str
    slug: str
    kind: Kind
    about: str
    images: ImageSet
    labels: Mapping[str, str]
    classes: tuple[str, ...]
    units: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def truth(self) -> Int64[np.ndarray, "n"]:
        """Class numbers in the order of ``classes``."""
        return np.array([self.classes.index(self.labels[name]) for name in self.images.names], np.int64)

    @property
    def unit_names(self) -> Shaped[np.ndarray, "n"]:
        """``units`` as an array."""
        return np.array(self.units, dtype=np.str_)

    @property
    def digest(self) -> str:
        """Of pixels, classes and groups."""
        names = self.images.names
        told = (self.images.digest, *(self.labels[name] for name in names), *self.images.groups, *self.images.splits)
        return hashlib.blake2b("\0".join(told).encode(), digest_size=8).hexdigest()

    def take(self, places: Sequence[int]) -> "Tiles":
        """The tiles at these places."""
        return replace(self, images=self.images.some(places), units=tuple(self.units[i] for i in places))

    def part(self, *which: str) -> "Tiles":
        """The tiles of some parts of the division."""
        return self.take([i for i, split in enumerate(self.images.splits) if split in which])

    def of_classes(self, classes: Sequence[str]) -> "Tiles":
        """The tiles of some classes, and no others."""
        kept = [i for i, name in enumerate(self.images.names) if self.labels[name] in classes]
        return replace(self.take(kept), classes=tuple(classes))

    def is_class(self, label: str) -> Bool[np.ndarray, "n"]:
        """True where a tile has this class."""
        return np.array([self.labels[name] == label for name in self.images.names], np.bool_)


def crc5_tiles(run: Run) -> Tiles | None:
    """The real tiles of five classes, with the committed groups in place of slides; None where they are not there."""
    root = run.share("crc5")
    if root is None:
        return None
    told = read_groups(GROUPS / "crc5.csv")
    paths = [path for label in CRC5 for path in sorted((root / label).glob("*.jpg"))]
    keys = [f"{path.parent.name}/{path.name}" for path in paths]
    if run.quick:
        chosen = _few(keys, told, 3, 4)
        paths, keys = [paths[i] for i in chosen], [keys[i] for i in chosen]
    unknown = [key for key in keys if key not in told]
    if unknown:
        raise UsageError(f"{unknown[0]} is in no group", remedy="Use the shared data as it is", path=root)
    labels = {key: key.split("/")[0] for key in keys}
    groups = [told[key] for key in keys]
    images = divided(image_set("crc5", keys, paths, groups, QUICK_SIDE if run.quick else None), labels, SPLIT_SEED)
    about = (
        f"REAL: crc5, {len(keys)} tiles of 224 x 224 in five related classes, without slide names. {len(set(groups))} "
        "clusters of color and near-duplicates, committed before anything was scored, stand in for slides and are "
        f"never divided ({_parts(images)}; seed {SPLIT_SEED})"
    )
    return Tiles("crc5, divided by group", "crc5", "real", about, images, labels, tuple(CRC5), tuple(groups))


def randomly_divided(tiles: Tiles) -> Tiles:
    """The same tiles, every one a group of its own: what happens when slides are not held apart."""
    bare = replace(tiles.images, groups=tiles.images.names, splits=("",) * len(tiles))
    images = divided(bare, tiles.labels, SPLIT_SEED)
    about = f"{tiles.about.split(',')[0]}, divided at random ({_parts(images)}): tiles of one slide on both sides"
    return replace(tiles, name="crc5, divided at random", slug=f"{tiles.slug}-random", about=about, images=images)


def redivided(tiles: Tiles, seed: int) -> Tiles:
    """The same tiles and groups, divided with another seed."""
    images = divided(replace(tiles.images, splits=("",) * len(tiles)), tiles.labels, seed)
    return replace(tiles, slug=f"{tiles.slug}-seed-{seed}", images=images)


def folded(tiles: Tiles, count: int) -> list[Tiles]:
    """Cross-validation: every group in the test part of one of the folds.

    Groups of what is left are the validation part. Raises :class:`UsageError` without scikit-learn.
    """
    needed("dividing groups into folds", "sklearn", extra="khan")
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(count, shuffle=True, random_state=SPLIT_SEED)
    found = []
    for number, (_, test) in enumerate(folds.split(np.zeros(len(tiles)), tiles.truth, tiles.unit_names), 1):
        asked = set(test.tolist())
        splits = tuple("test" if place in asked else "train" for place in range(len(tiles)))
        images = _held_out(replace(tiles.images, splits=splits), tiles.labels)
        found.append(replace(tiles, slug=f"{tiles.slug}-fold-{number}", images=images))
    return found


def gland_tiles(run: Run) -> Tiles:
    """Synthetic glands in the paper's five classes, eight invented slides each; written to ``out/synthetic``."""
    each, slides, px = (3, 3, 96) if run.quick else (80, 8, 128)
    folder = run.out / "synthetic" / f"gland-grades-{px}-{each}"
    table = folder / LABELS
    if not table.is_file():
        run.say("making synthetic glands of five grades")
        gland_grades(each, px=px, seed=1, slides=slides).write(folder)
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    keys, groups = [row["path"] for row in rows], [row["group"] for row in rows]
    labels = {row["path"]: row["label"] for row in rows}
    images = divided(image_set("gland-grades", keys, [folder / key for key in keys], groups), labels, SPLIT_SEED)
    about = (
        f"{MARK}. {len(keys)} images of {px} x {px} in the paper's five classes, the grades by the share of the tumor "
        f"that keeps forming glands; {len(set(groups))} invented slides, never divided ({_parts(images)}). {NOT_GRADED}"
    )
    return Tiles("synthetic gland grades", "glands", "synthetic", about, images, labels, PAPER, tuple(groups))


def foreign_tiles(run: Run) -> tuple[Tiles, ...]:
    """Healthy and cancerous colon of other laboratories; each is one source to a normalizer."""
    found = []
    for name, (folder, labels) in FOREIGN.items():
        root = run.share(folder)
        if root is None:
            continue
        paths = [p for label in labels for p in sorted((root / label).iterdir()) if p.is_file()]
        paths = paths[:: max(1, len(paths) // 8)] if run.quick else paths
        keys = [f"{path.parent.name}/{path.name}" for path in paths]
        told = read_groups(GROUPS / "lc25000-colon.csv") if name == "LC25000" else {}
        units = [told.get(key, key) for key in keys]
        images = image_set(name, keys, paths, [name] * len(keys), QUICK_SIDE if run.quick else SIDE)
        about = f"REAL: {name}, {len(keys)} tiles of another laboratory, healthy and cancerous colon"
        truth = {key: labels[key.split("/")[0]] for key in keys}
        found.append(Tiles(name, name.lower(), "real", about, images, truth, (HEALTHY, CANCER), tuple(units)))
    return tuple(found)


def given_tiles(run: Run) -> Tiles | None:
    """The user's own: a manifest of ``histokin patches``, or a folder with one folder per class.

    Raises
    ------
    UsageError
        when the data cannot be used; the message says why.
    """
    if run.data is None:
        return None
    table = run.data / "manifest.csv"
    images, labels = read_classes(table if table.is_file() else run.data, least_px=32)
    if not all(images.splits):
        images = divided(replace(images, splits=("",) * len(images)), labels, SPLIT_SEED)
    elif "validation" not in images.splits:
        images = _held_out(images, labels)
    known = set(labels.values())
    classes = PAPER if known == set(PAPER) else tuple(sorted(known))
    about = (
        f"GIVEN with --data: {len(images)} patches in {len(known)} classes and {len(set(images.groups))} groups "
        f"({_parts(images)})"
    )
    failed = f"; {len(images.failed)} could not be used, the first: {images.failed[0]}" if images.failed else ""
    counts = _counts(table) if table.is_file() else {}
    return Tiles(images.name, "given", "given", about + failed, images, labels, classes, images.groups, counts)


def divided(images: ImageSet, labels: Mapping[str, str], seed: int) -> ImageSet:
    """The images with their parts named: 70, 15 and 15 of 100, no group on two sides."""
    where = {
        name: part for part, own in zip(PARTS, split_classes(images, labels, seed), strict=True) for name in own.names
    }
    return replace(images, splits=tuple(where[name] for name in images.names))


def _held_out(images: ImageSet, labels: Mapping[str, str]) -> ImageSet:
    """A division into training and test alone, as published: groups of the training part become validation."""
    learn = images.some(i for i, split in enumerate(images.splits) if split == "train")
    parts = split_classes(replace(learn, splits=("",) * len(learn)), labels, SPLIT_SEED)
    held = set(parts[1].names)
    splits = tuple("validation" if name in held else s for name, s in zip(images.names, images.splits, strict=True))
    return replace(images, splits=splits)


def _counts(table: Path) -> dict[str, dict[str, int]]:
    """How many slides and areas of each class a manifest of ``histokin patches`` names."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    found: dict[str, dict[str, int]] = {}
    for name, keys in (("slides", ("slide",)), ("data areas", ("slide", "area"))):
        if not rows or any(key not in rows[0] for key in (*keys, "label")):
            continue
        seen = {(row["label"], *(row[key] for key in keys)) for row in rows}
        found[name] = {label: sum(one[0] == label for one in seen) for label in dict.fromkeys(r["label"] for r in rows)}
    return found


def image_set(
    name: str, keys: Sequence[str], paths: Sequence[Path], groups: Sequence[str], side: int | None = None
) -> ImageSet:
    """Files as images to train on, read when used; with ``side``, their central square at that size."""
    digests = tuple(
        hashlib.blake2b(path.read_bytes() + str(side).encode(), digest_size=16).hexdigest() for path in paths
    )

    @functools.lru_cache(maxsize=64)
    def read(i: int) -> RGB:
        return load(paths[i], side)

    return ImageSet(name, tuple(keys), tuple(groups), ("",) * len(keys), digests, read)


def read_groups(path: Path) -> dict[str, str]:
    """The group of every file, from a committed table."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["file"]: row["group"] for row in csv.DictReader(file)}


def _parts(images: ImageSet) -> str:
    return ", ".join(f"{images.splits.count(part)} {part}" for part in PARTS)


def _few(keys: Sequence[str], told: Mapping[str, str], groups: int, each: int) -> list[int]:
    """Of every class at most ``each`` tiles from each of the ``groups`` groups that hold most of it."""
    members: dict[tuple[str, str], list[int]] = {}
    for i, key in enumerate(keys):
        members.setdefault((key.split("/")[0], told.get(key, "")), []).append(i)
    chosen: list[int] = []
    for label in dict.fromkeys(key.split("/")[0] for key in keys):
        own = sorted((m for (name, _), m in members.items() if name == label), key=len, reverse=True)
        chosen += [i for m in own[:groups] for i in m[:each]]
    return chosen
