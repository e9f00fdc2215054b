"""Random crops, drawn from the seed and the number of the step alone, so that a resumed training draws the same."""

from functools import lru_cache
from typing import final

import numpy as np
from jaxtyping import Float32, UInt8

from histokin.training.images import ImageSet, Picture
from histokin.types import RGB

Batch = Float32[np.ndarray, "n c h w"]


@final
class Crops:
    """Which images and places each step sees.

    Parameters
    ----------
    count : images that one epoch goes through, each once.
    batch : images a step; the last step of an epoch may have fewer.
    seed, stream : different streams of one seed are independent.
    """

    def __init__(self, count: int, batch: int, seed: int, stream: int = 0) -> None:
        self._count, self._batch, self._key = count, batch, (seed, stream)
        self.steps_per_epoch = -(-count // batch)

    def places(self, step: int) -> list[int]:
        """The images of one step, by their place in the set."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        order = _order(self._key, epoch, self._count)
        return [int(i) for i in order[inside * self._batch : (inside + 1) * self._batch]]

    def draws(self, step: int) -> np.random.Generator:
        """The random numbers of one step."""
        return np.random.default_rng([*self._key, 2, step])


@lru_cache(maxsize=8)
def _order(key: tuple[int, int], epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([*key, 3, epoch]).permutation(count)


def crop_corner(image: RGB, px: int, draws: np.random.Generator) -> tuple[int, int]:
    """Top and left of a random square of side ``px`` within the image."""
    height, width = image.shape[:2]
    return int(draws.integers(height - px + 1)), int(draws.integers(width - px + 1))


def center(image: RGB, px: int) -> UInt8[np.ndarray, "p p 3"]:
    """The middle square of side ``px``."""
    top, left = (image.shape[0] - px) // 2, (image.shape[1] - px) // 2
    return image[top : top + px, left : left + px]


def random_crops(images: ImageSet, places: list[int], px: int, draws: np.random.Generator) -> Batch:
    """Random squares of these images, mirrored left to right at even odds, in -1 to 1."""
    crops = []
    for place in places:
        image = images.load(place)
        top, left = crop_corner(image, px, draws)
        crop = image[top : top + px, left : left + px]
        crops.append(crop[:, ::-1] if draws.random() < 0.5 else crop)
    return to_planes(crops)


def to_planes(images: list[np.ndarray]) -> Batch:
    """8-bit images "h w c" of one size as float32 "n c h w" in -1 to 1."""
    stack = np.stack(images).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(stack, np.float32) / np.float32(127.5) - np.float32(1)


def to_images(planes: Batch) -> list[Picture]:
    """Float32 "n 3 h w" as 8-bit RGB images; -1 to 1 is 0 to 255, beyond it is cut off."""
    levels = np.rint(np.clip(planes * np.float32(0.5) + np.float32(0.5), 0, 1) * np.float32(255))
    return [np.ascontiguousarray(image) for image in levels.astype(np.uint8).transpose(0, 2, 3, 1)]
