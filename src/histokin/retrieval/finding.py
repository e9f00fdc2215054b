"""Which of an archive's sources a query means, and where its pixels are."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

from histokin.archive.records import Source
from histokin.errors import UnreadableFile
from histokin.retrieval.known import Known


@final
class Finder:
    """The archive's sources, found for queries."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._known = Known(sources)

    def archived(self, path: Path) -> Source | None:
        """The archive's row of this slide or image: by path, by content, or, for a missing file, by name."""
        if path.is_file():
            standing = self._known.standing(path)
            here = standing.source if standing.state != "changed" else None
            return here or self._known.like(standing.digest)
        here = self._known.at(path)
        if here is not None:
            return here
        named = [s for s in self._sources if s.name == path.name or Path(s.name).stem == path.name]
        return named[0] if len(named) == 1 else None

    def file(self, asked: Path, own: Source | None) -> Path:
        """The file to read pixels from."""
        for path in (asked, Path(own.path) if own else asked):
            if path.exists():
                return path
        raise UnreadableFile(
            "there is no such file",
            remedy="Its pixels are needed; index it again from where it is now" if own else "Give the path of a slide",
            path=own.path if own else asked,
        )
