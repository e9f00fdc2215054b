"""An archive's vectors as feature files, some thousand rows at a time."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from histokin.archive.filters import select
from histokin.archive.store import Store
from histokin.encoders.identity import model_sha
from histokin.errors import UsageError
from histokin.retrieval.features.base import FeatureFormat, Outgoing
from histokin.retrieval.features.registry import BY_SUFFIX, feature_format, format_of
from histokin.retrieval.report import Progress, Silent


@final
@dataclass(frozen=True)
class ExportReport:
    """What an export wrote: ``files`` in ``path`` (or the one file), slides and images, patches."""

    path: str
    format: str
    model_sha: str
    dim: int
    files: int
    slides: int
    patches: int
    bytes: int
    warnings: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON form."""
        return {**vars(self), "warnings": list(self.warnings), "seconds": round(self.seconds, 2)}


def export_features(
    archive: Path,
    out: Path,
    *,
    format: str | None = None,
    where: str | Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write the vectors of an archive to ``out``; the encoder need not be installed.

    Parameters
    ----------
    out : the file (``json``, ``npz``) or the folder of one file per slide (HDF5). A file that is there is replaced
        once the new one is complete.
    format : a registered name; default by the ending of ``out``, and ``trident`` for a folder.
    where : condition on the archive's columns, as in a search.

    Raises
    ------
    UsageError
        nothing to export, a mistake in ``where``, ``out`` is of the wrong kind or cannot be written.
    ArchiveMissing, ArchiveFormat
        as :meth:`Store.open`.
    """
    began = time.monotonic()
    writer = feature_format(format) if format else _by_name(out)
    if out.is_dir() != writer.folder and out.exists():
        is_a, needs = ("file", "folder") if writer.folder else ("folder", "file")
        remedy = "Give another place, or another --format"
        raise UsageError(f"is a {is_a}, and {writer.name} needs a {needs}", remedy=remedy, path=out)
    store = Store.open(archive)
    if store.counts or "modality" in store.recipe:
        raise UsageError(
            "feature files hold vectors of RGB patches; the archive holds word counts, or a representation of images",
            remedy="Export an archive that was made without --representation, --modality and --encoder bag-of-words",
            path=archive,
        )
    snapshot = store.snapshot()
    chosen = select(snapshot.sources, where)
    places = [place for place in np.flatnonzero(chosen).tolist() if snapshot.starts[place + 1] > snapshot.starts[place]]
    if not places:
        what = "the condition leaves nothing to export" if where else "the archive is empty"
        raise UsageError(what, remedy="See what it holds with: histokin info", path=archive)
    sha = model_sha(str(store.recipe.get("encoder", {}).get("space", "unknown")))
    leaving = Outgoing(snapshot, places, store.recipe, sha, store.dim, progress or Silent())
    leaving.progress.start(len(places))
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        written = writer.write(leaving, out.absolute())
        size = sum(file.stat().st_size for file in written.files)
    except OSError as error:
        reason = (error.strerror or str(error).partition("\n")[0]).lower()
        raise UsageError(
            f"cannot be written ({reason})", remedy="Check free disk space and permissions", path=out
        ) from None
    return ExportReport(
        str(out.absolute()),
        writer.name,
        sha,
        store.dim,
        len(written.files),
        len(places),
        leaving.rows(),
        size,
        tuple(written.warnings),
        time.monotonic() - began,
    )


def _by_name(out: Path) -> FeatureFormat:
    """A file by its ending; what has none is a folder."""
    folder = out.is_dir() or out.suffix.lower() not in BY_SUFFIX
    if folder and out.suffix and not out.is_dir():
        return format_of(out)
    return feature_format("trident") if folder else format_of(out)
