"""Everything that histokin raises on purpose.

HistokinError                 names the culprit, the cause and the remedy
├── InputError                one input is at fault; a run records it and goes on
│   ├── UnreadableFile        cannot be opened: truncated, garbage, empty, no permission, not a regular file
│   ├── UnsupportedFormat     no reader for it, or its extension belies its content
│   ├── ImplausibleDimensions the header claims a size that the file cannot hold
│   ├── MissingScale          no microns per pixel in the file, and none was given
│   ├── TooCoarse             would have to be upsampled by more than the limit
│   ├── TooSmall              not one complete patch fits
│   ├── NoTissue              nothing but background
│   ├── MissingStyle          a trained normalizer has no weights for where it comes from
│   └── BadPixels             a place in the file does not decode
├── UsageError                the request itself is wrong (region outside, bad filter, unknown column)
│   └── UnknownName           no such normalizer, encoder, ...; names the choices
├── NotComparable             two sides that must not be compared, both named
├── DegenerateStain           strict only: the source has no stain to estimate
├── EncoderError              weights missing, digest differs, wrong output
└── ArchiveError              the archive itself
    ├── ArchiveMissing        no archive there
    ├── ArchiveExists         there is one already
    ├── ArchiveFormat         written by another format version, or damaged
    └── ArchiveBusy           another process is writing
"""

from pathlib import Path


class HistokinError(Exception):
    """An error with a cause and a remedy.

    ``reason`` is one clause without a full stop; ``remedy`` tells what to do next; ``path`` is the file at
    fault, where there is one.
    """

    def __init__(self, reason: str, *, remedy: str = "", path: str | Path | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.path = str(path) if path is not None else None

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        then = f". {self.remedy}" if self.remedy else ""
        return f"{where}{self.reason}{then}"

    def to_dict(self) -> dict[str, str | None]:
        """JSON-ready: path, reason and remedy."""
        return {"path": self.path, "reason": self.reason, "remedy": self.remedy}

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.reason, self.remedy, self.path))


def _rebuild(kind: type[HistokinError], reason: str, remedy: str, path: str | None) -> HistokinError:
    return kind(reason, remedy=remedy, path=path)


class InputError(HistokinError):
    """One input is at fault."""


class UnreadableFile(InputError):
    """The file cannot be opened or read."""


class UnsupportedFormat(InputError):
    """No reader takes this file."""


class ImplausibleDimensions(InputError):
    """The header claims a size that the file cannot hold."""


class MissingScale(InputError):
    """Microns per pixel are not known."""


class TooCoarse(InputError):
    """The file has fewer pixels per micron than the grid needs."""


class TooSmall(InputError):
    """Not one complete patch fits."""


class NoTissue(InputError):
    """Nothing but background was found."""


class MissingStyle(InputError):
    """A trained normalizer has no weights for the laboratory or scanner that this source comes from."""


class BadPixels(InputError):
    """A place in the file does not decode."""


class UsageError(HistokinError):
    """The request itself is wrong."""


class UnknownName(UsageError):
    """No such thing is registered."""


class NotComparable(HistokinError):
    """Two sides that must not be compared."""


class DegenerateStain(HistokinError):
    """The source has no stain to estimate (raised only when asked to be strict)."""


class EncoderError(HistokinError):
    """An encoder cannot be built or does not keep its word."""


class ArchiveError(HistokinError):
    """The archive itself is at fault."""


class ArchiveMissing(ArchiveError):
    """No archive there."""


class ArchiveExists(ArchiveError):
    """There is an archive already."""


class ArchiveFormat(ArchiveError):
    """Another format version, or damaged."""


class ArchiveBusy(ArchiveError):
    """Another process is writing."""
