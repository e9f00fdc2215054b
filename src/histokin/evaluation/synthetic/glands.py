"""Colonic glands of five grades, drawn: what the graded classes of colorectal cancer are told apart by.

``normal`` has round, even glands with one row of small nuclei. ``adenoma`` has long glands packed back to back, with
slits for lumens and several rows of long, dark nuclei. The three grades of adenocarcinoma have fused nests of large,
uneven nuclei: some are glands with several round holes (cribriform), the others solid. ``well`` keeps more than 95 %
of the tumor in glands, ``moderately`` 50 to 95 %, ``poorly`` less than 50 %.

Nothing here shows real tissue.
"""

from dataclasses import dataclass
from typing import final

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from histokin.errors import UsageError
from histokin.evaluation.synthetic.tissue import ellipse, stained

CLASSES = ("normal", "adenoma", "well", "moderately", "poorly")
"""The published classes, in their order; the last three are adenocarcinoma by differentiation."""

KEPT = {"well": (0.95, 1.0), "moderately": (0.5, 0.95), "poorly": (0.0, 0.5)}
"""Share of the tumor that keeps forming glands."""

AIMS = {"well": (0.965, 1.0), "moderately": (0.56, 0.9), "poorly": (0.06, 0.44)}
LEAST_PX, MOST_PX = 96, 224
SCENE_PX = 320
"""Side of the field that is drawn, whatever the size of the picture of it."""

FRAME_PX = 160
"""Around the scene, so that no nest reaches outside."""

TRIES = 64
CHROMATIN = {"normal": 0.95, "adenoma": 1.2}
CANCER_CHROMATIN = 1.15

Spots = Float64[np.ndarray, "n 2"]
Line = Float64[np.ndarray, "k 2"]


@final
@dataclass(frozen=True, eq=False)
class GlandField:
    """One field. ``concentrations`` are of hematoxylin and eosin; ``glands`` the pixels of glands, lumens included.

    ``kept`` is the share of the epithelium that lies in glands, 0 to 1, counted on the pixels drawn.
    """

    label: str
    concentrations: Float32[np.ndarray, "px px 2"]
    glands: Bool[np.ndarray, "px px"]
    kept: float


def gland_field(label: str, *, px: int = 224, seed: int = 0) -> GlandField:
    """A square field of one class; the same label, size and seed give the same field.

    The field shows the same stretch of tissue at every size. Raises :class:`UsageError` for a class that is not one
    of :data:`CLASSES`, or a size outside 96 to 224.
    """
    if label not in CLASSES:
        raise UsageError(f"no synthetic gland is called '{label}'", remedy=f"Choose one of: {', '.join(CLASSES)}")
    if not LEAST_PX <= px <= MOST_PX:
        raise UsageError(f"glands are not drawn on {px} pixels", remedy=f"Ask for {LEAST_PX} to {MOST_PX}")
    rng = np.random.default_rng([seed, CLASSES.index(label), 30])
    low, high = KEPT.get(label, (1.0, 1.0))
    for _ in range(TRIES):
        scene = _Scene(rng)
        if label in KEPT:
            _cancer(scene, label)
        else:
            (_normal if label == "normal" else _adenoma)(scene)
        kept = scene.kept
        if low < kept < high or kept == high == 1.0:
            break
    else:
        raise AssertionError(f"no {label} field of seed {seed} after {TRIES} tries")
    return scene.finish(label, px, kept)


@final
class _Scene:
    """Planes that shapes are drawn on, as coverage from 0 to 255."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.epithelium, self.lumen, self.nuclei, self.red, self.glands, self.solid = (
            np.zeros((SCENE_PX, SCENE_PX), np.uint8) for _ in range(6)
        )

    @property
    def kept(self) -> float:
        glands, solid = int((self.glands > 0).sum()), int(((self.solid > 0) & (self.glands == 0)).sum())
        return glands / max(glands + solid, 1)

    def body(self, outline: Line, *, gland: bool) -> None:
        """Epithelium within an outline; what lay there before is covered."""
        corners = [np.rint(outline * 16).astype(np.int32)]
        for plane, value in ((self.nuclei, 0), (self.lumen, 0), (self.epithelium, 255)):
            cv2.fillPoly(plane, corners, value, cv2.LINE_8, 4)
        cv2.fillPoly(self.glands if gland else self.solid, corners, 255, cv2.LINE_8, 4)
        cv2.fillPoly(self.solid if gland else self.glands, corners, 0, cv2.LINE_8, 4)

    def nucleus(self, at: tuple[float, float], long: float, short: float, turn: float, *, uneven: float = 0.1) -> None:
        """One nucleus; ``uneven`` is the deviation of its log size."""
        size = float(np.exp(self.rng.normal(0, uneven)))
        shade = int(np.clip(self.rng.normal(205, 22), 120, 255))
        ellipse(self.nuclei, at[0], at[1], long * size, short * size, turn, shade)

    def stroma(self, per_100: float) -> None:
        """Thin nuclei of fibroblasts along one direction, and a few red cells."""
        way = self.rng.uniform(0, np.pi)
        for x, y in self.rng.uniform(0, SCENE_PX, (self.rng.poisson(per_100 * (SCENE_PX / 100) ** 2), 2)).tolist():
            self.nucleus((x, y), 5.0, 1.7, float(way + self.rng.normal(0, 0.4)))
        for x, y in self.rng.uniform(0, SCENE_PX, (int(self.rng.integers(0, 4)), 2)).tolist():
            ellipse(self.red, x, y, 3.5, 3.5, 0.0, 255)

    def finish(self, label: str, px: int, kept: float) -> GlandField:
        """The field at its final size."""
        planes = (self.epithelium, self.lumen, self.nuclei, self.red)
        drawn = stained(label, planes, CHROMATIN.get(label, CANCER_CHROMATIN), self.rng)
        small = cv2.resize(drawn.concentrations, (px, px), interpolation=cv2.INTER_AREA)
        glands = cv2.resize(self.glands, (px, px), interpolation=cv2.INTER_AREA)
        return GlandField(label, np.asarray(small, np.float32), np.asarray(glands) > 127, kept)


def _lattice(rng: np.random.Generator, across: float, along: float, jitter: float, turn: float) -> Spots:
    """Places in staggered rows over the scene and a little beyond, in random order."""
    reach = int(SCENE_PX / min(across, along)) + 2
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(float)
    flat = np.stack([(columns + 0.5 * (rows % 2)) * along, rows * across], axis=-1).reshape(-1, 2)
    flat += rng.normal(0, jitter, flat.shape) + rng.uniform(0, min(across, along), 2)
    cos, sin = np.cos(turn), np.sin(turn)
    places = flat @ np.array([[cos, sin], [-sin, cos]]) + SCENE_PX / 2
    margin = max(across, along) / 2
    inside = ((places > -margin) & (places < SCENE_PX + margin)).all(axis=1)
    return np.asarray(rng.permutation(places[inside]))


def _oval(at: tuple[float, float], long: float, short: float, turn: float) -> Line:
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    return _turned(np.stack([long * np.cos(t), short * np.sin(t)], axis=1), at, turn)


def _turned(points: Line, at: tuple[float, float], turn: float) -> Line:
    cos, sin = np.cos(turn), np.sin(turn)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]) + at)


def _row(line: Line, gap: float, offset: float) -> tuple[Spots, Float64[np.ndarray, "n"]]:
    """Places every ``gap`` pixels along a closed line, and the direction across it at each."""
    closed = np.concatenate([line, line[:1]])
    steps = np.diff(closed, axis=0)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*steps.T))])
    count = max(int(length[-1] / gap), 3)
    at = (np.arange(count) + offset) * length[-1] / count
    places = np.stack([np.interp(at, length, closed[:, i]) for i in range(2)], axis=1)
    side = steps[np.clip(np.searchsorted(length, at) - 1, 0, len(steps) - 1)]
    return places, np.asarray(np.arctan2(side[:, 1], side[:, 0]) + np.pi / 2)


def _normal(scene: _Scene) -> None:
    rng = scene.rng
    scene.stroma(4.0)
    spacing = float(rng.uniform(78, 86))
    for x, y in _lattice(rng, spacing * 0.87, spacing, 3.0, float(rng.uniform(0, np.pi))).tolist():
        radius, squash, turn = rng.uniform(29, 34), rng.uniform(0.88, 1.0), float(rng.uniform(0, np.pi))
        scene.body(_oval((x, y), radius, radius * squash, turn), gland=True)
        hole = radius * rng.uniform(0.38, 0.48)
        ellipse(scene.lumen, x, y, float(hole), float(hole * squash), turn, 255)
        places, across = _row(_oval((x, y), radius - 5, radius * squash - 5, turn), 8.5, float(rng.uniform(0, 1)))
        for (u, v), way in zip(places.tolist(), across.tolist(), strict=True):
            scene.nucleus((u, v), 3.4, 2.9, way)


def _adenoma(scene: _Scene) -> None:
    rng = scene.rng
    scene.stroma(2.0)
    way = float(rng.uniform(0, np.pi))
    for x, y in _lattice(rng, 45.0, 128.0, 2.5, way).tolist():
        long, short = float(rng.uniform(56, 66)), float(rng.uniform(20.5, 23))
        turn = way + float(rng.normal(0, 0.06))
        scene.body(_oval((x, y), long, short, turn), gland=True)
        ellipse(scene.lumen, x, y, long * 0.72, float(rng.uniform(2.5, 4.0)), turn, 255)
        for depth in (6.0, 11.5):
            line = _oval((x, y), long - depth, short - depth, turn)
            places, across = _row(line, 6.2, float(rng.uniform(0, 1)))
            for (u, v), lean in zip(places.tolist(), across.tolist(), strict=True):
                push = rng.normal(0, 1.2)
                at = (float(u + push * np.cos(lean)), float(v + push * np.sin(lean)))
                scene.nucleus(at, 5.4, 2.5, lean + float(rng.normal(0, 0.15)), uneven=0.12)


def _cancer(scene: _Scene, label: str) -> None:
    rng = scene.rng
    scene.stroma(7.0)
    spacing = float(rng.uniform(80, 94))
    nests = [
        _blob(rng, (x, y), float(rng.uniform(0.46, 0.56)) * spacing)
        for x, y in _lattice(rng, spacing * 0.87, spacing, 7.0, float(rng.uniform(0, np.pi))).tolist()
    ]
    aim = float(rng.uniform(*AIMS[label]))
    sizes = [_visible(nest) for nest in nests]
    whole, taken = sum(sizes), 0
    for nest, size in zip(nests, sizes, strict=True):
        if not size:
            continue
        gland = label == "well" or taken + size <= aim * whole
        taken += size * gland
        _nest(scene, nest, gland=gland)
    buds = {"well": rng.integers(0, 5), "moderately": rng.integers(2, 7), "poorly": rng.integers(15, 35)}[label]
    for x, y in rng.uniform(0, SCENE_PX, (int(buds), 2)).tolist():
        if not scene.epithelium[int(y), int(x)]:
            scene.body(_oval((x, y), 8.0, 6.5, float(rng.uniform(0, np.pi))), gland=False)
            scene.nucleus((x, y), 5.0, 4.0, float(rng.uniform(0, np.pi)), uneven=0.2)


def _blob(rng: np.random.Generator, at: tuple[float, float], radius: float) -> Line:
    """An irregular closed line around a place."""
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    waves = sum(rng.normal(0, 0.11 / np.sqrt(k)) * np.cos(k * t + rng.uniform(0, 2 * np.pi)) for k in range(2, 6))
    reach = radius * np.clip(1 + waves, 0.6, 1.5)
    return np.asarray(np.stack([at[0] + reach * np.cos(t), at[1] + reach * np.sin(t)], axis=1))


def _drawn(outline: Line) -> UInt8[np.ndarray, "px px"]:
    plane = np.zeros((SCENE_PX, SCENE_PX), np.uint8)
    cv2.fillPoly(plane, [np.rint(outline * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return plane


def _visible(outline: Line) -> int:
    return int(_drawn(outline).sum())


def _nest(scene: _Scene, outline: Line, *, gland: bool) -> None:
    """A nest of tumor cells: with several round lumens as a gland, or solid."""
    rng = scene.rng
    scene.body(outline, gland=gland)
    # the distance to the outline, on a frame wide enough that the edge of the picture is none
    depth, frame = np.asarray(cv2.distanceTransform(_framed(outline), cv2.DIST_L2, 5)), FRAME_PX
    holes: list[tuple[float, float, float]] = []
    if gland:
        low, high = outline.min(axis=0), outline.max(axis=0)
        for x, y in rng.uniform(low, high, (120, 2)).tolist():
            size = float(rng.uniform(6.0, 10.0))
            if depth[int(y) + frame, int(x) + frame] < size + 8 or len(holes) == 6:
                continue
            if all(np.hypot(x - u, y - v) > size + other + 9 for u, v, other in holes):
                holes.append((x, y, size))
                ellipse(scene.lumen, x, y, size, size * float(rng.uniform(0.85, 1.0)), 0.0, 255)
    low, high = outline.min(axis=0), outline.max(axis=0)
    gap = 9.6
    rows, columns = np.mgrid[low[1] : high[1] : gap, low[0] : high[0] : gap]
    grid = np.stack([columns + 0.5 * gap * (np.arange(len(rows)) % 2)[:, None], rows], axis=-1).reshape(-1, 2)
    for x, y in (grid + rng.normal(0, 1.3, grid.shape)).tolist():
        row, column = int(y) + frame, int(x) + frame
        inside = 0 <= row < len(depth) and 0 <= column < len(depth) and depth[row, column] > 4
        if inside and all(np.hypot(x - u, y - v) > size + 4 for u, v, size in holes):
            long = float(rng.uniform(4.4, 5.8))
            scene.nucleus((x, y), long, long * float(rng.uniform(0.65, 0.95)), float(rng.uniform(0, np.pi)), uneven=0.2)


def _framed(outline: Line) -> UInt8[np.ndarray, "m m"]:
    side = SCENE_PX + 2 * FRAME_PX
    plane = np.zeros((side, side), np.uint8)
    cv2.fillPoly(plane, [np.rint((outline + FRAME_PX) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return plane
