"""Files that are complete or absent. No PyTorch."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from histokin.errors import UsageError


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> Path:
    """A file that is complete or absent, even after a power cut. Raises :class:`UsageError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
            try:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            except BaseException:
                Path(stream.name).unlink(missing_ok=True)
                raise
        Path(stream.name).chmod(0o644)
        Path(stream.name).replace(path)
    except OSError as error:
        raise UsageError(
            f"cannot be written ({error.strerror or error})", remedy="Choose another --out, or make room", path=path
        ) from None
    return path
