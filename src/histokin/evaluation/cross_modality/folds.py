"""Who learns and who is asked: cross-validation by core, so that no part of a core is on both sides."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from histokin.errors import UsageError

COUNT = 3


@final
@dataclass(frozen=True)
class Fold:
    """Places of the items that a model learns from, of those that ask, and of those that answer."""

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]
    repository: tuple[int, ...]


def source_of(name: str) -> str:
    """The collection a core's name tells: its leading letters, where digits do not come first.

    ``1B_A1`` and ``2B_D2`` are of one collection (``B``), ``X01Y05`` of another, ``sa stroma pancreas ...`` of a third.
    """
    letters = re.match(r"\d*([A-Za-z]+)", name)
    return letters.group(1) if letters else ""


def dealt(names: Sequence[str], count: int = COUNT) -> tuple[int, ...]:
    """The fold of every core: collections in order of name, cores in order of name, dealt out like cards.

    Dealing goes on from one collection to the next, so that folds differ by one core at most and every collection is
    spread over all of them. Nothing is random.

    Raises
    ------
    UsageError
        when there are fewer cores than folds.
    """
    if len(set(names)) < count:
        raise UsageError(f"{len(set(names))} cores cannot make {count} folds", remedy="Give more cores")
    order = {name: i % count for i, name in enumerate(sorted(set(names), key=lambda name: (source_of(name), name)))}
    return tuple(order[name] for name in names)


def cross_validation(cores: Sequence[str], count: int = COUNT) -> tuple[Fold, ...]:
    """``count`` folds over items, each of which belongs to a core (several tiles may belong to one).

    All items are the repository, untransformed; the items of a fold's test cores ask, and none of their core's
    pixels are learned from.
    """
    own = dealt(cores, count)
    everything = tuple(range(len(cores)))
    return tuple(
        Fold(
            str(number + 1),
            tuple(i for i in everything if own[i] != number),
            tuple(i for i in everything if own[i] == number),
            everything,
        )
        for number in range(count)
    )


def published_split(splits: Sequence[str]) -> Fold:
    """The paper's one split: ``train`` is learned from; ``test`` asks and is the repository; ``validation`` neither.

    Raises
    ------
    UsageError
        when ``train`` or ``test`` is empty.
    """
    parts = {name: tuple(i for i, own in enumerate(splits) if own == name) for name in ("train", "test")}
    empty = next((name for name, places in parts.items() if not places), None)
    if empty:
        raise UsageError(f"no pair has split '{empty}'", remedy="Fill the column 'split' with train, validation, test")
    return Fold("published", parts["train"], parts["test"], parts["test"])
