"""Which patches to cut from one slide: windows over its areas, random ones, and the rules they must pass."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from histokin.errors import MissingScale, UsageError
from histokin.slides.areas import Area
from histokin.slides.base import Slide
from histokin.slides.glands import LEAST_GLAND, Glands
from histokin.slides.windows import PUBLISHED_OVERLAP, PUBLISHED_SIDE, OverlapMode, random_windows, thinned, windows
from histokin.types import Region

SLIDING, RANDOM = "window", "random"
SLACK = 1e-9
"""Of shares, against rounding."""

GlandsOf = Callable[[Slide, Sequence[Region]], Sequence[Glands]]
"""Where glands are in each of several areas of a slide."""


@final
@dataclass(frozen=True)
class Cutting:
    """How patches are cut.

    Parameters
    ----------
    side : of a patch in pixels.
    mpp : microns per pixel of a patch; None for pixels of level 0 as they are.
    overlap, mode, legacy, pad_small : see :func:`histokin.slides.windows.windows`.
    random, max_iou : random windows per area, and how much they may overlap others.
    target : patches wanted of a class: windows are thinned out or random ones added until each has so many.
    least_inside : share of a window that must lie in the area, 0 to 1; the rest may be beside an outline.
    least_gland : share of a window that must be gland, 0 to 1, where glands are known.

    Raises
    ------
    UsageError
        for a value out of range.
    """

    side: int = PUBLISHED_SIDE
    mpp: float | None = None
    overlap: float | int = PUBLISHED_OVERLAP
    mode: OverlapMode = "linear"
    legacy: bool = False
    pad_small: bool = False
    random: int = 0
    max_iou: float | int = 0.5
    target: Mapping[str, int] = field(default_factory=dict)
    least_inside: float | int = 0.75
    least_gland: float | int = LEAST_GLAND
    seed: int = 0

    def __post_init__(self) -> None:
        checks = (
            (8 <= self.side <= 8192, "side", "8 to 8192 pixels"),
            (self.mpp is None or self.mpp > 0, "mpp", "a positive number of microns per pixel"),
            (0 <= self.overlap < 1, "overlap", "0 up to, but not, 1"),
            (self.random >= 0, "random", "0 or more"),
            (0 <= self.max_iou <= 1, "max_iou", "0 to 1"),
            (0 <= self.least_inside <= 1, "least_inside", "0 to 1"),
            (0 <= self.least_gland <= 1, "least_gland", "0 to 1"),
            (all(n > 0 for n in self.target.values()), "target", "1 or more of each class"),
            (not (self.target and self.random), "random", "nothing beside targets, which say how many are added"),
        )
        for fine, name, wanted in checks:
            if not fine:
                raise UsageError(f"{name} of the patches is {getattr(self, name)}", remedy=f"It takes {wanted}")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "target": dict(self.target)}


@final
@dataclass(frozen=True)
class Window:
    """A patch to cut. ``inside`` and ``gland`` are shares of it, 0 to 1; ``gland`` is None where nobody knows."""

    region: Region
    kind: str
    inside: float
    gland: float | None = None


@final
@dataclass(frozen=True, eq=False)
class PlannedArea:
    """One area, its class, the part of the slide it spans, the windows kept, and why others were dropped."""

    name: str
    label: str
    area: Area
    frame: Region
    windows: tuple[Window, ...]
    dropped: Mapping[str, int]


@final
@dataclass(frozen=True, eq=False)
class SlidePlan:
    """What to cut from one slide; ``notes`` tell what was left out and why."""

    name: str
    patient: str
    areas: tuple[PlannedArea, ...]
    level0_side: int
    mpp: float | None
    gland_source: str
    notes: tuple[str, ...] = ()

    @property
    def patches(self) -> int:
        return sum(len(area.windows) for area in self.areas)

    def digest(self, cutting: Cutting) -> str:
        """32 hexadecimal digits of everything that decides the patches, save the slide itself."""
        rows = [
            (a.name, a.label, (a.frame.x, a.frame.y, a.frame.width, a.frame.height), [_row(w) for w in a.windows])
            for a in self.areas
        ]
        said = (self.name, self.patient, self.mpp, self.gland_source, cutting.side, cutting.pad_small, rows)
        return hashlib.blake2b(json.dumps(said).encode(), digest_size=16).hexdigest()


def plan_slide(
    slide: Slide,
    name: str,
    areas: Sequence[Area],
    cutting: Cutting,
    *,
    patient: str = "",
    glands: GlandsOf | None = None,
    quotas: Mapping[str, int] | None = None,
) -> SlidePlan:
    """The windows of every area of a slide that has a class.

    Parameters
    ----------
    glands : where they are; without it no window is dropped for having too few.
    quotas : patches to keep of each area by its name, instead of all windows and ``cutting.random`` more.

    Raises
    ------
    MissingScale
        ``cutting.mpp`` is given, and the scale of the slide is not known.
    """
    side = _level0_side(slide, cutting)
    whole = Region(0, 0, slide.width, slide.height)
    notes, chosen = [], []
    for number, area in enumerate(areas, 1):
        frame = _common(area.bounds, whole)
        if not area.label:
            notes.append(f"area {number} has no class and was left out")
        elif frame is None:
            notes.append(f"area {number} ({area.label}) lies outside the slide and was left out")
        else:
            if frame != area.bounds:
                notes.append(f"area {number} ({area.label}) reaches outside the slide and was cut off there")
            chosen.append((f"{number:03d}", area, frame))
    known = glands(slide, [frame for _, _, frame in chosen]) if glands and chosen else [None] * len(chosen)
    planned = tuple(
        _Rules(area, found, side, cutting).area(number, frame, None if quotas is None else quotas.get(number, 0), name)
        for (number, area, frame), found in zip(chosen, known, strict=True)
    )
    notes += [
        f"area {one.name} ({one.label}) is {one.frame.width} x {one.frame.height} pixels, no window of {side} fits"
        for one in planned
        if not one.windows and not one.dropped
    ]
    source = next((found.source for found in known if found is not None), "")
    return SlidePlan(name, patient, planned, side, slide.mpp, source, tuple(notes))


@final
class _Rules:
    """What a window of one area must pass."""

    def __init__(self, area: Area, glands: Glands | None, side: int, cutting: Cutting) -> None:
        self._area, self._glands, self._side, self._cutting = area, glands, side, cutting

    def area(self, number: str, frame: Region, quota: int | None, slide: str) -> PlannedArea:
        cutting, side = self._cutting, self._side
        places = windows(
            frame, side, overlap=cutting.overlap, mode=cutting.mode, legacy=cutting.legacy, pad_small=cutting.pad_small
        )
        seen = [self._window(place, SLIDING, frame) for place in places]
        inside = [w for w in seen if cutting.legacy or w.inside >= cutting.least_inside - SLACK]
        kept = [w for w in inside if self._enough(w)]
        dropped = {"outside": len(seen) - len(inside), "gland": len(inside) - len(kept)}
        more = cutting.random if quota is None else max(0, quota - len(kept))
        if quota is not None:
            kept = [kept[i] for i in thinned(len(kept), quota)]
        drawn = random_windows(
            frame,
            side,
            more,
            np.random.default_rng(
                [cutting.seed, *hashlib.blake2b(f"{slide}/{number}".encode(), digest_size=8).digest()]
            ),
            max_iou=cutting.max_iou,
            taken=[w.region for w in kept],
            accept=lambda place: self._fine(place, frame),
        )
        kept += [self._window(place, RANDOM, frame) for place in drawn]
        why = {key: count for key, count in dropped.items() if count}
        if len(drawn) < more:
            why["no place"] = more - len(drawn)
        return PlannedArea(number, self._area.label, self._area, frame, tuple(kept), why)

    def _draws(self, where: str) -> np.random.Generator:
        """Random numbers of an area, the same whatever other areas there are."""
        return np.random.default_rng([self._cutting.seed, *hashlib.blake2b(where.encode(), digest_size=8).digest()])

    def _window(self, place: Region, kind: str, frame: Region) -> Window:
        # a window that is filled by reflection is judged by the part that is there
        there = _common(place, frame) if self._cutting.pad_small else place
        gland = None if self._glands is None else round(float(self._glands.fractions([there or place])[0]), 6)
        return Window(place, kind, round(self._area.share(there or place), 6), gland)

    def _enough(self, window: Window) -> bool:
        return window.gland is None or window.gland >= self._cutting.least_gland - SLACK

    def _fine(self, place: Region, frame: Region) -> bool:
        window = self._window(place, RANDOM, frame)
        return window.inside >= self._cutting.least_inside - SLACK and self._enough(window)


def _level0_side(slide: Slide, cutting: Cutting) -> int:
    if cutting.mpp is None:
        return cutting.side
    if slide.mpp is None:
        raise MissingScale(
            "the file does not say how many microns a pixel spans",
            remedy="Give it with --mpp, or cut pixels of level 0 without --grid-mpp",
            path=slide.path,
        )
    return max(1, round(cutting.side * cutting.mpp / slide.mpp))


def _common(one: Region, other: Region) -> Region | None:
    x, y = max(one.x, other.x), max(one.y, other.y)
    right, bottom = min(one.x + one.width, other.x + other.width), min(one.y + one.height, other.y + other.height)
    return Region(x, y, right - x, bottom - y) if right > x and bottom > y else None


def _row(window: Window) -> tuple[object, ...]:
    place = window.region
    return place.x, place.y, place.width, window.kind, window.inside, window.gland


def cut_name(path: Path) -> str:
    """What a slide is called in the names of its patches."""
    return path.stem.removesuffix(".ome")
