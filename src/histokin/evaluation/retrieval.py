"""Retrieval measured between laboratories or within a set: one table, always with chance and a color histogram."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from histokin.encoders.base import Encoder
from histokin.encoders.registry import encoder
from histokin.errors import InputError, UsageError
from histokin.evaluation.encoding import Encoded, choices, encode_pictures
from histokin.evaluation.labelled import Fit, LabelledSet, refuse
from histokin.evaluation.leakage import Side, side
from histokin.evaluation.pictures import Pictures
from histokin.evaluation.protocols import plan
from histokin.evaluation.tabulate import KS, Coded, Measured, Picture, Table, tabulate
from histokin.retrieval.report import Progress, Silent
from histokin.slides.grid import Grid
from histokin.stain.base import Appearance
from histokin.stain.registry import normalizer

__all__ = ["Loaded", "Measured", "Table", "evaluate_sets", "load", "measure_sets"]


@final
@dataclass(frozen=True, eq=False)
class Loaded:
    """A set whose images can all be used, their pictures, and what the leakage checks need of them."""

    items: LabelledSet
    pictures: Pictures
    side: Side


def load(
    images: LabelledSet, grid: Grid, *, broken: list[InputError] | None = None, progress: Progress | None = None
) -> Loaded:
    """Decode a set once; images that cannot be used go to ``broken`` and out of the set.

    Raises
    ------
    UsageError
        when there are some and no ``broken`` takes them, or no image is left.
    """
    watch = progress or Silent()
    watch.begin(f"reading {images.name}", len(images))
    pictures = Pictures(images.paths, grid, progress=watch)
    refuse(list(pictures.broken.values()), broken)
    items = images.take([place for place in range(len(images)) if place not in pictures.broken])
    if not len(items):
        raise UsageError(f"no image of {images.name} can be used", remedy="Repair them, or give another folder")
    watch.finish(images.name, 1, "read")
    return Loaded(items, pictures, side(items.names, items.labels, pictures, items.columns or None))


def evaluate_sets(
    database: LabelledSet,
    queries: LabelledSet | None,
    *,
    encoders: Sequence[str],
    normalizers: Sequence[str],
    fit: Fit = "set",
    options: Mapping[str, Mapping[str, Any]] | None = None,
    protocol: str | None = None,
    group: str | None = None,
    ks: Sequence[int] = KS,
) -> Table:
    """The table of :func:`measure_sets`; one broken image ends it."""
    return measure_sets(
        database,
        queries,
        encoders=encoders,
        normalizers=normalizers,
        fit=fit,
        options=options,
        protocol=protocol,
        group=group,
        ks=ks,
    ).table


def measure_sets(
    database: LabelledSet,
    queries: LabelledSet | None,
    *,
    encoders: Sequence[str],
    normalizers: Sequence[str],
    fit: Fit = "set",
    options: Mapping[str, Mapping[str, Any]] | None = None,
    protocol: str | None = None,
    group: str | None = None,
    ks: Sequence[int] = KS,
    broken: list[InputError] | None = None,
    progress: Progress | None = None,
) -> Measured:
    """Score every encoder with every normalizer, and the color histogram whether it is named or not.

    Parameters
    ----------
    queries : another set; without it images of the database ask.
    encoders : names, ``NAME=FILE``, or folders with a network in ONNX form; the first is what others are held to.
    fit : fit the stain once per set, or on every image by itself.
    options : those of a normalizer, by its name; trained weights by style are chosen by the sets' names.
    protocol, group : who may answer; see :func:`~histokin.evaluation.protocols.plan`.
    ks : numbers of hits to score.
    broken : takes the images that cannot be used; without it one ends the evaluation.
    """
    watch = progress or Silent()
    grid = Grid()
    named = choices(encoders)
    built = [encoder(each.name, **each.options) for each in named]
    appearances = [normalizer(name, **(options or {}).get(name, {})) for name in normalizers]
    plan(database, queries, protocol, group)  # refuse before anything is decoded
    watch.start((1 if queries is None else 2) * (1 + len(normalizers)))
    both = [load(one, grid, broken=broken, progress=watch) for one in (database, queries) if one is not None]
    first, second = both[0], both[1] if queries is not None else None
    task = plan(first.items, None if second is None else second.items, protocol, group)
    rows = []
    for name, appearance in zip(normalizers, appearances, strict=True):
        sets = _encoded(both, name, appearance, built, fit, watch)
        for chosen, made, parts in zip(named, built, zip(*sets, strict=True), strict=True):
            vectors = (parts[0].vectors[task.archive], parts[-1].vectors[task.queries])
            rows.append(Coded(chosen.label, name, *vectors, made.spec.metric, _seconds(both, parts)))
    return tabulate(
        (first.items, first.side),
        None if second is None else (second.items, second.side),
        task,
        rows,
        ks,
        notes=(f"The stain was fitted once per {fit}.",) if set(normalizers) != {"none"} else (),
        pictures=(_picture(first), _picture(both[-1])),
    )


def _encoded(
    sets: Sequence[Loaded], name: str, appearance: Appearance, encoders: Sequence[Encoder], fit: Fit, progress: Progress
) -> list[list[Encoded]]:
    """Vectors of every set by every encoder, after one normalizer."""
    found = []
    for one in sets:
        progress.begin(f"{name}: {one.items.name}", len(one.items))
        found.append(encode_pictures(one.pictures, one.items.name, appearance, encoders, fit, progress=progress))
        progress.finish(one.items.name, 1, "encoded")
    return found


def _seconds(sets: Sequence[Loaded], parts: Sequence[Encoded]) -> float:
    """CPU seconds per 1000 images: reading, mapping and encoding, over all sets."""
    spent = sum(
        len(one.items) * (part.seconds + one.pictures.seconds / max(one.pictures.decoded, 1))
        for one, part in zip(sets, parts, strict=True)
    )
    return 1000 * spent / sum(len(one.items) for one in sets)


def _picture(one: Loaded) -> Picture:
    return one.pictures.__getitem__
