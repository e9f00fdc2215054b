"""Labelled image sets: folders of images, the folder's name the label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import numpy as np

from histokin.errors import NoTissue, UsageError
from histokin.evaluation.leakage import Side, side
from histokin.retrieval.index_images import image_patches
from histokin.retrieval.preparing import FIT_SAMPLE, chunks, fast_form, spread
from histokin.retrieval.recipe import Prepared
from histokin.slides.discover import discover
from histokin.slides.grid import Grid
from histokin.slides.reading import open_slide
from histokin.types import RGB, Vectors

Fit = Literal["set", "image"]


@final
@dataclass(frozen=True)
class LabelledSet:
    """Paths and labels of one laboratory's images."""

    name: str
    paths: tuple[Path, ...]
    labels: tuple[str, ...]


def read_set(folder: Path, rename: Mapping[str, str] | None = None, only: Sequence[str] = ()) -> LabelledSet:
    """Images under ``folder``, labelled by their folders.

    Parameters
    ----------
    rename : label in the folders -> label to use, so that two laboratories' names for one class agree.
    only : keep these labels (after renaming); empty keeps all.

    Raises
    ------
    UsageError
        when no image is left, or one cannot be used (an evaluation leaves nothing out in silence).
    """
    found = discover([folder.absolute()])
    if found.failures:
        raise UsageError(f"the set holds a broken input: {found.failures[0]}", remedy="Repair or remove it")
    pairs = [
        (path, (rename or {}).get(images.label, images.label)) for images in found.folders for path in images.images
    ]
    pairs = [(path, label) for path, label in pairs if not only or label in only]
    if not pairs:
        raise UsageError("no labelled image there", remedy="Give a folder with one folder per class", path=folder)
    paths, labels = zip(*pairs, strict=True)
    return LabelledSet(folder.name, tuple(paths), tuple(labels))


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
    return side([str(path) for path in images.paths], images.labels, (_load(path, grid) for path in images.paths))


def _load(path: Path, grid: Grid) -> RGB:
    with open_slide(path) as slide:
        try:
            return image_patches(slide, grid, None)[0][1]
        except NoTissue as error:
            raise UsageError(f"{path} is blank", remedy="Remove it from the set") from error
