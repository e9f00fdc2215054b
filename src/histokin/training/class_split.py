"""Groups into training, validation and test, every class in each; no group is divided. No PyTorch."""

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from histokin.errors import UsageError
from histokin.training.images import SPLITS, ImageSet

SHARES = (0.7, 0.15, 0.15)
TRIALS, EFFORT = 100, 20_000
"""Divisions tried at most, and groups placed in all of them together."""


def split_classes(images: ImageSet, labels: Mapping[str, str], seed: int) -> tuple[ImageSet, ImageSet, ImageSet]:
    """Training, validation and test images: as the table of the set says, else by groups.

    Groups go, in random orders drawn from ``seed``, to the part that lacks most of what they hold; of many such
    divisions the one counts that has every class nearest to 70, 15 and 15 of 100 images in the parts.

    Parameters
    ----------
    labels : the class of every image, by name.

    Raises
    ------
    UsageError
        when a class has fewer than three groups, or a table leaves a part or a class of the training images out.
    """
    if any(images.splits):
        parts = images.split(seed)
    else:
        placed = _placed(images.groups, [labels[name] for name in images.names], seed)
        train, validation, test = (images.some(i for i, p in enumerate(placed) if p == part) for part in range(3))
        parts = (train, validation, test)
    classes = {labels[name] for name in images.names}
    for part, called in zip(parts, SPLITS, strict=True):
        if absent := sorted(classes - {labels[name] for name in part.names}):
            raise UsageError(
                f"no image of the class {absent[0]} is left for {called}: groups are not divided",
                remedy="Give images of at least three groups (slides) of every class, or a table with the column split",
            )
    return parts


def _placed(groups: Sequence[str], labels: Sequence[str], seed: int) -> list[int]:
    """The part of every image: the most even of many random divisions of the groups."""
    names, classes = list(dict.fromkeys(groups)), sorted(set(labels))
    number = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, ([number[g] for g in groups], [classes.index(label) for label in labels]), 1)
    wanted = np.array(SHARES)[:, None] * counts.sum(axis=0)
    draws = np.random.default_rng([seed, 1])
    tried = [_divided(counts, wanted, draws) for _ in range(max(1, min(TRIALS, EFFORT // len(names))))]
    parts = min(tried, key=lambda one: one[1])[0]
    return [int(parts[number[g]]) for g in groups]


def _divided(counts: np.ndarray, wanted: np.ndarray, draws: np.random.Generator) -> tuple[np.ndarray, float]:
    """The part of every group, groups taken in random order; and how far the parts are from what is wanted."""
    given, part = np.zeros_like(wanted), np.zeros(len(counts), np.int64)
    left = (counts > 0).sum(axis=0)
    for group in draws.permutation(len(counts)):
        own = counts[group] > 0
        # How much closer each part comes to what it should hold; a class counts by its share still missing.
        before = np.abs(wanted - given) / np.maximum(wanted, 1)
        after = np.abs(wanted - given - counts[group]) / np.maximum(wanted, 1)
        # A class with no more groups left than parts without it goes to one of those.
        urgent = (given == 0) & own & (left <= (given == 0).sum(axis=0))
        part[group] = int(((before - after).sum(axis=1) + 100 * urgent.sum(axis=1)).argmax())
        given[part[group]] += counts[group]
        left -= own
    apart = np.abs(given - wanted) / np.maximum(wanted, 1)
    return part, float((apart**2).sum() + 100 * (given == 0).sum())


@final
class ClassOrder:
    """Which images every step sees: each once an epoch, in an order drawn from the seed and the epoch.

    With ``balanced``, images of rarer classes come again until all classes are as frequent. The last step of an epoch
    may have fewer images, but never one alone, which batch normalization could not use.
    """

    def __init__(self, numbers: np.ndarray, batch: int, seed: int, *, balanced: bool = False) -> None:
        self._numbers, self._batch, self._seed, self._balanced = numbers, batch, seed, balanced
        self._epoch, self._order = -1, np.zeros(0, np.int64)
        self.epoch_images = len(self._of(0))
        full, rest = divmod(self.epoch_images, batch)
        self.steps_per_epoch = max(1, full + (rest > 1))

    def places(self, step: int) -> list[int]:
        """The images of one step, by their place in the set."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        order = self._of(epoch)
        last = inside == self.steps_per_epoch - 1
        chosen = order[inside * self._batch : None if last else (inside + 1) * self._batch]
        return [int(i) for i in chosen]

    def draws(self, step: int) -> np.random.Generator:
        """The random numbers of one step."""
        return np.random.default_rng([self._seed, 5, step])

    def _of(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            draws = np.random.default_rng([self._seed, 4, epoch])
            order = np.arange(len(self._numbers))
            if self._balanced:
                members = [np.flatnonzero(self._numbers == number) for number in np.unique(self._numbers)]
                most = max(len(one) for one in members)
                order = np.concatenate([_again(draws.permutation(one), most) for one in members])
            self._epoch, self._order = epoch, draws.permutation(order)
        return self._order


def _again(places: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` of ``places`` repeated."""
    return np.resize(places, count)
