"""Random aligned squares of image pairs to train on, drawn from the seed and the number of the step alone."""

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from jaxtyping import Float32

from histokin.errors import UsageError
from histokin.modality.preparing import Input
from histokin.training.images import KEPT_BYTES
from histokin.training.pairs import PairSet

Batch = Float32[np.ndarray, "n _ h w"]
Values = Float32[np.ndarray, "_ _ _"]

TRIES = 8


@final
@dataclass(frozen=True)
class Views:
    """How squares are drawn.

    Parameters
    ----------
    side : of a square, in pixels of the prepared image.
    turn : largest rotation either way, in degrees.
    turn_what : "square" turns the square within itself, mirrored where it runs out (as published for CoMIR);
        "image" turns the image under it, so that it runs out only beyond the image.
    scale : zooms by up to this share either way.
    blur : share of squares that are blurred, by up to one pixel.
    light : changes brightness and contrast of either image independently, by up to this share.
    noise : standard deviation of added noise.
    drop : share of pixels set to zero, in either image independently.
    together : so many squares of one batch come from the same pair.
    content : a square whose second image varies less (standard deviation) is drawn again, some times.
    """

    side: int
    turn: float = 180.0
    turn_what: Literal["square", "image"] = "square"
    scale: float = 0.0
    blur: float = 0.0
    light: float = 0.0
    noise: float = 0.0
    drop: float = 0.0
    together: int = 1
    content: float = 0.0


@final
class PairViews:
    """Squares of a set of pairs, as the networks take them.

    Parameters
    ----------
    inputs : how either modality is prepared.
    seed : with the number of the step it decides all that is drawn.
    """

    def __init__(self, pairs: PairSet, inputs: tuple[Input, Input], views: Views, seed: int) -> None:
        self._pairs, self._inputs, self._views, self._seed = pairs, inputs, views, seed
        self._kept: dict[int, tuple[Values, Values]] = {}
        self._used = 0
        for i, name in enumerate(pairs.names):
            height, width = self.prepared(i)[0].shape[:2]
            if min(height, width) < views.side:
                raise UsageError(
                    f"the pair {name} has {width} x {height} pixels here, squares of {views.side} are wanted",
                    remedy="Choose a smaller --crop, or leave the pair out",
                )

    def __len__(self) -> int:
        return len(self._pairs)

    def prepared(self, place: int) -> tuple[Values, Values]:
        """Both images of a pair as the networks take them, "h w c"."""
        if place in self._kept:
            return self._kept[place]
        one, other = self._pairs.load(place)
        made = self._inputs[0].prepare(one), self._inputs[1].prepare(other)
        if self._used + made[0].nbytes + made[1].nbytes <= KEPT_BYTES:
            self._kept[place] = made
            self._used += made[0].nbytes + made[1].nbytes
        return made

    def batch(self, step: int, count: int) -> tuple[Batch, Batch]:
        """``count`` aligned squares; pairs are drawn with replacement."""
        draws = np.random.default_rng([self._seed, 7, step])
        groups = -(-count // self._views.together)
        places = draws.integers(len(self._pairs), size=groups).repeat(self._views.together)[:count]
        squares = [self._square(int(place), draws) for place in places]
        one, other = (np.stack([pair[side] for pair in squares]).transpose(0, 3, 1, 2) for side in (0, 1))
        return np.ascontiguousarray(one), np.ascontiguousarray(other)

    def _square(self, place: int, draws: np.random.Generator) -> tuple[Values, Values]:
        pair = self.prepared(place)
        for _ in range(TRIES):
            made = self._cut(pair, draws)
            if made[1].std() >= self._views.content:
                break
        return self._changed(made[0], draws), self._changed(made[1], draws)

    def _cut(self, pair: tuple[Values, Values], draws: np.random.Generator) -> tuple[Values, Values]:
        import cv2

        views = self._views
        side, (height, width) = views.side, pair[0].shape[:2]
        top, left = int(draws.integers(height - side + 1)), int(draws.integers(width - side + 1))
        angle, zoom = draws.uniform(-views.turn, views.turn), 1 + draws.uniform(-views.scale, views.scale)
        mirrored = draws.random() < 0.5
        how = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(draws.integers(3))]
        if views.turn_what == "square":
            pair = (pair[0][top : top + side, left : left + side], pair[1][top : top + side, left : left + side])
            top = left = 0
        middle = ((side - 1) / 2, (side - 1) / 2)
        matrix = cv2.getRotationMatrix2D(middle, angle, zoom)
        matrix[:, 2] -= matrix[:, :2] @ (left, top)
        made = []
        for image in pair:
            turned = cv2.warpAffine(image, matrix, (side, side), flags=how, borderMode=cv2.BORDER_REFLECT)
            turned = turned.reshape(side, side, -1)
            made.append(turned[:, ::-1] if mirrored else turned)
        return made[0], made[1]

    def _changed(self, image: Values, draws: np.random.Generator) -> Values:
        import cv2

        views = self._views
        if views.blur and draws.random() < views.blur:
            width = draws.uniform(0, 1)
            if width > 0.1:
                image = cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), width).reshape(image.shape)
        if views.light:
            channels = image.shape[2]
            gain = 1 + draws.uniform(-views.light, views.light) + draws.uniform(-views.light, views.light, channels) / 2
            shift = (draws.uniform(-views.light, views.light) + draws.uniform(-views.light, views.light, channels)) / 4
            image = image * gain + shift
        if views.noise:
            image = image + draws.normal(0, views.noise, image.shape)
        if views.drop:
            image = image * (draws.random((*image.shape[:2], 1)) >= views.drop)
        return np.ascontiguousarray(image, np.float32)
