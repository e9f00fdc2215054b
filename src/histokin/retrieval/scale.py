"""Patches of known and of unknown scale are never mixed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from histokin.archive.records import Source
from histokin.errors import MissingScale, NotComparable
from histokin.slides.grid import Grid

Scale = Literal["known", "unknown"]


def scale_of(mpp: float | None) -> Scale:
    """Whether microns per pixel are known."""
    return "unknown" if mpp is None else "known"


def archive_scale(sources: Iterable[Source]) -> Scale | None:
    """The scale of an archive's patches; None while it is empty."""
    return next((scale_of(source.mpp) for source in sources), None)


def require_same_scale(archived: Scale | None, asked: Scale, grid: Grid, path: Path | None) -> None:
    """Refuse to mix.

    Raises
    ------
    MissingScale
        for a picture of unknown scale beside scaled patches.
    NotComparable
        for a scaled picture beside patches of unknown scale.
    """
    if archived is None or archived == asked:
        return
    if asked == "unknown":
        raise MissingScale(
            f"its scale is unknown, the archive's patches are at {grid.mpp:g} µm per pixel",
            remedy="Give its microns per pixel with --mpp, for example --mpp 0.5",
            path=path,
        )
    raise NotComparable(
        "its scale is known, the archive holds images of unknown scale",
        remedy="Index those images again with their --mpp, or use another archive",
        path=path,
    )
