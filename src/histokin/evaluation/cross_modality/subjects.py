"""What is asked and what answers: aligned pairs of two modalities, whole or cut into tiles."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, final

import numpy as np
from jaxtyping import UInt8

from histokin.errors import UsageError
from histokin.evaluation.cross_modality.folds import Fold, cross_validation
from histokin.evaluation.cross_modality.transforms import Border, Rigid, Window, central, cut, drawn, moved
from histokin.training.pairs import PairSet

Pixels = UInt8[np.ndarray, "_ _ _"]
Kind = Literal["real", "synthetic", "given"]

TRANSFORMS = 10


@final
@dataclass(frozen=True)
class Item:
    """One thing to find: a window of a pair. ``core`` is what must never be on both sides."""

    name: str
    core: str
    pair: int
    window: Window


@final
@dataclass(frozen=True, eq=False)
class Subjects:
    """A set of items with its folds.

    ``patches`` are the sides (px) of central patches that ask, beside whole items; ``transforms`` how many rigid
    transforms each item is asked with; ``copies`` are the user's own transformed copies, in the order of the pairs,
    which then take the place of drawn transforms.
    """

    name: str
    kind: Kind
    about: str
    pairs: PairSet
    items: tuple[Item, ...]
    folds: tuple[Fold, ...]
    patches: tuple[int, ...]
    transforms: int = TRANSFORMS
    border: Border = "reflect"
    seed: int = 0
    copies: "PairSet | None" = None

    @property
    def modalities(self) -> tuple[str, str]:
        """Names of the two."""
        first, second = self.pairs.modalities
        return first, second

    @property
    def side(self) -> int:
        """Pixels of an item."""
        return self.items[0].window.side

    @property
    def slug(self) -> str:
        """For file names."""
        return "".join(c if c.isalnum() else "-" for c in self.name.lower()).strip("-")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides (px) of the queries, the whole item first."""
        return (self.side, *(p for p in self.patches if p < self.side))

    def training(self, fold: Fold) -> PairSet:
        """The pairs a model of this fold may see: none whose core asks."""
        asking = {self.items[i].core for i in fold.test}
        learning = {self.items[i].pair for i in fold.train}
        learning |= {p for p, split in enumerate(self.pairs.splits) if split == "validation"}
        return self.pairs.some([p for p in sorted(learning) if self.pairs.groups[p] not in asking])

    def image(self, place: int, modality: int) -> Pixels:
        """An item of the repository, untransformed."""
        item = self.items[place]
        return cut(load(self.pairs, item.pair)[modality], item.window)

    def transform(self, place: int, number: int) -> Rigid:
        """Transform ``number`` of an item; the same for both modalities."""
        return drawn(self.seed, place, number, side=self.side)

    def query(self, place: int, modality: int, number: int | None, size: int) -> Pixels:
        """An item as it asks: untransformed (None) or moved, whole or its central square of ``size`` px.

        A patch is cut before any representation is computed from it.
        """
        if number is None:
            return central(self.image(place, modality), size)
        item = self.items[place]
        if self.copies is not None:
            return central(load(self.copies, item.pair)[modality], size)
        whole = load(self.pairs, item.pair)[modality]
        return central(moved(whole, item.window, self.transform(place, number), border=self.border), size)

    def numbers(self) -> range:
        """Of the transforms: one where the user gave transformed copies."""
        return range(1 if self.copies is not None else self.transforms)


def load(pairs: PairSet, place: int) -> tuple[Pixels, Pixels]:
    """Both images of a pair, 8 bits."""
    return _loaded(_Key(pairs, place))


@final
@dataclass(frozen=True, eq=False)
class _Key:
    pairs: PairSet
    place: int

    def __hash__(self) -> int:
        return hash((self.pairs.digest, self.place))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and (other.pairs.digest, other.place) == (self.pairs.digest, self.place)


@lru_cache(maxsize=64)
def _loaded(key: _Key) -> tuple[Pixels, Pixels]:
    first, second = key.pairs.load(key.place)
    return first, second


def whole_cores(
    name: str, about: str, pairs: PairSet, *, kind: Kind = "real", folds: int = 3, **options: Any
) -> Subjects:
    """Every pair is one item: its central square.

    Raises
    ------
    UsageError
        when the images differ in size.
    """
    sides = {min(load(pairs, i)[0].shape[:2]) for i in range(len(pairs))}
    if len(sides) != 1:
        raise UsageError(
            f"the images of {name} have sides from {min(sides)} to {max(sides)} px", remedy="Bring them to one size"
        )
    side = sides.pop()
    items = []
    for i in range(len(pairs)):
        height, width = load(pairs, i)[0].shape[:2]
        items.append(Item(pairs.names[i], pairs.groups[i], i, Window((width - side) // 2, (height - side) // 2, side)))
    parts = cross_validation([item.core for item in items], folds)
    patches = options.pop("patches", tuple(round(side * part) for part in (160 / 512, 256 / 512)))
    return Subjects(name, kind, about, pairs, tuple(items), parts, patches, **options)


def tiles(
    name: str, about: str, pairs: PairSet, side: int, *, kind: Kind = "real", folds: int = 3, **options: Any
) -> Subjects:
    """Every pair is cut into squares without overlap, as many as fit, centered: a larger repository.

    The folds are of cores, as with whole ones: all tiles of a core are on one side.

    Raises
    ------
    UsageError
        when no tile fits.
    """
    items = []
    for i in range(len(pairs)):
        height, width = load(pairs, i)[0].shape[:2]
        across, down = width // side, height // side
        left, top = (width - across * side) // 2, (height - down * side) // 2
        for row in range(down):
            for column in range(across):
                window = Window(left + column * side, top + row * side, side)
                items.append(Item(f"{pairs.names[i]} {row},{column}", pairs.groups[i], i, window))
    if not items:
        raise UsageError(f"no tile of {side} px fits into the images of {name}", remedy="Choose smaller tiles")
    parts = cross_validation([item.core for item in items], folds)
    patches = options.pop("patches", (side // 2,))
    return Subjects(name, kind, about, pairs, tuple(items), parts, patches, **options)


def fewer(subjects: Subjects, transforms: int) -> Subjects:
    """The same with fewer transforms an item (the first of them)."""
    return replace(subjects, transforms=min(subjects.transforms, transforms))
