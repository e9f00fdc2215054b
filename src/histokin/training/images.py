"""Images to train on: from folders, single files, a table, or memory. What cannot be used is named, never skipped."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import UInt8

from histokin.errors import InputError, TooSmall, UnsupportedFormat, UsageError
from histokin.slides.discover import discover
from histokin.slides.labels import read_labels
from histokin.slides.reading import open_slide
from histokin.types import RGB, Region

KEPT_BYTES = 1 << 30
"""Decoded images are kept in memory up to this much; beyond it they are decoded again when used."""

Picture = UInt8[np.ndarray, "_ _ 3"]
"""An 8-bit RGB image in a list of them, whose sizes may differ."""

TABLES = (".csv", ".tsv")
SPLITS = ("train", "validation", "test")
SHARES = (0.8, 0.1, 0.1)


@final
@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one style. ``groups[i]`` (a slide, a patient) is never divided between training and validation.

    ``splits[i]`` is "train", "validation", "test", or empty where nobody said.
    """

    name: str
    names: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    digests: tuple[str, ...]
    load: Callable[[int], RGB] = field(repr=False)
    failed: tuple[InputError, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of all pixels, in order."""
        return hashlib.blake2b("".join(self.digests).encode(), digest_size=16).hexdigest()

    def sample(self, most: int) -> list[Picture]:
        """At most ``most`` images, spread evenly over the set."""
        return [self.load(i) for i in _spread(len(self), most)]

    def thinned(self, most: int) -> "ImageSet":
        """At most ``most`` of the images, spread evenly."""
        return self.some(_spread(len(self), most))

    def some(self, places: Iterable[int]) -> "ImageSet":
        """The images at these places."""
        chosen = tuple(places)

        def pick(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(values[i] for i in chosen)

        parts = (pick(self.names), pick(self.groups), pick(self.splits), pick(self.digests))
        return ImageSet(self.name, *parts, lambda i: self.load(chosen[i]), self.failed)

    def split(self, seed: int) -> tuple["ImageSet", "ImageSet", "ImageSet"]:
        """Training, validation and test images: as the table says, else 80, 10 and 10 of 100 groups by ``seed``.

        Raises
        ------
        UsageError
            with fewer than three groups, or when a table leaves training or validation empty.
        """
        if any(self.splits):
            parts = [self.some(i for i, split in enumerate(self.splits) if split == wanted) for wanted in SPLITS]
            train, validation, test = parts[0], parts[1], parts[2] if len(parts[2]) else parts[1]
            if not (len(train) and len(validation)) or not all(self.splits):
                raise UsageError(
                    f"the table of {self.name} does not put every image into train, validation or test",
                    remedy="Fill the column 'split', or leave it out",
                )
            return train, validation, test
        groups = list(dict.fromkeys(self.groups))
        if len(groups) < 3:
            raise UsageError(
                f"{self.name} has {len(self)} images of {len(groups)} groups; validation and test need one each",
                remedy="Give at least three images (or slides, where a table has the column 'group')",
            )
        order = np.random.default_rng([seed, 1]).permutation(len(groups))
        held = max(1, round(SHARES[1] * len(groups)))
        place = {groups[g]: 1 if i < held else 2 if i < 2 * held else 0 for i, g in enumerate(order)}
        which = [[i for i, group in enumerate(self.groups) if place[group] == part] for part in range(3)]
        return self.some(which[0]), self.some(which[1]), self.some(which[2])


def from_arrays(name: str, images: Sequence[Picture], groups: Sequence[str] | None = None) -> ImageSet:
    """Images held in memory; ``groups`` default to the images themselves. Raises :class:`UsageError` for none."""
    if not len(images):
        raise UsageError(f"{name} has no image", remedy="Give at least one")
    kept = [np.ascontiguousarray(image) for image in images]
    names = tuple(f"{name}-{i:05d}" for i in range(len(kept)))
    return ImageSet(
        name, names, tuple(groups or names), ("",) * len(kept), tuple(map(_digest, kept)), lambda i: kept[i]
    )


def read_images(source: Path, *, least_px: int = 1, most: int | None = None, name: str | None = None) -> ImageSet:
    """The images of a folder (to any depth), of one file, or of a table.

    Parameters
    ----------
    source : a table is CSV or TSV; its first column ``path`` is relative to the table, the columns ``group`` and
        ``split`` are optional.
    least_px : smaller images are named in :attr:`ImageSet.failed`, like broken ones.
    most : take at most so many, spread evenly over what was found.
    name : what the style is called; the name of the folder or table otherwise.

    Raises
    ------
    UsageError
        when no image is left; the first cause is given.
    """
    where = source.absolute()
    called = name or (where.stem if where.suffix.lower() in TABLES else where.name)
    rows = _table(where) if where.suffix.lower() in TABLES else {}
    found = discover(list(rows) if rows else [where])
    failed = list(found.failures)
    failed += [
        UnsupportedFormat("a slide, where images are wanted", remedy="Cut tiles from it first", path=path)
        for path in found.slides
    ]
    paths = [path for folder in found.folders for path in folder.images]
    paths = paths if most is None else [paths[i] for i in _spread(len(paths), most)]
    kept: list[Path] = []
    digests: list[str] = []
    memory: dict[int, RGB] = {}
    used = 0
    for path in paths:
        try:
            pixels = _read(path, least_px)
        except InputError as error:
            failed.append(error)
            continue
        if used + pixels.nbytes <= KEPT_BYTES:
            memory[len(kept)] = pixels
            used += pixels.nbytes
        kept.append(path)
        digests.append(_digest(pixels))
    if not kept:
        why = f": {failed[0]}" if failed else ""
        raise UsageError(f"{called} has no image to train on{why}", remedy="Check the path and the files")
    cells = [rows.get(path, {}) for path in kept]
    names = tuple(str(path) for path in kept)
    groups = tuple(row.get("group") or name for row, name in zip(cells, names, strict=True))
    splits = tuple(_split(row.get("split", ""), path) for row, path in zip(cells, kept, strict=True))

    def load(i: int) -> RGB:
        return memory[i] if i in memory else _read(kept[i], least_px)

    return ImageSet(called, names, groups, splits, tuple(digests), load, tuple(failed))


def _read(path: Path, least_px: int) -> RGB:
    with open_slide(path) as opened:
        if min(opened.width, opened.height) < least_px:
            raise TooSmall(
                f"{opened.width} x {opened.height} pixels, {least_px} are needed on each side",
                remedy="Choose a smaller --crop, or leave the image out",
                path=path,
            )
        return opened.read(Region(0, 0, opened.width, opened.height), opened.width, opened.height)


def _table(path: Path) -> dict[Path, dict[str, str]]:
    return {(path.parent / key).absolute(): row for key, row in read_labels(path).rows.items()}


def _split(text: str, path: Path) -> str:
    said = {"val": "validation", "valid": "validation"}.get(text.lower(), text.lower())
    if said not in ("", *SPLITS):
        raise UsageError(f"split is '{text}'", remedy=f"Choose one of: {', '.join(SPLITS)}", path=path)
    return said


def _digest(pixels: RGB) -> str:
    found = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    found.update(np.ascontiguousarray(pixels).data)
    return found.hexdigest()


def _spread(count: int, most: int) -> list[int]:
    if most < 1:
        raise UsageError(f"at most {most} images", remedy="Give at least 1")
    return list(range(count)) if count <= most else [int(i) for i in np.linspace(0, count - 1, most).round()]
