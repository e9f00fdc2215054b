"""Weights of a trained normalizer: one set for every source, or one per source style."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Generic, TypeVar, final

from histokin.errors import MissingStyle, UsageError

ANY = ""
"""The style under which weights stand that serve every source."""

UNTOUCHED = "none"
"""In place of weights: sources of this style look like the target already and stay as they are."""

T = TypeVar("T")
R = TypeVar("R")


@final
@dataclass(frozen=True)
class StyleSets(Generic[T]):
    """Weights by style (None: stays as it is), and the style at hand (None: not known).

    A style is a laboratory or scanner, as the ``centre`` column of a label table names it.
    """

    method: str
    sets: Mapping[str, T | None]
    style: str | None = None

    @classmethod
    def of(cls, method: str, weights: object, read: Callable[[object], T], style: str | None) -> "StyleSets[T]":
        """Read what a user gives: one file, or a mapping from style to file, or to "none".

        Raises
        ------
        UsageError
            for anything else; it tells how to come by weights.
        MissingStyle
            when ``style`` is given and has no weights.
        """
        if weights is None:
            raise UsageError(
                f"{method} needs trained weights",
                remedy=f"Give a file (weights=..., --weights FILE, or --weights CENTRE=FILE for each source); "
                f"`histokin train {method} --help` tells how to make one",
            )
        given = weights if isinstance(weights, Mapping) else {ANY: weights}
        named = all(isinstance(key, str) for key in given)
        if not given or not named or (ANY in given and len(given) > 1):
            raise UsageError(
                f"the weights of {method} are {weights!r:.80}",
                remedy="Give one file for every source, or a file for each centre by name",
            )
        if all(value is None or (isinstance(value, str) and value == UNTOUCHED) for value in given.values()):
            raise UsageError(f"{method} has no weights for any source", remedy="Give a file for at least one centre")
        made = cls(method, {key: _read(read, given[key]) for key in sorted(given)})
        return made if style is None else made.choose(style)

    def each(self, what: Callable[[T], R], untouched: R) -> dict[str, R]:
        """Something of every set by style, and ``untouched`` for styles that stay as they are."""
        return {key: untouched if found is None else what(found) for key, found in self.sets.items()}

    def choose(self, style: str | None) -> "StyleSets[T]":
        """These sets with another style at hand. Raises :class:`MissingStyle` where it has no weights."""
        if ANY not in self.sets and style not in self.sets:
            raise self._missing(style)
        return StyleSets(self.method, self.sets, style)

    @property
    def key(self) -> str:
        """The name in :attr:`sets` of the weights for the style at hand. Raises :class:`MissingStyle`."""
        if ANY in self.sets:
            return ANY
        if self.style is None:
            raise self._missing(None)
        return self.style

    def _missing(self, style: str | None) -> MissingStyle:
        there = ", ".join(self.sets)
        if style:
            return MissingStyle(
                f"{self.method} has no weights for centre '{style}' (it has some for {there})",
                remedy=f"Train a set for it (`histokin train {self.method} --help`) and index into a new archive "
                "that has it, or correct the centre",
            )
        return MissingStyle(
            f"{self.method} has weights by centre ({there}), and the centre is not known here",
            remedy="Give a label table with a column 'centre', or name the query's with --centre",
        )


def _read(read: Callable[[object], T], source: object) -> T | None:
    return None if source is None or (isinstance(source, str) and source == UNTOUCHED) else read(source)


def file_of(method: str, source: object) -> str | PathLike[str]:
    """``source`` when it is a path. Raises :class:`UsageError`."""
    if isinstance(source, (str, PathLike)) and str(source):
        return source
    raise UsageError(f"the weights of {method} are {source!r:.80}", remedy="Give the path of a weight file")
