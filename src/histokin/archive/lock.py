"""One writer at a time: an operating-system lock that ends with its process."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from histokin.errors import ArchiveBusy, ArchiveError


@contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Hold the lock file. Raises :class:`ArchiveBusy` with the writer's process and machine when it is taken."""
    try:
        handle = path.open("a+")
    except OSError as error:
        raise ArchiveError(
            f"cannot be written to ({error.strerror or error})", remedy="Check permissions", path=path.parent
        ) from None
    with handle:
        try:
            free = _take(handle.fileno())
        except OSError as error:
            raise ArchiveError(
                f"cannot be locked ({error.strerror or error})",
                remedy="Keep the archive on a file system that has locks",
                path=path.parent,
            ) from None
        if not free:
            handle.seek(0)
            raise ArchiveBusy(
                f"another process is writing to the archive ({handle.read().strip() or 'unknown'})",
                remedy="Wait until it is done, or stop it; searching goes on meanwhile",
                path=path.parent,
            )
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {socket.gethostname()}")
        handle.flush()
        yield


def _take(descriptor: int) -> bool:
    """Take the lock without waiting; it is released when the file is closed, or the process dies."""
    try:
        import fcntl
    except ImportError:
        return _take_on_windows(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _take_on_windows(descriptor: int) -> bool:
    import importlib

    msvcrt = importlib.import_module("msvcrt")
    try:
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # far past the text, which others must be able to read
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True
