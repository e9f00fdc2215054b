"""Four kinds of medical pictures that nobody took: X-ray, MRI, OCT and EEG, each varied within itself.

They stand in for data that cannot be had. The four look so unlike each other that anything tells them apart: a search
that finds the right kind among them has shown that it works, and nothing about how well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import cv2
import numpy as np
from jaxtyping import Float

from histokin.errors import UsageError
from histokin.evaluation.synthetic.centres import Pictures
from histokin.evaluation.synthetic.folder import Entry, write_set
from histokin.evaluation.synthetic.traces import eeg
from histokin.types import RGB

LEAST_PX = 32

Plane = Float[np.ndarray, "h w"]


@final
@dataclass(frozen=True, eq=False)
class Modalities:
    """Pictures and which kind each is."""

    images: Pictures
    labels: tuple[str, ...]

    def write(self, folder: Path) -> Path:
        """A folder per kind with PNG files, ``manifest.csv`` and a README that says what they are; the manifest."""
        counts: dict[str, int] = {}
        entries = []
        for label, image in zip(self.labels, self.images, strict=True):
            number = counts[label] = counts.get(label, -1) + 1
            entries.append(Entry(f"{label}/{number:04d}.png", image, "four-modalities", "", label))
        return write_set(folder, entries, "Pictures like X-rays, MRI, OCT and EEG, drawn from formulas")


def four_modalities(per_kind: int = 120, *, px: int = 128, seed: int = 0) -> Modalities:
    """``per_kind`` pictures of each of the four kinds; the same seed gives the same bytes.

    Raises
    ------
    UsageError
        for fewer than 32 pixels.
    """
    labels = [label for label in KINDS for _ in range(per_kind)]
    images = [modality(label, px=px, seed=seed * 1_000_000 + i % per_kind) for i, label in enumerate(labels)]
    return Modalities(tuple(images), tuple(labels))


def modality(kind: str, *, px: int = 128, seed: int = 0) -> RGB:
    """One picture "px px 3" of a kind (``X-ray``, ``MRI``, ``OCT``, ``EEG``).

    Raises
    ------
    UsageError
        for another kind, or fewer than 32 pixels.
    """
    if kind not in KINDS:
        raise UsageError(f"no synthetic modality is called '{kind}'", remedy=f"Choose one of: {', '.join(KINDS)}")
    if px < LEAST_PX:
        raise UsageError(f"{px} pixels are too few for a picture", remedy=f"Ask for {LEAST_PX} or more")
    return KINDS[kind](px, np.random.default_rng([seed, list(KINDS).index(kind), 4]))


def xray(px: int, rng: np.random.Generator) -> RGB:
    """What ellipsoids and hollow bones let through: a chest, or a limb of one or two bones.

    The path through an ellipsoid with half axes a, b (in the picture) and c is ``2 c sqrt(1 - (x/a)^2 - (y/b)^2)``;
    light is ``exp(-sum)`` of the paths times what each stuff absorbs (Beer-Lambert), shown inverted.
    """
    absorbed = _chest(px, rng) if rng.random() < 0.5 else _limb(px, rng)
    light = np.exp(-absorbed * rng.uniform(0.8, 1.2))
    quanta = rng.uniform(150, 600)
    shown = 1 - rng.poisson(np.maximum(light, 0) * quanta) / quanta
    return _gray(_blurred(shown.astype(np.float32), px / 256), rng.uniform(0.8, 1.3))


def mri(px: int, rng: np.random.Generator) -> RGB:
    """A slice of a head: scalp, skull, folded brain and ventricles as ellipses, under an uneven coil and Rician noise.

    Which tissue is bright depends on the weighting, T1 or T2.
    """
    t1 = bool(rng.random() < 0.5)
    levels = {"scalp": 0.9, "bone": 0.06, "fluid": 0.15, "gray": 0.5, "white": 0.75}
    if not t1:
        levels = {"scalp": 0.6, "bone": 0.05, "fluid": 0.95, "gray": 0.6, "white": 0.4}
    wide, high, turn = rng.uniform(0.30, 0.38), rng.uniform(0.38, 0.45), rng.uniform(-15, 15)
    middle = tuple(0.5 + rng.uniform(-0.03, 0.03, 2))

    def inside(share: float, x: float = 0.0, y: float = 0.0, across: float = 1.0, down: float = 1.0) -> Plane:
        center = (middle[0] + x * wide, middle[1] + y * high)
        return _ellipse(px, center, (share * across * wide, share * down * high), turn)

    image = np.zeros((px, px), np.float32)
    for name, share in (("scalp", 1.0), ("bone", 0.93), ("fluid", 0.86), ("gray", 0.82)):
        image = _over(image, inside(share), levels[name])
    folds = _smooth_noise(px, px / rng.uniform(14, 22), rng)
    image = _over(image, inside(0.72) * (folds > -0.35), levels["white"])
    image = _over(image, inside(0.82) * (np.abs(folds) < 0.06) * (1 - inside(0.5)), levels["fluid"])
    large = rng.uniform(0.14, 0.24)
    for aside in (-1, 1):
        image = _over(image, inside(large, 0.16 * aside, -0.05, 0.6, 1.5), levels["fluid"])
    if rng.random() < 0.3:
        place = rng.uniform(-0.45, 0.45, 2)
        image = _over(image, inside(float(rng.uniform(0.08, 0.2)), float(place[0]), float(place[1])), 0.3 if t1 else 1)
    coil = 1 + 0.25 * _smooth_noise(px, px / 2, rng)
    image = np.asarray(_blurred(image, px / 200) * coil, np.float32)
    noise = rng.normal(0, rng.uniform(0.015, 0.05), (2, px, px))
    return _gray(np.hypot(image + noise[0], noise[1]).astype(np.float32), rng.uniform(0.85, 1.2))


def oct_scan(px: int, rng: np.random.Generator) -> RGB:
    """Layers of a retina across the picture, bent, with a pit or without, fading with depth, under speckle.

    Speckle multiplies: its intensity is gamma distributed, with as many looks as were averaged.
    """
    x = np.linspace(-1, 1, px, dtype=np.float32)
    depth = np.arange(px, dtype=np.float32)[:, None] / px
    pit = rng.uniform(0.05, 0.14) * (rng.random() < 0.6)
    bend, tilt = rng.uniform(-0.08, 0.12), rng.uniform(-0.08, 0.08)
    base = rng.uniform(0.25, 0.4) + bend * x**2 + tilt * x
    hollow = pit * np.exp(-(((x - rng.uniform(-0.3, 0.3)) / rng.uniform(0.15, 0.3)) ** 2))
    levels = (0.75, 0.45, 0.6, 0.35, 0.5, 0.2, 0.95, 0.7)
    thick = np.array([0.05, 0.06, 0.03, 0.05, 0.03, 0.07, 0.025, 0.12]) * rng.uniform(0.75, 1.25, 8)
    image = np.full((px, px), 0.05, np.float32)
    top = base + hollow
    for number, (level, height) in enumerate(zip(levels, thick, strict=True)):
        wave = 0.006 * _smooth_noise(px, px / 6, rng)[0]
        below = top + height - hollow * (0.2 if number < 4 else 0.04) + wave
        image = np.where((depth >= top) & (depth < below), np.float32(level * rng.uniform(0.85, 1.15)), image)
        top = below
    fading = np.exp(-np.maximum(depth - top, 0) * rng.uniform(6, 12))
    image = np.where(depth >= top, np.float32(0.45) * fading, image)
    for _ in range(rng.integers(0, 4)):  # vessels throw shadows
        shadow = np.exp(-(((x - rng.uniform(-1, 1)) / 0.03) ** 2)) * rng.uniform(0.3, 0.6)
        image = np.where(depth > base, image * (1 - shadow), image)
    looks = rng.uniform(2, 8)
    speckle = _blurred(rng.gamma(looks, 1 / looks, (px, px)).astype(np.float32), px / 300)
    return _gray((_blurred(image, px / 200) * speckle).astype(np.float32), rng.uniform(0.8, 1.2))


KINDS: Mapping[str, Callable[[int, np.random.Generator], RGB]] = {
    "X-ray": xray,
    "MRI": mri,
    "OCT": oct_scan,
    "EEG": eeg,
}
"""The four kinds; each makes a picture of so many pixels from a generator of random numbers."""


def _chest(px: int, rng: np.random.Generator) -> Plane:
    x, y = float(rng.uniform(0.47, 0.53)), float(rng.uniform(0.5, 0.58))
    wide, high = float(rng.uniform(0.40, 0.47)), float(rng.uniform(0.5, 0.6))
    absorbed = 1.1 * _path(px, (x, y), (wide, high))
    for aside in (-1, 1):
        size = (float(rng.uniform(0.13, 0.17)), float(rng.uniform(0.26, 0.33)))
        absorbed -= 0.75 * _path(px, (x + aside * rng.uniform(0.18, 0.21), y - 0.07), size, 8 * aside)
        for rib in range(int(rng.integers(6, 9))):
            absorbed += _line(px, _rib(x, y - 0.32 + 0.075 * rib, aside, rng), 0.016, 0.14)
    absorbed += 0.55 * _path(px, (x + 0.06, y + 0.1), (float(rng.uniform(0.1, 0.15)), 0.14), 30)
    absorbed += _line(px, np.array([[x, 0.0], [x + rng.uniform(-0.02, 0.02), 1.0]]), 0.05, 0.45)
    return np.maximum(absorbed, 0)


def _rib(x: float, y: float, aside: int, rng: np.random.Generator) -> np.ndarray:
    along = np.linspace(0, 1, 20)
    drop = rng.uniform(0.1, 0.16)
    return np.stack([x + aside * (0.03 + 0.33 * np.sin(along * 1.9)), y + drop * along**2], axis=1)


def _limb(px: int, rng: np.random.Generator) -> Plane:
    bones = int(rng.integers(1, 3))
    turn = float(rng.uniform(-25, 25))
    flesh = _path(px, (0.5, 0.5), (float(rng.uniform(0.24, 0.36)), 1.3), turn)
    absorbed = 0.7 * flesh
    lean = np.tan(np.deg2rad(turn))
    for number in range(bones):
        x = 0.5 + (number - (bones - 1) / 2) * 0.2
        width = float(rng.uniform(0.05, 0.08))
        break_y = rng.uniform(0.3, 0.7)
        shift = rng.uniform(0.02, 0.06) * (rng.random() < 0.3)
        ys = np.array([-0.1, break_y, break_y + 0.01, 1.1])
        line = np.stack([x - lean * (ys - 0.5) + np.array([0, 0, shift, shift]), ys], axis=1)
        absorbed += _line(px, line, width, 0.9) - _line(px, line, 0.55 * width, 0.4)
        absorbed += 0.6 * _path(px, (float(line[0, 0]), 0.02), (1.6 * width, 0.16), turn)
    return np.maximum(absorbed, 0)


def _coordinates(px: int) -> tuple[Plane, Plane]:
    along = (np.arange(px, dtype=np.float32) + 0.5) / px
    return np.meshgrid(along, along)[0], np.meshgrid(along, along)[1]


def _reach(px: int, center: tuple[float, float], half: tuple[float, float], turn: float | int) -> Plane:
    """Square of the distance from the center, 1 at the ellipse; lengths are shares of the side, ``turn`` degrees."""
    x, y = _coordinates(px)
    angle = np.deg2rad(turn)
    u = (x - center[0]) * np.cos(angle) + (y - center[1]) * np.sin(angle)
    v = (y - center[1]) * np.cos(angle) - (x - center[0]) * np.sin(angle)
    reach: Plane = ((u / half[0]) ** 2 + (v / half[1]) ** 2).astype(np.float32)
    return reach


def _ellipse(px: int, center: tuple[float, float], half: tuple[float, float], turn: float | int = 0) -> Plane:
    return (_reach(px, center, half, turn) <= 1).astype(np.float32)


def _path(px: int, center: tuple[float, float], half: tuple[float, float], turn: float | int = 0) -> Plane:
    """How much of an ellipsoid lies behind each pixel, 1 at the middle."""
    path: Plane = np.sqrt(np.maximum(1 - _reach(px, center, half, turn), 0))
    return path


def _line(px: int, points: np.ndarray, width: float, depth: float) -> Plane:
    canvas = np.zeros((px, px), np.float32)
    spots = np.round(points * px).astype(np.int32)[None]
    cv2.polylines(canvas, list(spots), False, depth, max(1, round(width * px)), cv2.LINE_AA)
    return _blurred(canvas, px / 150)


def _over(image: Plane, mask: np.ndarray, level: float | int) -> Plane:
    over: Plane = np.where(mask > 0.5, np.float32(level), image)
    return over


def _smooth_noise(px: int, sigma: float, rng: np.random.Generator) -> Plane:
    """Blurred noise of standard deviation 1."""
    noise = _blurred(rng.normal(0, 1, (px, px)).astype(np.float32), sigma)
    scaled: Plane = (noise - noise.mean()) / max(float(noise.std()), 1e-9)
    return scaled


def _blurred(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.1)))


def _gray(plane: Plane, power: float) -> RGB:
    """0 to 1 as gray levels, with a gamma as displays differ."""
    levels = np.rint(np.clip(plane, 0, 1) ** power * 255).astype(np.uint8)
    return np.repeat(levels[:, :, None], 3, axis=2)
