"""The recipe: how every picture of an archive was made comparable and turned into a vector."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, final, runtime_checkable

from histokin.archive.counts import Counts
from histokin.archive.store import LEARNED
from histokin.encoders.base import Encoder
from histokin.encoders.registry import DEFAULT_ENCODER, encoder
from histokin.errors import ArchiveFormat, EncoderError, NotComparable, UsageError
from histokin.modality.base import Representation
from histokin.modality.registry import representation, representation_from_dict
from histokin.retrieval.forms import EightBits, as_rgb
from histokin.slides.grid import Grid
from histokin.stain.base import Appearance
from histokin.stain.registry import appearance_from_dict, normalizer
from histokin.types import Image, ImageMap, Images, Vectors

DEFAULT_NORMALIZER = "none"
"""What was measured best across laboratories with the shipped encoder (see the README's table)."""

BRIGHTFIELD = "brightfield"
"""The modality of archives unless they say otherwise; stain normalizers are for it alone."""

MACHINE = ("threads", "device")
"""Encoder options that suit a machine and change vectors by rounding at most: no part of an archive's recipe."""


@final
@dataclass(frozen=True)
class Recipe:
    """Grid, normalizer (with its target) and encoder of an archive.

    ``normalizer``, ``representation`` and ``encoder`` are registered names; their options are passed to the
    constructor. The same recipe prepares the archive's patches and every query. ``modality`` is the microscope of
    the archive's images; with a ``representation``, queries may come from any that it maps.
    """

    grid: Grid = field(default_factory=Grid)
    normalizer: str = DEFAULT_NORMALIZER
    normalizer_options: Mapping[str, Any] = field(default_factory=dict)
    encoder: str = DEFAULT_ENCODER
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    crops: bool = True
    modality: str = BRIGHTFIELD
    representation: str | None = None
    representation_options: Mapping[str, Any] = field(default_factory=dict)

    def prepare(self) -> "Prepared":
        """Build the parts.

        Raises
        ------
        UnknownName
            for a name nobody registered.
        UsageError
            for a stain normalizer of images that are not brightfield.
        NotComparable
            for a representation that does not map the modality.
        """
        return Prepared(
            grid=self.grid,
            appearance=normalizer(self.normalizer, **self.normalizer_options),
            encoder=encoder(self.encoder, **self.encoder_options),
            encoder_name=self.encoder,
            encoder_options={name: value for name, value in self.encoder_options.items() if name not in MACHINE},
            crops=self.crops,
            modality=self.modality,
            representation=self.build_representation(),
        )

    def build_representation(self) -> Representation | None:
        """The representation, or None. Raises as :meth:`prepare`."""
        if self.modality != BRIGHTFIELD and self.normalizer != DEFAULT_NORMALIZER:
            raise UsageError(
                f"{self.normalizer} is for brightfield images, the archive's are {self.modality}",
                remedy="Leave --normalizer out",
            )
        if self.representation is None:
            return None
        made = representation(self.representation, **self.representation_options)
        _require_mapped(self.modality, made)
        return made


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
    modality: str = BRIGHTFIELD
    representation: Representation | None = None
    inside: bool = False
    """True where the encoder was learned from the archive's own images and lies in its folder."""

    @property
    def whole(self) -> bool:
        """True where loose images are kept in one piece at their own pixels: a part of one can then be found in it."""
        other = self.modality != BRIGHTFIELD or self.representation is not None
        return other or self.encoder.spec.kind == "counts"

    def mapping(self, fitted: ImageMap, modality: str | None = None) -> ImageMap:
        """What makes a picture of a microscope (the archive's own where None is named) comparable.

        ``fitted`` is the stain map of its source; the representation follows it.

        Raises
        ------
        NotComparable
            when nothing maps the modality to what the archive holds.
        """
        seen = self.require_modality(modality)
        if self.representation is None:
            return fitted if seen == BRIGHTFIELD else EightBits()
        second = self._second(seen)
        return fitted.then(second) if seen == BRIGHTFIELD else second

    def require_modality(self, modality: str | None) -> str:
        """The modality of a query (the archive's own for None), if it can be compared. Raises as :meth:`mapping`."""
        if modality is None or modality == self.modality:
            return self.modality
        if self.representation is None:
            raise NotComparable(
                f"the query is {modality}, the archive holds {self.modality} images as they are",
                remedy="Index them with a representation that maps both, for example --representation comir=FOLDER",
            )
        _require_mapped(modality, self.representation)
        return modality

    def vectors(self, images: Sequence[Image]) -> Vectors | Counts:
        """One row for each picture that was made comparable: numbers, or word counts."""
        if self.encoder.spec.kind == "counts":
            return Counts.of(counter(self.encoder).counts(images))
        return self.encoder.encode([as_rgb(image) for image in images])

    @cached_property
    def _maps(self) -> dict[str, ImageMap]:
        return {}

    def _second(self, modality: str) -> ImageMap:
        """The representation's map of a modality, built once: it may hold a network."""
        assert self.representation is not None
        if modality not in self._maps:
            self._maps[modality] = self.representation.map(modality)
        return self._maps[modality]

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
        options = {"path": LEARNED} if self.inside else _plain(self.encoder_options)
        stored: dict[str, Any] = {
            "grid": self.grid.to_dict(),
            "appearance": {**self.appearance.to_dict(), "space": self.appearance.space},
            "encoder": {**spec.to_dict(), "registered": self.encoder_name, "options": options},
            "crops": self.crops,
        }
        # Absent from archives of brightfield images as they are, which keep the digest that they had.
        if self.inside:
            stored["encoder"]["inside"] = True
        if self.modality != BRIGHTFIELD or self.representation is not None:
            stored["modality"] = self.modality
        if self.representation is not None:
            stored["representation"] = {**self.representation.to_dict(), "space": self.representation.space}
        return stored

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], root: Path | None = None) -> "Prepared":
        """Build the parts an archive was made with, and refuse parts that have changed since.

        ``root`` is the archive's folder, where it may keep an encoder of its own.

        Raises
        ------
        NotComparable
            when the encoder or the normalizer of this installation is not the one the archive was made with.
        ArchiveFormat
            when a part of the recipe is missing.
        """
        try:
            return cls._rebuilt(stored, root)
        except (KeyError, TypeError) as error:
            raise ArchiveFormat(
                f"the archive's recipe is damaged ({error})",
                remedy="Restore archive.json from a backup, or index again",
            ) from None

    @classmethod
    def _rebuilt(cls, stored: Mapping[str, Any], root: Path | None) -> "Prepared":
        grid = Grid.from_dict(stored["grid"])
        appearance = appearance_from_dict(stored["appearance"])
        _same("normalizer", stored["appearance"]["space"], appearance.space)
        wanted = stored["encoder"]
        options, inside = dict(wanted["options"]), bool(wanted.get("inside", False))
        if inside:
            options["path"] = (root or Path()) / LEARNED
        built = encoder(wanted["registered"], **options)
        _same("encoder", wanted["space"], built.spec.space)
        second = None
        if stored.get("representation") is not None:
            second = representation_from_dict(stored["representation"])
            _same("representation", stored["representation"]["space"], second.space)
        modality = stored.get("modality", BRIGHTFIELD)
        crops = bool(stored["crops"])
        return cls(grid, appearance, built, wanted["registered"], options, crops, modality, second, inside)


@runtime_checkable
class Counter(Protocol):
    """An encoder of kind ``counts``."""

    def counts(self, images: Images) -> Any:
        """A SciPy CSR matrix, float32 "n k": how often each word occurs in each image."""


def counter(made: Encoder) -> Counter:
    """The encoder as one that counts words. Raises :class:`EncoderError` for one that does not keep its word."""
    if not isinstance(made, Counter):
        raise EncoderError(f"encoder '{made.spec.name}' is of kind counts but counts nothing", remedy="Report it")
    return made


def _require_mapped(modality: str, made: Representation) -> None:
    if modality not in made.modalities:
        raise NotComparable(
            f"the representation {made.name} maps {' and '.join(made.modalities)}, not {modality}",
            remedy="Name one of these, or index with a representation that was trained on both",
        )


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON holds them; a path becomes absolute, so that the archive can be opened from anywhere."""
    return {name: str(value.absolute()) if isinstance(value, Path) else value for name, value in options.items()}


def _same(what: str, archived: str, installed: str) -> None:
    if archived != installed:
        raise NotComparable(
            f"the archive was made with {what} {archived}, this installation has {installed}",
            remedy=f"Install the {what} the archive was made with, or index into a new archive",
        )
