"""Where in an image a query lies and how it is turned, by masked correlation over all places and turns, coarse to fine.

Both must be comparable pixel by pixel: two representations of one space (see ``histokin.modality``), or two images of
one modality.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float32, Float64

from histokin.errors import UsageError
from histokin.retrieval.subimage.gallery import Gallery
from histokin.retrieval.subimage.masked_correlation import Shared, correlation, covered, shared, turned
from histokin.retrieval.subimage.pyramid import Pixels, Pyramid

LEAST_SIDE = 16
"""Pixels that a query's shorter side keeps when it is shrunk."""

AT_ONCE = 32
"""Images whose spectra are held at a time."""

Plane = Float32[np.ndarray, "_ _"]


@final
@dataclass(frozen=True)
class Placement:
    """Where a query lies in an image.

    ``x`` and ``y`` are the pixel of the image on which the middle of the query falls; ``angle`` is by how many degrees
    the query must be turned counterclockwise to lie as the image does; ``score`` is their correlation there, 1 for a
    perfect match. ``rival`` is the best score found at least half the query's shorter side away in the same image.
    """

    score: float
    x: float
    y: float
    angle: float
    rival: float = 0.0

    @property
    def margin(self) -> float:
        """How much better the place is than the next best elsewhere; near 0 the two cannot be told apart."""
        return self.score - self.rival

    def corners(self, width: int, height: int) -> Float64[np.ndarray, "4 2"]:
        """Where the corners of a query of this size lie in the image: x and y, clockwise from its upper left one."""
        half = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) * (width / 2, height / 2)
        steps = [_rotated(float(dx), float(dy), self.angle) for dx, dy in half]
        return np.array([[self.x + dx, self.y + dy] for dx, dy in steps])


@final
@dataclass(frozen=True)
class Sweep:
    """Which turns are tried and how finely.

    ``max_turn``: degrees either way, 180 for all round. ``step``: degrees between the turns tried at first; halved
    twice afterwards. ``shrink`` and ``finest``: powers of 2 by which both sides are shrunk at first and at last.
    ``least_overlap``: share of the query that must lie on the image. ``keep``: places followed to the finest scale.
    ``followed``: of several images, so many of the best are refined; the others keep the place and score of the first
    scale, which must be the last one too, so that all scores are of one scale. None for all.
    """

    max_turn: float | int = 30.0
    step: float | int = 5.0
    shrink: int = 4
    finest: int = 1
    least_overlap: float | int = 0.5
    keep: int = 3
    followed: int | None = None

    def __post_init__(self) -> None:
        powers = {1, 2, 4, 8, 16}
        if not (
            0 <= self.max_turn <= 180
            and 0 < self.step <= 45
            and self.keep >= 1
            and (self.followed is None or self.followed >= 1)
            and 0 < self.least_overlap <= 1
        ):
            raise UsageError(
                f"a sweep of {self.max_turn} degrees in steps of {self.step}, {self.keep} places kept, "
                f"overlap {self.least_overlap}",
                remedy="Give 0 to 180 degrees, a step of 45 at most, 1 place or more, and an overlap of 1 at most",
            )
        if self.shrink not in powers or self.finest not in powers or self.finest > self.shrink:
            raise UsageError(
                f"shrunk by {self.shrink} at first and {self.finest} at last",
                remedy="Give powers of 2 up to 16, the last no larger than the first",
            )
        if self.followed is not None and (self.followed < 1 or self.finest != self.shrink):
            raise UsageError(
                f"{self.followed} images followed from {self.shrink} to {self.finest}",
                remedy="Follow at least 1, and all where the last scale is another than the first",
            )

    @property
    def turns(self) -> tuple[float, ...]:
        """The angles tried at first, in degrees; 0 is always among them."""
        count = int(self.max_turn / self.step + 1e-9)
        angles = [float(index * self.step) for index in range(-count, count + 1)]
        # All round, -180 and 180 are one turn.
        return tuple(angles[1:] if 2 * self.max_turn >= 360 and count * self.step >= 180 else angles)


RANKING = Sweep(max_turn=30.0, finest=4, keep=1, followed=5)
"""For ranking images: the place at a quarter of the size orders as well as a finer one."""


def place(query: Pixels, image: Pixels, sweep: Sweep | None = None) -> Placement:
    """The best place of a query in an image.

    Parameters
    ----------
    query, image : "h w c" of any data type, with equally many channels; the image may be the smaller one.
    sweep : turns and scales; None for 30 degrees either way.

    Raises
    ------
    UsageError
        when the numbers of channels differ, or a side has fewer than 16 pixels.
    """
    return place_in_all(query, [image], sweep)[0]


def place_in_all(query: Pixels, images: Sequence[Pixels] | Gallery, sweep: Sweep | None = None) -> list[Placement]:
    """The best place of a query in each of several images, in their order; turned queries are shared between them.

    Of many queries in the same images, a :class:`~histokin.retrieval.subimage.gallery.Gallery` of them answers those
    of one size faster.

    Raises
    ------
    UsageError
        as :func:`place`.
    """
    chosen = sweep or Sweep()
    _check("query", query.shape)
    for image in images:
        _check("image", image.shape)
        if image.shape[2] != query.shape[2]:
            raise UsageError(
                f"the query has {query.shape[2]} channels, the image {image.shape[2]}",
                remedy="Map both with the same representation first",
            )
    gallery = images if isinstance(images, Gallery) else Gallery(images, most_bytes=0)
    shrink = chosen.shrink
    while shrink > chosen.finest and min(query.shape[:2]) // shrink < LEAST_SIDE:
        shrink //= 2
    asked = Pyramid(query)
    gallery.prepare(asked.height, asked.width, shrink)
    peaks: list[_Peaks] = []
    for start in range(0, len(gallery), AT_ONCE):
        peaks += _placed(asked, gallery, range(start, min(start + AT_ONCE, len(gallery))), shrink, chosen)
    order = sorted(range(len(peaks)), key=lambda number: -peaks[number].highest.score)
    followed = set(order[: chosen.followed])
    return [
        _chosen(asked, gallery[number], peak, shrink, chosen)
        if number in followed
        else _placement(asked, peak.highest, shrink, 0.0)
        for number, peak in enumerate(peaks)
    ]


def _check(what: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or min(shape[:2]) < LEAST_SIDE:
        raise UsageError(f"the {what} has the shape {shape}", remedy=f'Give "h w c" with sides of {LEAST_SIDE} or more')


@final
@dataclass(frozen=True)
class _Spot:
    """A placement at one scale: the query's anchor pixel lies on (x, y) of the shrunk image."""

    score: float
    x: float
    y: float
    angle: float


def _placed(query: Pyramid, gallery: Gallery, numbers: range, shrink: int, sweep: Sweep) -> "list[_Peaks]":
    """The scores of some images at the first scale."""
    pixels, mask = query.level(shrink)
    reach = turned(pixels, mask, 0.0).reach
    fields = [gallery.field(number, shrink, reach) for number in numbers]
    peaks = [_Peaks(where.height, where.width, min(pixels.shape[:2]) / 2) for where in fields]
    for angle in sweep.turns:
        template = turned(pixels, mask, angle)
        spectra = {size: template.spectra(size) for size in {where.size for where in fields}}
        common: dict[tuple[int, int], Shared] = {}
        for number, where, peak in zip(numbers, fields, peaks, strict=True):
            own, key = spectra[where.size], (gallery[number].height, gallery[number].width)
            if key not in common:
                common[key] = shared(own, where, sweep.least_overlap)
            under = gallery.covered(number, angle, own, where, common[key])
            peak.add(correlation(own, where, common[key], under), angle)
    return peaks


def _chosen(query: Pyramid, image: Pyramid, peaks: "_Peaks", shrink: int, sweep: Sweep) -> Placement:
    """The best of the highest peaks, each followed to the finest scale, and its best rival elsewhere."""
    spots = [_refined(query, image, spot, shrink, sweep) for spot in peaks.best(sweep.keep)]
    best = max(spots, key=lambda spot: spot.score)
    far = min(query.height, query.width) / 2 / sweep.finest
    rivals = [spot for spot in spots if np.hypot(spot.x - best.x, spot.y - best.y) >= far]
    if not rivals:
        other = peaks.elsewhere(best.x * sweep.finest / shrink, best.y * sweep.finest / shrink)
        rivals = [] if other is None else [_refined(query, image, other, shrink, sweep)]
    return _placement(query, best, sweep.finest, max((spot.score for spot in rivals), default=0.0))


@final
class _Peaks:
    """The best score at every place over all turns, and at which turn."""

    def __init__(self, height: int, width: int, apart: float) -> None:
        self._score = np.full((height, width), -np.inf, np.float32)
        self._angle = np.zeros((height, width), np.float32)
        self._apart = apart

    def add(self, scores: Plane, angle: float) -> None:
        better = scores > self._score
        np.copyto(self._score, scores, where=better)
        np.copyto(self._angle, np.float32(angle), where=better)

    @property
    def highest(self) -> _Spot:
        """The best place."""
        return self._highest(self._score)

    def best(self, count: int) -> list[_Spot]:
        """The highest peaks, at least a quarter of the query apart; those after the first score above 0."""
        found: list[_Spot] = []
        left = self._score.copy()
        while len(found) < count:
            spot = self._highest(left)
            if found and spot.score <= 0:
                break
            found.append(spot)
            left[self._near(spot.x, spot.y, self._apart / 2)] = -np.inf
        return found

    def elsewhere(self, x: float, y: float) -> _Spot | None:
        """The highest peak at least half a query away; None where there is no such place or nothing scores."""
        left = self._score.copy()
        left[self._near(x, y, self._apart)] = -np.inf
        spot = self._highest(left)
        return spot if spot.score > 0 else None

    def _highest(self, scores: Plane) -> _Spot:
        y, x = divmod(int(scores.argmax()), scores.shape[1])
        return _Spot(float(scores[y, x]), float(x), float(y), float(self._angle[y, x]))

    def _near(self, x: float, y: float, radius: float) -> Bool[np.ndarray, "_ _"]:
        rows, columns = np.ogrid[: self._score.shape[0], : self._score.shape[1]]
        near: Bool[np.ndarray, "_ _"] = np.square(rows - y) + np.square(columns - x) < radius**2
        return near


def _refined(query: Pyramid, image: Pyramid, spot: _Spot, shrink: int, sweep: Sweep) -> _Spot:
    """The spot followed to the finest scale, with halved steps of the turn at every scale."""
    step, scale = sweep.step / 2, shrink
    spot = _best_near(query, image, spot, scale, (-step, 0.0, step), sweep.least_overlap)
    while scale > sweep.finest:
        spot = _Spot(spot.score, 2 * spot.x + 0.5, 2 * spot.y + 0.5, spot.angle)
        spot = _moved(query, spot, scale)
        scale, step = scale // 2, step / 2
        spot = _best_near(query, image, spot, scale, (-step, 0.0, step), sweep.least_overlap)
    return spot


def _moved(query: Pyramid, spot: _Spot, scale: int) -> _Spot:
    """The spot of the next finer scale's anchor, which is not the same point of the query."""
    (coarse, _), (fine, _) = query.level(scale), query.level(scale // 2)
    dx = fine.shape[1] // 2 - (2 * (coarse.shape[1] // 2) + 0.5)
    dy = fine.shape[0] // 2 - (2 * (coarse.shape[0] // 2) + 0.5)
    dx, dy = _rotated(dx, dy, spot.angle)
    return _Spot(spot.score, spot.x + dx, spot.y + dy, spot.angle)


def _best_near(
    query: Pyramid, image: Pyramid, spot: _Spot, scale: int, turns: tuple[float, ...], least_overlap: float | int
) -> _Spot:
    """The best place within 3 pixels of a spot, over some turns; the spot itself where nothing scores."""
    (pixels, mask), (target, _) = query.level(scale), image.level(scale)
    x, y = (min(max(round(at), 0), most - 1) for at, most in ((spot.x, target.shape[1]), (spot.y, target.shape[0])))
    places = (max(0, x - 3), max(0, y - 3), min(target.shape[1], x + 4), min(target.shape[0], y + 4))
    templates = [turned(pixels, mask, spot.angle + turn) for turn in turns]
    where = image.field(scale, templates[0].reach, places)
    best: _Spot | None = None
    for template in templates:
        spectra = template.spectra(where.size)
        common = shared(spectra, where, least_overlap)
        scores = correlation(spectra, where, common, covered(spectra, where, common))
        row, column = divmod(int(scores.argmax()), scores.shape[1])
        if best is None or scores[row, column] > best.score:
            best = _Spot(float(scores[row, column]), float(places[0] + column), float(places[1] + row), template.angle)
    assert best is not None
    return best if best.score > 0 else spot


def _placement(query: Pyramid, spot: _Spot, scale: int, rival: float) -> Placement:
    """From the anchor at one scale to the middle of the query in pixels of the image."""
    pixels, _ = query.level(scale)
    to_px = (scale - 1) / 2
    dx = (query.width - 1) / 2 - (scale * (pixels.shape[1] // 2) + to_px)
    dy = (query.height - 1) / 2 - (scale * (pixels.shape[0] // 2) + to_px)
    dx, dy = _rotated(dx, dy, spot.angle)
    angle = (spot.angle + 180.0) % 360.0 - 180.0
    return Placement(spot.score, scale * spot.x + to_px + dx, scale * spot.y + to_px + dy, angle, rival)


def _rotated(dx: float, dy: float, angle: float) -> tuple[float, float]:
    """A step turned counterclockwise as seen, rows counted downwards."""
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return float(cos * dx + sin * dy), float(cos * dy - sin * dx)
