"""Making a commit survive a power cut: Lance does not flush its files to the disk, so this does."""

import os
from pathlib import Path

FOLDERS = ("data", "_deletions", "_transactions", "_versions")


def files_of(table: Path) -> set[Path]:
    """All files of a Lance table."""
    return {path for name in FOLDERS for path in (table / name).glob("*") if path.is_file()}


def flush(new: set[Path], table: Path) -> None:
    """Write files and the folders that name them to the disk: data first, manifests last."""
    for path in sorted(new, key=lambda path: path.parent.name == "_versions"):
        _sync(path)
    for name in FOLDERS:
        if (table / name).is_dir():
            _sync(table / name)
    _sync(table)


def write_text(path: Path, text: str) -> None:
    """Replace a file's content, all or nothing."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    _sync(partial)
    partial.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return  # replaced or compacted meanwhile; folders cannot be opened on Windows
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
