"""A set of synthetic gland images in five grades, from invented slides that stain a little differently."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Bool, UInt8

from histokin.errors import UsageError
from histokin.evaluation.synthetic.centres import CENTRES, SLIDES_DIFFER
from histokin.evaluation.synthetic.folder import Entry, write_set
from histokin.evaluation.synthetic.glands import CLASSES, gland_field
from histokin.evaluation.synthetic.staining import Staining

LABELS = "labels.csv"
COLUMNS = ("path", "label", "group", "kept", "gland", "mask")

Pictures = tuple[UInt8[np.ndarray, "_ _ 3"], ...]
Masks = tuple[Bool[np.ndarray, "_ _"], ...]


@final
@dataclass(frozen=True, eq=False)
class GradedSet:
    """Images with their grade, the slide each is from, and the truth: gland masks and the share of glands kept."""

    images: Pictures
    labels: tuple[str, ...]
    slides: tuple[str, ...]
    masks: Masks
    kept: tuple[float, ...]

    def write(self, folder: Path) -> Path:
        """PNG files in one folder per class, masks, and a README that says they are synthetic; returns the table.

        The table ``labels.csv`` has the columns path, label, group (the slide), kept (share of the tumor in glands),
        gland (share of the image) and mask; :func:`histokin.training.images.read_images` takes it.
        """
        entries: list[Entry] = []
        rows: list[tuple[str, ...]] = []
        for i, (label, slide) in enumerate(zip(self.labels, self.slides, strict=True)):
            name, mask = f"{label}/{slide}_{i:04d}.png", f"masks/{slide}_{i:04d}.png"
            plane = np.repeat(self.masks[i][..., None].astype(np.uint8) * 255, 3, axis=2)
            entries.append(Entry(name, self.images[i], "gland-grades", slide, label))
            entries.append(Entry(mask, plane, "masks", slide, label))
            rows.append((name, label, slide, f"{self.kept[i]:.4f}", f"{self.masks[i].mean():.4f}", mask))
        write_set(folder, entries, "Colonic glands of five invented grades, with the mask of the glands beside them")
        table = folder / LABELS
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(rows)
        return table


def gland_grades(
    per_class: int = 12,
    *,
    px: int = 128,
    seed: int = 0,
    slides: int = 4,
    noise: float = 1.0,
    staining: Staining = CENTRES[0],
) -> GradedSet:
    """``per_class`` images of each grade, taken in turn from ``slides`` invented slides of that grade.

    Parameters
    ----------
    px : side of an image, 96 to 224. noise : of the camera, grey levels. staining : dyes and scanner; every slide
        stains more or less strongly by itself.

    Raises
    ------
    UsageError
        for fewer than one image or slide, or a size out of range.
    """
    if min(per_class, slides) < 1:
        raise UsageError(f"{per_class} images of {slides} slides", remedy="Give at least one of each")
    images, labels, names, masks, kept = [], [], [], [], []
    for c, label in enumerate(CLASSES):
        strengths = np.exp(np.random.default_rng([seed, c, 31]).normal(0, SLIDES_DIFFER, (slides, 2))).tolist()
        for i in range(per_class):
            field = gland_field(label, px=px, seed=seed * 100_000 + i)
            key = (seed * 10 + c) * 100_000 + i
            images.append(staining.image(field.concentrations, gains=strengths[i % slides], noise=noise, seed=key))
            labels.append(label)
            names.append(f"{label}-{i % slides + 1}")
            masks.append(field.glands)
            kept.append(field.kept)
    return GradedSet(tuple(images), tuple(labels), tuple(names), tuple(masks), tuple(kept))
