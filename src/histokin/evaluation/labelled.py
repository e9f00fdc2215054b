"""Labelled image sets: folders of images, the folder's name the label, or a table that says more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, final

import numpy as np
from jaxtyping import Int, Shaped

from histokin.errors import HistokinError, InputError, UnsupportedFormat, UsageError
from histokin.evaluation.leakage import Side, side
from histokin.evaluation.pictures import load_picture
from histokin.retrieval.preparing import FIT_SAMPLE, chunks, fast_form, spread
from histokin.retrieval.recipe import Prepared
from histokin.slides.discover import discover
from histokin.slides.grid import Grid
from histokin.slides.labels import Labels
from histokin.types import RGB, Vectors

Fit = Literal["set", "image"]
T = TypeVar("T")
NAMED = 5
"""Broken inputs that a message names; the rest are counted."""


@final
@dataclass(frozen=True)
class LabelledSet:
    """Labels and columns (``patient``, ``slide``, ...) of one laboratory's images, or of an archive's patches.

    ``columns`` holds one mapping per item, or nothing; ``titles`` what to call the items where their paths do not
    tell them apart.
    """

    name: str
    paths: tuple[Path, ...]
    labels: tuple[str, ...]
    columns: tuple[Mapping[str, str], ...] = ()
    titles: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def names(self) -> tuple[str, ...]:
        """What to call each item."""
        return self.titles or tuple(str(path) for path in self.paths)

    @property
    def known(self) -> tuple[str, ...]:
        """Columns that at least one item has, sorted."""
        return tuple(sorted({name for row in self.columns for name, value in row.items() if value}))

    def column(self, name: str) -> Shaped[np.ndarray, "n"]:
        """A column's texts, empty where an item has none."""
        rows = self.columns or ({},) * len(self.paths)
        return np.array([row.get(name, "") for row in rows], dtype=np.str_)

    def take(self, places: Sequence[int] | Int[np.ndarray, "_"]) -> "LabelledSet":
        """These items only, in this order."""
        columns, titles = _some(self.columns, places), _some(self.titles, places)
        return LabelledSet(self.name, _some(self.paths, places), _some(self.labels, places), columns, titles)


def read_set(
    folder: Path,
    rename: Mapping[str, str] | None = None,
    only: Sequence[str] = (),
    *,
    table: Labels | None = None,
    broken: list[InputError] | None = None,
) -> LabelledSet:
    """Images under ``folder``, labelled by their folders.

    Parameters
    ----------
    rename : label in the folders -> label to use, so that two laboratories' names for one class agree.
    only : keep these labels (after renaming); empty keeps all.
    table : further columns of the images; its ``label``, where filled, counts more than the folder.
    broken : takes what cannot be used; without it the first such input ends the evaluation.

    Raises
    ------
    UsageError
        when no image is left, the table knows none of them, or, without ``broken``, an input cannot be used.
    """
    found = discover([folder.absolute()])
    slides = [_slide(path) for path in found.slides]
    refuse([*found.failures, *slides], broken)
    pairs = [(path, images.label) for images in found.folders for path in images.images]
    if table is not None:
        table.check(path for path, _ in pairs)
    rows = [dict((table.for_path(path) if table else None) or {}) for path, _ in pairs]
    if table is not None and pairs and not any(rows):
        raise UsageError(f"the table names no image under {folder}", remedy="Give paths from there", path=table.path)
    labels = [row.pop("label", "") or label for (_, label), row in zip(pairs, rows, strict=True)]
    everything = LabelledSet(folder.absolute().name, tuple(path for path, _ in pairs), tuple(labels), tuple(rows))
    return choose(everything, rename, only, folder)


def choose(items: LabelledSet, rename: Mapping[str, str] | None, only: Sequence[str], path: Path) -> LabelledSet:
    """The set with other names for its labels, and those of ``only`` if any; raises :class:`UsageError` if empty."""
    labels = [(rename or {}).get(label, label) for label in items.labels]
    if labels and (unknown := [label for label in only if label not in labels]) and len(unknown) == len(set(only)):
        held = ", ".join(sorted(set(labels))[:20])
        raise UsageError(
            f"no image has the class {' or '.join(unknown)}", remedy=f"Classes there (after --same): {held}", path=path
        )
    kept = [place for place, label in enumerate(labels) if not only or label in only]
    if not kept:
        raise UsageError("no labelled image there", remedy="Give a folder with one folder per class", path=path)
    named = LabelledSet(items.name, items.paths, tuple(labels), items.columns, items.titles)
    return named.take(kept)


def refuse(failures: Sequence[InputError], broken: list[InputError] | None) -> None:
    """Hand over what cannot be used, or raise :class:`UsageError` naming it."""
    if broken is not None:
        broken.extend(failures)
    elif failures:
        more = f", and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
        listed = "; ".join(str(failure).rstrip(".") for failure in failures[:NAMED])
        raise UsageError(f"the set holds a broken input: {listed}{more}", remedy="Repair or remove it")


def encode_set(images: LabelledSet, prepared: Prepared, fit: Fit = "set") -> Vectors:
    """One vector per image, in order.

    The stain is fitted once on the whole set (``"set"``: a laboratory, never a class, since fitting by class
    would tell the label) or on every image by itself (``"image"``). Weights by source style are chosen by the
    set's name.
    """
    rows: list[Vectors] = []
    appearance = prepared.appearance.for_style(images.name)
    sample = spread(images.paths, FIT_SAMPLE) if appearance.looks_at_source else []
    shared = appearance.fit([_load(path, prepared.grid) for path in sample])
    fast = fast_form(shared, len(images.paths) * prepared.grid.patch_px**2)
    for paths in chunks(images.paths, 64):
        pictures = [_load(path, prepared.grid) for path in paths]
        mapped = [(fast if fit == "set" else appearance.fit([p]))(p) for p in pictures]
        rows.append(prepared.encoder.encode(mapped))
    return np.concatenate(rows)


def look(images: LabelledSet, grid: Grid) -> Side:
    """What the leakage checks need of a set."""
    return side(images.names, images.labels, (_load(path, grid) for path in images.paths), images.columns or None)


def _some(values: tuple[T, ...], places: Sequence[int] | Int[np.ndarray, "_"]) -> tuple[T, ...]:
    return tuple(values[int(place)] for place in places) if values else ()


def _load(path: Path, grid: Grid) -> RGB:
    try:
        return load_picture(path, grid)
    except HistokinError as error:
        raise UsageError(f"the set holds a broken input: {error}", remedy="Repair or remove it") from error


def _slide(path: Path) -> InputError:
    return UnsupportedFormat(
        "a slide is not one labelled image", remedy="Index slides and give the archive with --archive", path=path
    )
