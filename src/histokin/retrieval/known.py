"""Which inputs are in the archive already: the same, moved, or changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from histokin.archive.records import Source
from histokin.errors import UnreadableFile
from histokin.slides.fingerprint import fingerprint

State = Literal["new", "unchanged", "touched", "moved", "changed"]


@final
@dataclass(frozen=True)
class Standing:
    """How a file stands to the archive. ``source`` is the row it matches, ``digest`` its content."""

    state: State
    digest: str
    source: Source | None = None


@final
class Known:
    """The archive's sources, found by path and by content."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._by_path = {source.path: source for source in sources}
        self._by_digest: dict[str, list[Source]] = {}
        for source in sources:
            self._by_digest.setdefault(source.digest, []).append(source)
        self._by_group = {source.group: source for source in reversed(sources)}

    def standing(self, path: Path) -> Standing:
        """Compare a file with the archive; its content is read only when path, size or time do not match.

        Raises
        ------
        UnreadableFile
            when the file cannot be read, or its name cannot be written down.
        """
        try:
            str(path).encode()
            return self._standing(path)
        except UnicodeEncodeError:
            raise UnreadableFile("its name is not valid UTF-8", remedy="Rename it", path=_printable(path)) from None
        except OSError as error:
            raise UnreadableFile(
                f"cannot be read ({error.strerror or error})",
                remedy="Check that the file exists and that you may read it",
                path=path,
            ) from None

    def _standing(self, path: Path) -> Standing:
        stat = path.stat()
        here = self._by_path.get(str(path))
        if here is not None and (here.size, here.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            return Standing("unchanged", here.digest, here)
        digest = fingerprint(path)
        if here is not None:
            return Standing("touched" if here.digest == digest else "changed", digest, here)
        gone = next((s for s in self._by_digest.get(digest, ()) if not Path(s.path).exists()), None)
        return Standing("moved", digest, gone) if gone else Standing("new", digest)

    def take(self, source: Source) -> None:
        """A relinked source is no longer free for another file of the same content."""
        self._by_digest[source.digest].remove(source)

    def at(self, path: Path) -> Source | None:
        """The source at this path."""
        return self._by_path.get(str(path))

    def like(self, digest: str) -> Source | None:
        """A source of the same content."""
        return next(iter(self._by_digest.get(digest, ())), None)

    def group(self, name: str) -> Source | None:
        """Any source fitted with this group."""
        return self._by_group.get(name)


def _printable(path: Path) -> str:
    """The path with what is no text shown as escapes."""
    return str(path).encode(errors="backslashreplace").decode()
