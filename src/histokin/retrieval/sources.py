"""How a file becomes a source row: its identity, label, columns and scale."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from histokin.archive.records import Source
from histokin.slides.base import Slide
from histokin.slides.labels import Labels

THUMBNAIL_PX = 512


@final
@dataclass(frozen=True)
class Described:
    """What the user says about a file: label, columns and scale (None where unknown)."""

    label: str | None
    columns: dict[str, str]
    mpp: float | None

    @property
    def style(self) -> str | None:
        """The source style that trained normalizers choose their weights by: the ``centre`` column."""
        return self.columns.get("centre") or None


@final
@dataclass(frozen=True)
class Describer:
    """Attaches the label table to files. A table's ``label`` wins over the folder's name."""

    labels: Labels | None
    mpp: float | None

    def describe(self, path: Path, folder_label: str | None) -> Described:
        """Label, columns and scale of one file; raises :class:`UsageError` for a scale that is no number."""
        columns = dict((self.labels.for_path(path) if self.labels else None) or {})
        label = columns.pop("label", "") or folder_label
        columns.pop("mpp", None)
        table = self.labels.mpp(path) if self.labels else None
        return Described(label, columns, table or self.mpp)


def source_id(digest: str, path: Path) -> str:
    """Stable name of a source: content and first place, 16 hex digits."""
    return hashlib.blake2b(f"{digest}\n{path}".encode(), digest_size=8).hexdigest()


def make_source(
    slide: Slide,
    path: Path,
    digest: str,
    said: Described,
    *,
    mpp: float | None,
    group: str | None,
    appearance: Mapping[str, Any],
    counts: dict[str, int],
    thumbnail: bytes | None,
) -> Source:
    """The row of one slide or loose image."""
    stat = path.stat()
    identity = source_id(digest, path)
    return Source(
        id=identity,
        kind=slide.kind,
        path=str(path),
        name=path.name,
        digest=digest,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        width=slide.width,
        height=slide.height,
        mpp=mpp,
        label=said.label,
        columns=said.columns,
        group=group or identity,
        appearance=dict(appearance),
        counts=counts,
        thumbnail=thumbnail,
    )
