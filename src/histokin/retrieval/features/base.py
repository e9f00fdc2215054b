"""What every format of feature files keeps to: how an archive leaves, and how a file comes in."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
from jaxtyping import Float32, Int32

from histokin.archive.snapshot import Snapshot
from histokin.errors import ImplausibleDimensions, NoTissue, UnreadableFile
from histokin.retrieval.report import Progress

ROWS = 1024
"""Patches handled at a time, whatever the size of the file."""

BYTES = 4 << 20
"""Bytes of vectors handled at a time."""

MOST_DIM = 1 << 16
MOST_COORDINATE = (1 << 31) - 1


@final
@dataclass(frozen=True)
class Asked:
    """What the user says where a file does not: side of a patch in level-0 pixels, microns per pixel of level 0."""

    patch_size: int | None = None
    mpp: float | None = None


@final
@dataclass(frozen=True)
class Head:
    """What a file says of all its vectors.

    ``model_sha`` is the digest of the encoder's weights; ``recipe`` the archive's recipe, in files of our own that
    hold it.
    """

    dim: int
    model_sha: str | None = None
    recipe: Mapping[str, Any] | None = None


@final
@dataclass(frozen=True)
class Entry:
    """What a file says of one slide or image.

    ``file`` is its path or name; ``patch_px`` the side of a patch in the pixels that the encoder's input was made
    from, ``side`` in level-0 pixels; ``mpp`` microns per pixel of level 0, ``nominal`` where that was derived from a
    magnification. ``size`` is width and height of level 0, ``reach`` how far right and down its patches begin.
    ``source`` is the whole row of the archive it came from, where the file holds it.
    """

    file: str
    kind: Literal["slide", "image"]
    patches: int
    label: str | None = None
    patch_px: int | None = None
    mpp: float | None = None
    nominal: bool = False
    size: tuple[int, int] | None = None
    side: int | None = None
    reach: tuple[int, int] = (0, 0)
    source: Mapping[str, Any] | None = None


@final
@dataclass(frozen=True, eq=False)
class Chunk:
    """Rows of a file: ``entry`` is an index into its entries and never falls; ``boxes`` are x, y, width, height in
    level-0 pixels, with width 0 where the file does not say.
    """

    entry: Int32[np.ndarray, "n"]
    boxes: Int32[np.ndarray, "n 4"]
    vectors: Float32[np.ndarray, "n d"]

    def between(self, start: int, stop: int) -> "Chunk":
        """Rows ``start`` up to ``stop``."""
        return Chunk(self.entry[start:stop], self.boxes[start:stop], self.vectors[start:stop])


class FeatureFile(ABC):
    """One file, looked through once: all its rows were found whole and finite."""

    head: Head
    entries: list[Entry]

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """All rows in order. Raises :class:`~histokin.errors.UnreadableFile`."""


@final
@dataclass(frozen=True, eq=False)
class Outgoing:
    """The part of an archive that leaves: ``places`` of sources in the snapshot, and the archive's recipe."""

    snapshot: Snapshot
    places: Sequence[int]
    recipe: Mapping[str, Any]
    model_sha: str
    dim: int
    progress: Progress

    def rows(self) -> int:
        """Number of patches."""
        return sum(self.patches(place) for place in self.places)

    def patches(self, place: int) -> int:
        """Number of patches of one source."""
        mine = self.snapshot.rows_of(place)
        return mine.stop - mine.start  # type: ignore[no-any-return]

    def pieces(self, place: int) -> Iterator[tuple[Int32[np.ndarray, "n 4"], Float32[np.ndarray, "n d"]]]:
        """Boxes and vectors of one source, some thousand at a time."""
        mine = self.snapshot.rows_of(place)
        step = rows_at_a_time(self.dim)
        for start in range(mine.start, mine.stop, step):
            part = slice(start, min(start + step, mine.stop))
            yield np.array(self.snapshot.boxes[part]), np.array(self.snapshot.vectors[part])
            self.progress.advance(part.stop - part.start)


@final
@dataclass
class Written:
    """What an export wrote."""

    files: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class FeatureFormat(ABC):
    """One format, both ways."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    folder: ClassVar[bool] = False
    """True where every slide is a file of its own, in a folder."""

    @abstractmethod
    def write(self, leaving: Outgoing, out: Path) -> Written:
        """Write to the file or folder ``out``; each file appears whole or not at all. Raises ``OSError``."""

    @abstractmethod
    def read(self, path: Path, asked: Asked) -> FeatureFile:
        """Look through a file. Raises :class:`~histokin.errors.InputError`; nothing is left open."""


def rows_at_a_time(dim: int) -> int:
    """Rows that make up at most ``BYTES``, and at most ``ROWS``."""
    return max(1, min(ROWS, BYTES // (4 * max(1, dim))))


def check_vectors(vectors: Float32[np.ndarray, "n d"], first: int, path: Path) -> None:
    """Raises :class:`UnreadableFile` for a row (counted from ``first``) that has no finite length in float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        fine = np.isfinite(np.einsum("ij,ij->i", vectors, vectors))
    if not fine.all():
        row = first + int(np.flatnonzero(~fine)[0])
        raise UnreadableFile(
            f"the feature in row {row} holds values that are not finite, or too large for float32",
            remedy="Make the file again; no distance to such a vector means anything",
            path=path,
        )


def check_shape(count: int, dim: int, path: Path) -> None:
    """Raises ``NoTissue`` for no rows, ``ImplausibleDimensions`` for a width no encoder has."""
    if not 1 <= dim <= MOST_DIM:
        raise ImplausibleDimensions(
            f"its features have {dim} numbers", remedy=f"Features have from 1 to {MOST_DIM} numbers", path=path
        )
    if count < 1:
        raise NoTissue("it holds no features", remedy="Leave it out, or make it again", path=path)


def check_text(text: object, what: str, path: Path) -> str:
    """A name that can be written down. Raises :class:`UnreadableFile`."""
    if not isinstance(text, str) or not text or "\0" in text or len(text) > 4096:
        raise UnreadableFile(f"{what} is no name", remedy="Make the file again", path=path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UnreadableFile(
            f"{what} is not valid UTF-8", remedy="Rename the slide and make the file again", path=path
        ) from None
    return text
