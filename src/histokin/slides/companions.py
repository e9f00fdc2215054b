"""Formats of several files: which other files belong to a slide."""

from pathlib import Path

from histokin.slides.content import SUFFIXES, suffix_of
from histokin.slides.dicom import series_uid

MOST_INDEX_BYTES = 1 << 20


def companions(path: Path) -> list[Path]:
    """The other files of a slide, sorted: a MIRAX folder, what a VMS index names, the rest of a DICOM series."""
    suffix = suffix_of(path)
    if suffix in SUFFIXES["mirax"]:
        folder = path.with_suffix("")
        return sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []
    if suffix in SUFFIXES["hamamatsu"]:
        return _named_in(path)
    uid = series_uid(path) if path.is_file() else None
    if uid is None:
        return []
    return sorted(p for p in path.parent.iterdir() if p != path and p.is_file() and series_uid(p) == uid)


def mirax_folder(folder: Path) -> bool:
    """True for the data folder of a MIRAX slide that lies beside it."""
    return any(folder.with_name(folder.name + s).is_file() for s in (".mrxs", ".MRXS"))


def _named_in(path: Path) -> list[Path]:
    """Files in the same folder that the values of an INI file name."""
    if path.stat().st_size > MOST_INDEX_BYTES:
        return []
    lines = path.read_text("utf-8", errors="replace").splitlines()
    names = {line.partition("=")[2].strip() for line in lines}
    found = (path.parent / name for name in names if name and "/" not in name and "\\" not in name)
    return sorted(p for p in found if p != path and p.is_file())
