"""Figures 2, 3 and 4 of the cross-modality page, drawn from this data."""

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np

from histokin.errors import HistokinError
from histokin.evaluation.cross_modality.cells import Cells
from histokin.evaluation.cross_modality.equivariance import aligned, correlation, equivariance, likeness
from histokin.evaluation.cross_modality.representing import Pixels
from histokin.evaluation.cross_modality.subjects import Subjects
from histokin.evaluation.figures import COLORS, gallery
from histokin.evaluation.page.model import Figure, Table
from histokin.evaluation.reproduce.cross_modality_answers import (
    FEATURES,
    REPRESENTATIONS,
    Way,
    asked,
    lines,
    short,
    sides,
)
from histokin.evaluation.reproduce.cross_modality_networks import Models
from histokin.evaluation.reproduce.cross_modality_plan import translations
from histokin.evaluation.reproduce.cross_modality_published import FULL, PATCHES, cross_moved, within_moved
from histokin.evaluation.reproduce.cross_modality_run import Scored
from histokin.evaluation.reproduce.run import Run
from histokin.modality.registry import representation

EXAMPLES = 3


def figure_two(subjects: Subjects) -> Figure:
    """A pair, its transformed copies, and the central patches that ask."""
    place = subjects.folds[0].test[0]
    sizes = subjects.sizes[:2]
    rows = []
    for modality in (0, 1):
        row: list[Pixels] = [_rgb(subjects.image(place, modality)), _rgb(subjects.query(place, modality, 0, sizes[0]))]
        if len(sizes) > 1:
            row += [_rgb(subjects.query(place, modality, number, sizes[1])) for number in (None, 0)]
        rows.append(row)
    rigid = subjects.transform(place, 0)
    names = ("image", "transformed", "central patch", "patch of the transformed")
    caption = (
        f"{subjects.items[place].name}, transform 0: {rigid.degrees:.1f} degrees counterclockwise, {rigid.dx:.1f} px "
        f"right and {rigid.dy:.1f} px down; patches of {sizes[-1]} px."
    )
    return Figure(
        f"Figure 2 on {subjects.name}: a pair and its patches",
        gallery(rows, [short(name) for name in subjects.modalities], names),
        caption,
    )


def figure_three(scored: Scored) -> Figure | None:
    """Bars of the share found, averaged over directions: full and patch, across and within modalities."""
    panels: list[tuple[str, dict[str, tuple[float, float]]]] = []
    tables = (("full image", FULL), ("patch", PATCHES))
    for across in (True, False):
        for (size, _), (title, table) in zip(sides(scored.subjects), tables, strict=False):
            bars: dict[str, tuple[float, float]] = {}
            for feature, feature_title in FEATURES.items():
                for kind, kind_title in REPRESENTATIONS.items():
                    ours = _average(scored, kind, feature, size, across)
                    if ours is None:
                        continue
                    theirs = float("nan")
                    if (feature, kind) in table:
                        theirs = (cross_moved if across else within_moved)(table, feature, kind)
                    bars[f"{kind_title}\n{feature_title}"] = (ours, theirs)
            panels.append((f"{title}, {'across' if across else 'within'} modalities", bars))
    if not any(bars for _, bars in panels):
        return None
    items = len(scored.subjects.folds[0].repository)
    return Figure(
        f"Figure 3 on {scored.subjects.name}: transformed queries, averaged over directions",
        _bars(panels, 100 * 2 / items),
        f"Dark: ours, Acc@2 of {items}, in %; light: published, Acc@10 of 134. The line is chance. Translated images: "
        "average of the four cells, as either side may be the translated one.",
    )


def _average(scored: Scored, kind: str, feature: str, size: int, across: bool) -> float | None:
    values = []
    for line in lines(scored.subjects, kind):
        for asking in (0, 1):
            # What a query shows in truth, against what the repository shows in truth.
            if (asking != line.answering) is not across:
                continue
            found = asked(scored, Way("", line.representation, feature), size, line.answering, asking)
            if found is None:
                return None
            values.append(float((found.ranks <= 2).mean()))
    return 100 * float(np.mean(values)) if values else None


def equivariance_table(run: Run, subjects: Subjects, models: Models) -> Table:
    """Figure 4a in numbers: over the test images of the first fold and all transforms."""
    fold = subjects.folds[0]
    rows: list[tuple[object, ...]] = []
    for title, maps in _representations(subjects, models):
        for modality in (0, 1):
            identity = {"space": maps.space, "pairs": subjects.pairs.digest, "fold": fold.test}
            name = f"{subjects.slug}/equivariance/{title.replace(' ', '-').replace(',', '')}-{modality}"
            make = partial(_equivariances, subjects, maps, modality)
            values = Cells(run.out / "cells").made(name, identity, make)
            finite = np.array([value for value in values if value is not None], np.float64)
            mean, low = (float(finite.mean()), float(finite.min())) if len(finite) else (float("nan"),) * 2
            rows.append((title, short(subjects.modalities[modality]), len(finite), round(mean, 3), round(low, 3)))
    columns = ("representation", "images of", "pairs of images", "mean correlation", "lowest")
    note = (
        "Correlation of an image's representation with that of its transformed copy moved back, where both show the "
        "image. Published claim: near 1 for CoMIR, lower for translated images. Originals lose to interpolation only."
    )
    return Table(f"Figure 4a in numbers on {subjects.name}", columns, tuple(rows), note, run.command)


def _equivariances(subjects: Subjects, maps: Any, modality: int) -> list[float | None]:
    mapping = maps.map(subjects.modalities[modality])
    values: list[float | None] = []
    for place in subjects.folds[0].test[:EXAMPLES]:
        rigids = [subjects.transform(place, number) for number in range(min(3, subjects.transforms))]
        found = equivariance(mapping, subjects.image(place, modality), rigids)
        values += [None if np.isnan(value) else value for value in found]
    return json.loads(json.dumps(values))  # type: ignore[no-any-return]


def figure_four_a(subjects: Subjects, models: Models) -> Figure:
    """Representations of an image and of its transformed copy moved back, with their correlation."""
    place = subjects.folds[0].test[0]
    rigid = subjects.transform(place, 0)
    rows, names = [], []
    for title, maps in _representations(subjects, models):
        row: list[Pixels] = []
        told = []
        for modality in (0, 1):
            plain, back, mask = aligned(maps.map(subjects.modalities[modality]), subjects.image(place, modality), rigid)
            told.append(f"{correlation(plain, back, mask):.2f}")
            row += [_rgb(plain), _rgb(np.where(mask[..., None], back, 0).astype(np.uint8))]
        rows.append(row)
        names.append(f"{title}\n{' and '.join(told)}")
    bf, shg = (short(name) for name in subjects.modalities)
    columns = (bf, f"{bf}(T), back", shg, f"{shg}(T), back")
    caption = (
        f"{subjects.items[place].name}, {rigid.degrees:.1f} degrees, {rigid.dx:.1f} and {rigid.dy:.1f} px. At the left "
        f"the correlation of each pair, {bf} and {shg}, where both show the image (the rest is black)."
    )
    return Figure(f"Figure 4a on {subjects.name}: equivariance", gallery(rows, names, columns), caption)


def figure_four_b(subjects: Subjects, models: Models) -> Figure | None:
    """What the generators make of several images, beside the real ones: does one picture serve for all?"""
    fold = subjects.folds[0]
    places = fold.test[:5]
    rows: list[list[Pixels]] = []
    names: list[str] = []
    for target in (0, 1):
        real = [subjects.image(place, target) for place in places]
        sources = [subjects.image(place, 1 - target) for place in places]
        rows += [[_rgb(image) for image in sources], [_rgb(image) for image in real]]
        bf = short(subjects.modalities[target])
        names += [short(subjects.modalities[1 - target]), f"real {bf}\n{likeness(real):.2f}"]
        for method in ("cyclegan", "pix2pix"):
            model = models.of(method, fold)
            if model is None:
                continue
            maps = representation(method, path=model.folder, towards=subjects.modalities[target])
            mapping: Any = maps.map(subjects.modalities[1 - target])
            fakes = [np.asarray(mapping(image)) for image in sources]
            rows.append([_rgb(image) for image in fakes])
            names.append(f"{REPRESENTATIONS[method]}\n{likeness(fakes):.2f}")
    if len(rows) == 4:
        return None
    caption = (
        "Test images of the first fold, what each generator makes of them, and what they should have become. At the "
        "left the mean correlation between different images of the row: a generator that paints one picture for all "
        "has a higher one than the real images."
    )
    return Figure(f"Figure 4b on {subjects.name}: mode collapse", gallery(rows, names, ()), caption)


def _representations(subjects: Subjects, models: Models) -> list[tuple[str, Any]]:
    fold = subjects.folds[0]
    found: list[tuple[str, Any]] = [("originals", representation("none", modalities=subjects.modalities))]
    comir = models.of("comir", fold)
    if comir is not None:
        found.append(("CoMIR", representation("comir", path=comir.folder)))
        with suppress(HistokinError):
            found.append(("CoMIR, untrained", representation("comir", path=comir.untrained)))
    for method in ("cyclegan", "pix2pix"):
        model = models.of(method, fold)
        if model is not None:
            found.append((f"{REPRESENTATIONS[method]}, translated", _Crossed(subjects, method, model.folder)))
    return found


class _Crossed:
    """Every modality translated into the other one."""

    def __init__(self, subjects: Subjects, method: str, folder: Any) -> None:
        first, second = subjects.modalities
        self._maps = {
            first: representation(method, path=folder, towards=second),
            second: representation(method, path=folder, towards=first),
        }

    @property
    def space(self) -> str:
        return " ".join(maps.space for maps in self._maps.values())

    def map(self, modality: str) -> Any:
        return self._maps[modality].map(modality)


def _rgb(image: Any) -> Pixels:
    array = np.asarray(image)
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[:, :, :3]


def _bars(panels: Sequence[tuple[str, dict[str, tuple[float, float]]]], chance: float) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(13, 7.5), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    for cell, (title, bars) in zip(
        figure.subplots(2, 2).T.ravel()
        if len(panels) == 4
        else figure.subplots(1, max(1, len(panels)), squeeze=False).ravel(),
        panels,
        strict=False,
    ):
        for place, (ours, theirs) in enumerate(bars.values()):
            color = COLORS[place % len(COLORS)]
            cell.bar(place - 0.2, ours, 0.38, color=color)
            cell.text(place - 0.2, ours + 1, f"{ours:.0f}", ha="center", fontsize=6)
            if np.isfinite(theirs):
                cell.bar(place + 0.2, theirs, 0.38, color=color, alpha=0.35)
                cell.text(place + 0.2, theirs + 1, f"{theirs:.0f}", ha="center", fontsize=6)
        cell.axhline(chance, color="#222222", linewidth=0.8, linestyle="--")
        cell.set_xticks(range(len(bars)), list(bars), fontsize=6.5, rotation=35, ha="right")
        cell.set_ylim(0, 108)
        cell.set_title(title, fontsize=9)
        cell.grid(axis="y", alpha=0.3)
    data = BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def spaces(subjects: Subjects) -> tuple[str, ...]:
    """All spaces of translated images."""
    return (*translations(subjects, "cyclegan"), *translations(subjects, "pix2pix"))
