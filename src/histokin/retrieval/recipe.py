"""The recipe: how every picture of an archive was made comparable and turned into a vector."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

from histokin.encoders.base import Encoder
from histokin.encoders.registry import DEFAULT_ENCODER, encoder
from histokin.errors import ArchiveFormat, NotComparable
from histokin.slides.grid import Grid
from histokin.stain.base import Appearance
from histokin.stain.registry import appearance_from_dict, normalizer

DEFAULT_NORMALIZER = "none"
"""What was measured best across laboratories with the shipped encoder (see the README's table)."""

MACHINE = ("threads", "device")
"""Encoder options that suit a machine and change vectors by rounding at most: no part of an archive's recipe."""


@final
@dataclass(frozen=True)
class Recipe:
    """Grid, normalizer (with its target) and encoder of an archive.

    ``normalizer`` and ``encoder`` are registered names; their options are passed to the constructor. The same
    recipe prepares the archive's patches and every query.
    """

    grid: Grid = field(default_factory=Grid)
    normalizer: str = DEFAULT_NORMALIZER
    normalizer_options: Mapping[str, Any] = field(default_factory=dict)
    encoder: str = DEFAULT_ENCODER
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    crops: bool = True

    def prepare(self) -> "Prepared":
        """Build the parts. Raises :class:`~histokin.errors.UnknownName` for a name nobody registered."""
        return Prepared(
            grid=self.grid,
            appearance=normalizer(self.normalizer, **self.normalizer_options),
            encoder=encoder(self.encoder, **self.encoder_options),
            encoder_name=self.encoder,
            encoder_options={name: value for name, value in self.encoder_options.items() if name not in MACHINE},
            crops=self.crops,
        )


@final
@dataclass(frozen=True)
class Prepared:
    """A recipe with its parts built: what indexing and searching work with."""

    grid: Grid
    appearance: Appearance
    encoder: Encoder
    encoder_name: str
    encoder_options: Mapping[str, Any]
    crops: bool

    @cached_property
    def digest(self) -> str:
        """Provenance of every vector made by this recipe: 12 hex digits."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def describe(self) -> dict[str, Any]:
        """The recipe and its digest, JSON-ready, for people and programs that read answers."""
        appearance = {**self.appearance.describe(), "space": self.appearance.space}
        return {**self.to_dict(), "appearance": appearance, "digest": self.digest}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; :meth:`from_dict` builds the same parts again."""
        spec = self.encoder.spec
        return {
            "grid": self.grid.to_dict(),
            "appearance": {**self.appearance.to_dict(), "space": self.appearance.space},
            "encoder": {**spec.to_dict(), "registered": self.encoder_name, "options": _plain(self.encoder_options)},
            "crops": self.crops,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Prepared":
        """Build the parts an archive was made with, and refuse parts that have changed since.

        Raises
        ------
        NotComparable
            when the encoder or the normalizer of this installation is not the one the archive was made with.
        ArchiveFormat
            when a part of the recipe is missing.
        """
        try:
            return cls._rebuilt(stored)
        except (KeyError, TypeError) as error:
            raise ArchiveFormat(
                f"the archive's recipe is damaged ({error})",
                remedy="Restore archive.json from a backup, or index again",
            ) from None

    @classmethod
    def _rebuilt(cls, stored: Mapping[str, Any]) -> "Prepared":
        grid = Grid.from_dict(stored["grid"])
        appearance = appearance_from_dict(stored["appearance"])
        _same("normalizer", stored["appearance"]["space"], appearance.space)
        wanted = stored["encoder"]
        built = encoder(wanted["registered"], **wanted["options"])
        _same("encoder", wanted["space"], built.spec.space)
        return cls(grid, appearance, built, wanted["registered"], dict(wanted["options"]), bool(stored["crops"]))


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON holds them; a path becomes absolute, so that the archive can be opened from anywhere."""
    return {name: str(value.absolute()) if isinstance(value, Path) else value for name, value in options.items()}


def _same(what: str, archived: str, installed: str) -> None:
    if archived != installed:
        raise NotComparable(
            f"the archive was made with {what} {archived}, this installation has {installed}",
            remedy=f"Install the {what} the archive was made with, or index into a new archive",
        )
