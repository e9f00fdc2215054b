"""Color tables of trained maps, as far as they were filled, kept in the user's cache for the next run.

A file is a header (a name for the format, the key's digest, the table's digest) and 64 MB. Whatever is wrong with
a file, or with the folder, the table is computed anew; nothing here raises.
"""

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import UInt32
from platformdirs import user_cache_path

VARIABLE = "HISTOKIN_CACHE"
"""Environment variable that names another folder for the cache."""

MOST = 16
"""Tables kept; beyond that the one unused for longest goes."""

MAGIC = b"histokin color table 1\n".ljust(32, b" ")
DIGEST = 32
LENGTH = 1 << 24
SUFFIX = ".table"

Packed = UInt32[np.ndarray, "16777216"]


def folder() -> Path:
    """Where tables are kept (it may not exist yet): ``tables`` in HISTOKIN_CACHE or in the user's cache folder."""
    chosen = os.environ.get(VARIABLE)
    return (Path(chosen) if chosen else user_cache_path("histokin")) / "tables"


def load(key: str) -> Packed | None:
    """The table kept under ``key``, checked against its digest; None where there is none, or a damaged one."""
    path = _path(key)
    # Read, not mapped: memory of a process may lie in large pages, in which looking up is quicker.
    table = np.empty(LENGTH, np.uint32)
    try:
        with path.open("rb") as file:
            header = file.read(len(MAGIC) + 2 * DIGEST)
            whole = file.readinto(table.data.cast("B")) == table.nbytes and not file.read(1)
    except OSError:
        return None
    if not whole or header != _header(key, table):
        with suppress(OSError):
            path.unlink()
        return None
    with suppress(OSError):
        os.utime(path)  # used today: others go first
    return table


def store(key: str, table: Packed) -> bool:
    """Keep a table. False where that is not possible (no space, no permission)."""
    path = _path(key)
    unfinished: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        unfinished = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(_header(key, table))
            file.write(table.data.cast("B"))
        unfinished.replace(path)
        _prune(path.parent)
    except OSError:
        if unfinished is not None:
            with suppress(OSError):
                unfinished.unlink()
        return False
    return True


def kept() -> tuple[int, int]:
    """Number of tables kept, and the bytes they take."""
    try:
        sizes = [path.stat().st_size for path in folder().glob(f"*{SUFFIX}")]
    except OSError:
        return 0, 0
    return len(sizes), sum(sizes)


def _path(key: str) -> Path:
    return folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}{SUFFIX}"


def _header(key: str, table: Packed) -> bytes:
    return MAGIC + hashlib.sha256(key.encode()).digest() + hashlib.sha256(table.data.cast("B")).digest()


def _prune(where: Path) -> None:
    """Leave the newest tables, and no remains of writers that were killed."""
    newest = sorted(where.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
    stale = [path for path in where.glob("*.tmp") if path.stat().st_mtime < time.time() - 3600]
    for path in newest[MOST:] + stale:
        path.unlink(missing_ok=True)
