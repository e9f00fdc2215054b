"""Aligned pairs of images of two modalities: from a folder with one sub-folder each, a table, or memory."""

import csv
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import UInt8

from histokin.errors import HistokinError, InputError, UnreadableFile, UnsupportedFormat, UsageError
from histokin.slides.content import SUFFIXES
from histokin.slides.reading import open_slide
from histokin.training.images import KEPT_BYTES
from histokin.types import Region

COLUMNS = ("pair", "modality", "path")
ENDINGS = tuple(ending for kind in ("png", "jpeg", "tiff") for ending in SUFFIXES[kind])
SPLITS = ("train", "validation", "test")

Picture = UInt8[np.ndarray, "_ _ _"]
"""An 8-bit image "h w c": c is 1 where all images of its modality are gray, else 3."""


@final
@dataclass(frozen=True, eq=False)
class PairSet:
    """Pairs of 8-bit images of two modalities, aligned pixel by pixel.

    ``groups[i]`` (a core, a slide, a patient) is never divided between training and test. ``channels`` are 1 or 3 for
    either modality. ``splits[i]`` is "train", "validation", "test", or empty where nobody said. ``failed`` holds what
    could not be used.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    modalities: tuple[str, str]
    digests: tuple[str, ...]
    channels: tuple[int, int]
    load: Callable[[int], tuple[Picture, Picture]] = field(repr=False)
    splits: tuple[str, ...] = ()
    failed: tuple[HistokinError, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of the modalities and all pixels, in order."""
        text = "".join([*self.modalities, *self.digests])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def some(self, places: Iterable[int]) -> "PairSet":
        """The pairs at these places."""
        chosen = tuple(places)

        def pick(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(values[i] for i in chosen) if values else ()

        return PairSet(
            pick(self.names),
            pick(self.groups),
            self.modalities,
            pick(self.digests),
            self.channels,
            lambda i: self.load(chosen[i]),
            pick(self.splits),
            self.failed,
        )

    def divided(self, seed: int) -> tuple["PairSet", "PairSet"]:
        """Pairs to learn from, and pairs held out to measure on: as the table says, else a tenth of the groups.

        Where there are fewer than three groups nothing is held out: the second set is empty.
        """
        if any(self.splits):
            learn = [i for i, split in enumerate(self.splits) if split in ("", "train")]
            held = [i for i, split in enumerate(self.splits) if split not in ("", "train")]
            if not learn:
                raise UsageError("the table has no pair to train on", remedy="Write 'train' into the column 'split'")
            return self.some(learn), self.some(held)
        groups = list(dict.fromkeys(self.groups))
        count = max(1, round(len(groups) / 10)) if len(groups) >= 3 else 0
        order = np.random.default_rng([seed, 1]).permutation(len(groups))
        held_groups = {groups[g] for g in order[:count]}
        parts = [[i for i, group in enumerate(self.groups) if (group in held_groups) is held] for held in (False, True)]
        return self.some(parts[0]), self.some(parts[1])


def pairs_from_arrays(
    modalities: tuple[str, str],
    names: Sequence[str],
    pairs: Sequence[tuple[Picture, Picture]],
    groups: Sequence[str] | None = None,
) -> PairSet:
    """Pairs held in memory; ``groups`` default to ``names``.

    Raises
    ------
    UsageError
        for none, for two images of a pair that differ in size, or channels that differ within a modality.
    """
    if not len(pairs) or len(names) != len(pairs) or (groups is not None and len(groups) != len(pairs)):
        raise UsageError(
            f"{len(pairs)} pairs with {len(names)} names",
            remedy="Give at least one pair, and a name and group for each",
        )
    kept = [(np.ascontiguousarray(one), np.ascontiguousarray(other)) for one, other in pairs]
    for name, pair in zip(names, kept, strict=True):
        if problem := _differ(*pair):
            raise UsageError(f"the pair {name} {problem}", remedy="Align the two images first")
    found = [{pair[side].shape[2] for pair in kept} for side in (0, 1)]
    if any(len(channels) > 1 for channels in found):
        raise UsageError("images of one modality have 1 and 3 channels", remedy="Make all of them gray, or none")
    channels = (next(iter(found[0])), next(iter(found[1])))
    digests = tuple(_digest(pair) for pair in kept)
    return PairSet(tuple(names), tuple(groups or names), modalities, digests, channels, lambda i: kept[i])


def read_pairs(path: Path | str, modalities: Mapping[str, str] | None = None) -> PairSet:
    """The pairs of a folder or of a table.

    Parameters
    ----------
    path : a folder with one sub-folder for each of two modalities, where files of the same name (whatever their
        ending) are a pair; or a CSV with the columns ``pair``, ``modality``, ``path`` (relative to the table), and
        where you have them ``group`` and ``split`` (train, validation, test).
    modalities : which two sub-folders (or values of the column ``modality``) are used, and what they are called:
        ``{"he_aligned": "brightfield", "shg": "shg"}``; in this order. Without it there must be exactly two, and they
        keep their names in alphabetical order.

    Images become 8-bit. A modality whose images are all gray has one channel, others have three. Pairs that lack a
    side, do not open or differ in size are named in :attr:`PairSet.failed`.

    Raises
    ------
    UsageError
        when there are not two modalities, or no pair is left; the first cause is given.
    UnreadableFile
        when the table cannot be read.
    """
    where = Path(path).expanduser().absolute()
    rows = _table(where) if where.is_file() else _folders(where, modalities)
    names = _names([row.modality for row in rows], modalities, where)
    wanted = [row for row in rows if row.modality in names]
    return _read(wanted, names, where)


@final
@dataclass(frozen=True)
class _Row:
    pair: str
    modality: str
    path: Path
    group: str = ""
    split: str = ""


def _names(found: list[str], modalities: Mapping[str, str] | None, where: Path) -> dict[str, str]:
    """The two modalities as they are called in the files, and as they are to be called."""
    there = list(dict.fromkeys(found))
    names = {name: name for name in sorted(there)} if modalities is None else dict(modalities)
    if len(names) != 2 or len(set(names.values())) != 2:
        raise UsageError(
            f"there are {len(names)} modalities ({', '.join(names) or 'none'}) where two are needed",
            remedy="Choose two: --modalities FOLDER=NAME for each",
            path=where,
        )
    if missing := [name for name in names if name not in there]:
        raise UsageError(
            f"nothing of '{missing[0]}' is there",
            remedy=f"Choose two of: {', '.join(sorted(there)) or 'none'}",
            path=where,
        )
    return names


def _folders(where: Path, modalities: Mapping[str, str] | None) -> list[_Row]:
    if not where.is_dir():
        raise UsageError("there is no such folder or table", remedy="Check the path", path=where)
    inside = sorted(p for p in where.iterdir() if p.is_dir() and not p.name.startswith("."))
    rows = []
    for folder in inside:
        if modalities is not None and folder.name not in modalities:
            continue
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
        rows += [_Row(file.stem, folder.name, file) for file in files]
    return rows


def _table(where: Path) -> list[_Row]:
    try:
        with where.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restkey="surplus", restval="")
            columns = [str(name).strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            cells = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UnreadableFile(f"the table cannot be read ({why})", remedy="Save it as CSV, UTF-8", path=where) from None
    if lacking := [name for name in COLUMNS if name not in columns]:
        raise UsageError(
            f"the table has no column '{lacking[0]}'",
            remedy="Its columns: pair, modality, path[, group, split]",
            path=where,
        )
    rows = []
    for line, cell in enumerate(cells, 2):
        pair, modality, file = (str(cell[name]).strip() for name in COLUMNS)
        split = str(cell.get("split", "")).strip().lower()
        if not (pair and modality and file) or "surplus" in cell:
            raise UsageError(
                f"line {line} lacks a cell or has too many", remedy="Fill pair, modality, path", path=where
            )
        if split not in ("", *SPLITS):
            raise UsageError(f"split is '{split}' in line {line}", remedy=f"Choose of: {', '.join(SPLITS)}", path=where)
        rows.append(_Row(pair, modality, where.parent / file, str(cell.get("group", "")).strip(), split))
    return rows


def _read(rows: list[_Row], names: Mapping[str, str], where: Path) -> PairSet:
    sides = list(names)
    by_pair: dict[str, dict[str, _Row]] = {}
    failed: list[HistokinError] = []
    for row in rows:
        there = by_pair.setdefault(row.pair, {})
        if row.modality in there:
            failed.append(
                UnsupportedFormat(
                    f"a second image of '{row.modality}' for the pair {row.pair}",
                    remedy="Keep one; the first was used",
                    path=row.path,
                )
            )
            continue
        there[row.modality] = row
    kept: list[tuple[_Row, _Row]] = []
    digests: list[str] = []
    gray = [True, True]
    memory: dict[int, tuple[Picture, Picture]] = {}
    used = 0
    for pair, found in by_pair.items():
        try:
            rows_here = _both(pair, found, sides)
            pixels = _pixels(rows_here[0].path), _pixels(rows_here[1].path)
            _check_sizes(pair, rows_here, pixels)
        except InputError as error:
            failed.append(error)
            continue
        gray = [before and _is_gray(side) for before, side in zip(gray, pixels, strict=True)]
        if used + pixels[0].nbytes + pixels[1].nbytes <= KEPT_BYTES:
            memory[len(kept)] = pixels
            used += pixels[0].nbytes + pixels[1].nbytes
        kept.append(rows_here)
        digests.append(_digest(pixels))
    if not kept:
        why = f": {failed[0]}" if failed else ""
        raise UsageError(f"there is no pair of images{why}", remedy="Check the names of the files", path=where)

    def load(i: int) -> tuple[Picture, Picture]:
        one, other = memory[i] if i in memory else (_pixels(kept[i][0].path), _pixels(kept[i][1].path))
        return one[..., :1] if gray[0] else one, other[..., :1] if gray[1] else other

    return PairSet(
        tuple(first.pair for first, _ in kept),
        tuple(first.group or other.group or first.pair for first, other in kept),
        (names[sides[0]], names[sides[1]]),
        tuple(digests),
        (1 if gray[0] else 3, 1 if gray[1] else 3),
        load,
        tuple(first.split or other.split for first, other in kept),
        tuple(failed),
    )


def _both(pair: str, found: Mapping[str, _Row], sides: list[str]) -> tuple[_Row, _Row]:
    if lacking := [side for side in sides if side not in found]:
        there = next(iter(found.values()))
        raise UnsupportedFormat(
            f"the pair {pair} has no image of '{lacking[0]}'", remedy="Add it under the same name", path=there.path
        )
    return found[sides[0]], found[sides[1]]


def _pixels(path: Path) -> Picture:
    with open_slide(path) as opened:
        return opened.read(Region(0, 0, opened.width, opened.height), opened.width, opened.height)


def _check_sizes(pair: str, rows: tuple[_Row, _Row], pixels: tuple[Picture, Picture]) -> None:
    if problem := _differ(*pixels):
        raise UnsupportedFormat(f"the pair {pair} {problem}", remedy="Align the two images first", path=rows[1].path)


def _differ(one: Picture, other: Picture) -> str:
    if one.shape[:2] == other.shape[:2]:
        return ""
    sizes = [f"{side.shape[1]} x {side.shape[0]}" for side in (one, other)]
    return f"has images of {sizes[0]} and {sizes[1]} pixels"


def _is_gray(image: Picture) -> bool:
    return bool((image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all())


def _digest(pair: tuple[Picture, Picture]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for image in pair:
        found.update(repr(image.shape).encode())
        found.update(np.ascontiguousarray(image).data)
    return found.hexdigest()
