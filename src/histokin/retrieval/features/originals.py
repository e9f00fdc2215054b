"""From what a feature file calls a slide to a row of the archive, with the slide itself where it is at hand."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from histokin.archive.records import Source
from histokin.errors import InputError, MissingScale, NotComparable
from histokin.retrieval.features.base import Entry
from histokin.retrieval.features.described import source_from
from histokin.retrieval.preparing import jpeg
from histokin.retrieval.sources import THUMBNAIL_PX, Described, Describer, make_source, source_id
from histokin.slides.content import IMAGES, claims
from histokin.slides.discover import discover
from histokin.slides.fingerprint import fingerprint
from histokin.slides.reading import open_slide


@final
class Originals:
    """The slides and images that feature files were made from, found by path, by name or by stem."""

    def __init__(self, folder: Path | None) -> None:
        self._by_name: dict[str, list[Path]] = {}
        self._folder = folder
        if folder is not None:
            found = discover([folder])
            for path in [*found.slides, *(image for group in found.folders for image in group.images)]:
                for name in {path.name, path.stem, path.name.removesuffix("".join(path.suffixes[-2:]))}:
                    self._by_name.setdefault(name, []).append(path)

    def find(self, name: str, beside: Path) -> Path | None:
        """The file that ``name`` means, or None. Raises :class:`InputError` where it means several."""
        folders = (Path("/"), beside) if self._folder is None else (Path("/"), self._folder, beside)
        for folder in folders:
            if (folder != Path("/") or Path(name).is_absolute()) and (folder / name).is_file():
                return (folder / name).absolute()
        found = self._by_name.get(Path(name).name, [])
        if len(found) > 1:
            raise InputError(
                f"'{name}' may be {found[0]} or {found[1]}", remedy="Give --slides a folder that holds one of them"
            )
        return found[0].absolute() if found else None


def source_of(
    entry: Entry, original: Path | None, file: Path, describer: Describer, unfitted: Mapping[str, Any]
) -> Source:
    """The row of one slide or image of a feature file.

    Parameters
    ----------
    original : the slide or image itself, where it was found.
    file : the feature file.
    unfitted : the stored map of an image that no stain was fitted on.

    Raises
    ------
    InputError
        its scale is not known, or its patches lie outside the slide that was found.
    """
    where = original or _absent(entry, file)
    said = describer.describe(where, entry.label)
    if entry.source is not None:
        return _ours(entry, original, said, file)
    counts = {"grid": entry.patches, "kept": entry.patches}
    if original is None:
        size = entry.size or (entry.reach[0] + (entry.side or 0), entry.reach[1] + (entry.side or 0))
        digest = hashlib.blake2b(f"features of {where}".encode(), digest_size=32).hexdigest()
        identity = source_id(digest, where)
        kind = "image" if claims(where) in IMAGES else entry.kind
        mpp = _scaled(entry, said.mpp or entry.mpp, kind, file)
        fixed = (str(where), where.name, digest, 0, 0, *size)
        return Source(identity, kind, *fixed, mpp, said.label, said.columns, identity, dict(unfitted), counts)
    with open_slide(original, mpp=said.mpp) as slide:
        right, down = entry.reach
        if right >= slide.width or down >= slide.height:
            raise NotComparable(
                f"a patch begins at {right} across or {down} down, and {original} is {slide.width} x {slide.height}",
                remedy="Give --slides the folder of the slides that it was made from",
                path=file,
            )
        exact = None if entry.nominal else entry.mpp
        mpp = said.mpp or exact or slide.mpp or entry.mpp
        return make_source(
            slide,
            original,
            fingerprint(original),
            said,
            mpp=_scaled(entry, mpp, slide.kind, file),
            group=None,
            appearance=unfitted,
            counts=counts,
            thumbnail=jpeg(slide.thumbnail(THUMBNAIL_PX), THUMBNAIL_PX) if slide.kind == "slide" else None,
        )


def _ours(entry: Entry, original: Path | None, said: Described, file: Path) -> Source:
    """The row as the archive had it that wrote the file; a slide that is elsewhere now is linked anew."""
    source = source_from(entry.source, file)
    source = replace(source, label=said.label, columns={**source.columns, **said.columns}, mpp=said.mpp or source.mpp)
    if original is None or str(original) == source.path:
        return source
    if fingerprint(original) != source.digest:
        raise NotComparable(
            f"{original} is not the slide that its features were made from",
            remedy="Give --slides the folder of the slides that it was made from",
            path=file,
        )
    return replace(source, path=str(original), name=original.name, mtime_ns=original.stat().st_mtime_ns)


def _absent(entry: Entry, file: Path) -> Path:
    """Where a slide that is not at hand would be: as the file says, or beside the file."""
    named = Path(entry.file)
    return named if named.is_absolute() else file.absolute().parent / named


def _scaled(entry: Entry, mpp: float | None, kind: str, file: Path) -> float | None:
    if mpp is None and kind == "slide":
        raise MissingScale(
            f"nothing says how many microns a pixel of {entry.file} spans",
            remedy="Give --mpp for level 0, an 'mpp' column with --labels, or the slides with --slides FOLDER",
            path=file,
        )
    return mpp
