"""How often the place of a turned patch of one modality is found in a mosaic of the other, on cores not trained on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from histokin.errors import UsageError
from histokin.metrics.resampling import Interval, mean_intervals
from histokin.retrieval.subimage.gallery import Gallery
from histokin.retrieval.subimage.locate import SWEEP
from histokin.retrieval.subimage.placing import Placement, Sweep, place_in_all

Pixels = UInt8[np.ndarray, "_ _ _"]

COUNT, SIDE = 50, 256
WITHIN_PX, WITHIN_DEGREES = 16.0, 5.0
GLASS = 255


@final
@dataclass(frozen=True, eq=False)
class Mosaic:
    """Images of equal size laid out in a square grid, each once, in random order; cells left over are blank glass.

    ``corners[i]`` is the upper left pixel (x, y) of image ``i``.
    """

    pixels: Pixels
    corners: tuple[tuple[int, int], ...]


@final
@dataclass(frozen=True, eq=False)
class Query:
    """A patch of the other modality and the truth: the image it is from, its middle in the mosaic, its turn.

    ``angle``: degrees by which the patch must be turned counterclockwise to lie as the mosaic does.
    """

    pixels: Pixels
    image: int
    x: float
    y: float
    angle: float


@final
@dataclass(frozen=True)
class Located:
    """An answer beside the truth: distance in pixels, difference of turns in degrees, score and margin."""

    image: int
    distance: float
    turn: float
    score: float
    margin: float

    @property
    def right(self) -> bool:
        return self.distance <= WITHIN_PX and self.turn <= WITHIN_DEGREES


@final
@dataclass(frozen=True)
class Figures:
    """Share of right answers with its interval (by core), and median errors of all and of the right ones."""

    right: Interval
    distance: float
    turn: float
    distance_right: float
    turn_right: float


def mosaic_of(images: Sequence[Pixels], *, seed: int = 0) -> Mosaic:
    """A mosaic of equally large images: the smallest square grid that holds them, 5 x 5 for 21.

    Raises
    ------
    UsageError
        for none, or images of different shape.
    """
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise UsageError(
            f"{len(images)} images of {len(shapes)} different shapes make no mosaic",
            remedy="Give at least one image, all of the same size and channels",
        )
    height, width, channels = shapes.pop()
    grid = int(np.ceil(np.sqrt(len(images))))
    pixels = np.full((grid * height, grid * width, channels), GLASS, np.uint8)
    corners = []
    for image, cell in zip(images, np.random.default_rng([seed, 99]).permutation(grid * grid), strict=False):
        row, column = divmod(int(cell), grid)
        x, y = column * width, row * height
        pixels[y : y + height, x : x + width] = image
        corners.append((x, y))
    return Mosaic(pixels, tuple(corners))


def drawn_queries(
    images: Sequence[Pixels],
    mosaic: Mosaic,
    asking: Sequence[int],
    *,
    count: int = COUNT,
    side: int = SIDE,
    max_turn: float | int = 180,
    seed: int = 0,
) -> list[Query]:
    """Turned patches of the other modality's ``images``, which are in the order of the mosaic.

    Every image of ``asking`` in turn; places uniform where the whole turned patch lies on the image, turns uniform.

    Raises
    ------
    UsageError
        when nobody asks, or the patch is too large for that.
    """
    import cv2

    draws, least = np.random.default_rng([seed, 7, side]), side / np.sqrt(2)
    found = []
    for number in range(count if asking else 0):
        place_ = asking[number % len(asking)]
        height, width = images[place_].shape[:2]
        if least > (min(height, width) - 1) / 2:
            raise UsageError(f"patches of {side} px are too large for {width} x {height}", remedy="Choose smaller ones")
        x, y = (float(draws.uniform(least, size - 1 - least)) for size in (width, height))
        angle = float(draws.uniform(-max_turn, max_turn))
        matrix = cv2.getRotationMatrix2D((x, y), -angle, 1.0)
        matrix[:, 2] += ((side - 1) / 2 - x, (side - 1) / 2 - y)
        patch = cv2.warpAffine(images[place_], matrix, (side, side), flags=cv2.INTER_LINEAR)
        left, top = mosaic.corners[place_]
        found.append(Query(patch.reshape(side, side, -1), place_, x + left, y + top, angle))
    if not found:
        raise UsageError("no core is left to ask with", remedy="Leave at least one core out of the training")
    return found


def located(
    queries: Sequence[Query],
    mosaic: Mosaic,
    query_map: Callable[[Any], Any],
    mosaic_map: Callable[[Any], Any],
    *,
    sweep: Sweep = SWEEP,
    say: Callable[[int], None] = lambda _: None,
) -> list[Located]:
    """Every query placed in the mosaic, both mapped into one space first; ``say`` is told how many are done."""
    gallery = Gallery([np.asarray(mosaic_map(mosaic.pixels))])
    answers = []
    for number, query in enumerate(queries, start=1):
        answers.append(judged(query, place_in_all(np.asarray(query_map(query.pixels)), gallery, sweep)[0]))
        say(number)
    return answers


def at_random(queries: Sequence[Query], mosaic: Mosaic, *, seed: int = 0) -> list[Located]:
    """Places and turns drawn uniformly over the mosaic: the baseline."""
    draws = np.random.default_rng([seed, 11])
    height, width = mosaic.pixels.shape[:2]
    return [
        judged(
            query,
            Placement(
                0.0,
                float(draws.uniform(0, width)),
                float(draws.uniform(0, height)),
                float(draws.uniform(-180, 180)),
            ),
        )
        for query in queries
    ]


def chance(mosaic: Mosaic) -> float:
    """Probability that a random place and turn are right."""
    height, width = mosaic.pixels.shape[:2]
    return float(np.pi * WITHIN_PX**2 / (height * width) * 2 * WITHIN_DEGREES / 360)


def judged(query: Query, found: Placement) -> Located:
    """How far a placement is from the truth."""
    distance = float(np.hypot(found.x - query.x, found.y - query.y))
    turn = float(abs((found.angle - query.angle + 180) % 360 - 180))
    return Located(query.image, distance, turn, found.score, found.margin)


def figures(answers: Sequence[Located], *, seed: int = 0) -> Figures:
    """Medians, and the share of right answers with its interval over cores (whole cores are drawn)."""
    right: Bool[np.ndarray, "q"] = np.array([answer.right for answer in answers])
    cores = np.array([answer.image for answer in answers])
    errors: Float64[np.ndarray, "q 2"] = np.array([(answer.distance, answer.turn) for answer in answers])
    own = errors[right] if right.any() else np.full((1, 2), np.nan)
    share = mean_intervals(right[:, None].astype(np.float64), cores, seed=seed)[0]
    return Figures(share, *(float(v) for v in (*np.median(errors, axis=0), *np.median(own, axis=0))))
