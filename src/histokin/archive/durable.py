"""Making a commit survive a power cut: Lance does not flush its files to the disk, so this does."""

import os
from pathlib import Path

FOLDERS = ("data", "_deletions", "_transactions", "_versions")


def files_of(table: Path) -> set[str]:
    """Names of all files of a Lance table, as "folder/name". Plain text: a long run has thousands of them."""
    names: set[str] = set()
    for folder in FOLDERS:
        if (table / folder).is_dir():
            with os.scandir(table / folder) as entries:
                names.update(f"{folder}/{entry.name}" for entry in entries)
    return names


def flush(new: set[str], table: Path) -> None:
    """Write files and the folders that name them to the disk: data first, manifests last."""
    for name in sorted(new, key=lambda name: name.startswith("_versions/")):
        _sync(table / name)
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
