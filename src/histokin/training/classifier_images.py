"""The images a classifier learns from: normalized group by group, resized, augmented. No PyTorch."""

from collections.abc import Sequence
from typing import final

import numpy as np
from jaxtyping import Float32

from histokin.nets.classifier_file import planes, sized
from histokin.stain.augment.hed import BRH
from histokin.stain.base import Appearance
from histokin.training.images import KEPT_BYTES, ImageSet, Picture
from histokin.types import ImageMap

FIT_SAMPLE = 16
"""Images of a group that a normalizer is fitted to, at most."""

STAIN_SHARE = 0.5
"""How often the stain augmentation changes an image."""

LEAST_CROP = 0.8
"""Side of the smallest crop, as a share of the image's."""

_BRH = BRH(p=1.0, seed=0)


@final
class ClassifierImages:
    """Images at the size of the network's input; kept in memory up to a gigabyte, made again beyond it.

    Parameters
    ----------
    side : of the answers, in pixels.
    normalizer : fitted to at most 16 images of every group, which stands for a slide; None for nothing.
    """

    def __init__(self, images: ImageSet, side: int, normalizer: Appearance | None) -> None:
        self.images, self._side, self._normalizer = images, side, normalizer
        self._members: dict[str, list[int]] = {}
        for i, group in enumerate(images.groups):
            self._members.setdefault(group, []).append(i)
        self._maps: dict[str, ImageMap] = {}
        self._kept: dict[int, Picture] = {}
        self._most = KEPT_BYTES // (3 * side * side)

    def __len__(self) -> int:
        return len(self.images)

    def image(self, i: int) -> Picture:
        """8-bit RGB, ``side`` x ``side``."""
        if i not in self._kept:
            made = np.ascontiguousarray(sized(self._normalized(i), self._side))
            if len(self._kept) >= self._most:
                return made
            self._kept[i] = made
        return self._kept[i]

    def batch(self, places: Sequence[int], draws: np.random.Generator | None = None) -> Float32[np.ndarray, "n 3 h w"]:
        """Images in 0 to 1; augmented where random numbers are given."""
        found = [self.image(i) for i in places]
        if draws is not None:
            found = [augmented(image, draws) for image in found]
        return np.stack([planes(image) for image in found])

    def _normalized(self, i: int) -> Picture:
        image = self.images.load(i)
        if self._normalizer is None:
            return image
        group = self.images.groups[i]
        if group not in self._maps:
            members = self._members[group]
            chosen = np.linspace(0, len(members) - 1, min(FIT_SAMPLE, len(members))).round()
            self._maps[group] = self._normalizer.fit([self.images.load(members[int(c)]) for c in chosen])
        return np.asarray(self._maps[group](image), np.uint8)


def augmented(image: Picture, draws: np.random.Generator) -> Picture:
    """Turned by right angles, mirrored, cropped by up to a fifth and resized; every second one with BRH as well.

    BRH is the StainNet paper's third scenario: brightness, contrast, rotation, and each stain stronger or weaker.
    """
    side = image.shape[0]
    made = np.rot90(image, int(draws.integers(4)))
    made = made[:, ::-1] if draws.random() < 0.5 else made
    if draws.random() < STAIN_SHARE:
        made = _BRH.change(np.ascontiguousarray(made), draws)
    kept = round(side * float(draws.uniform(LEAST_CROP, 1)))
    top, left = (int(draws.integers(side - kept + 1)) for _ in range(2))
    return np.ascontiguousarray(sized(np.ascontiguousarray(made[top : top + kept, left : left + kept]), side))
