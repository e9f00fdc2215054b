"""Just enough DICOM to tell which files belong together; pixels are OpenSlide's business.

The file layout is that of DICOM PS3.10 (128 bytes, ``DICM``, a meta group) with explicit little-endian
values as in PS3.5 section 7.
"""

import struct
from pathlib import Path
from typing import BinaryIO

_SERIES = (0x0020, 0x000E)
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_UNDEFINED = 0xFFFFFFFF
_DEEPEST = 32


class _NotUnderstoodError(Exception):
    pass


def series_uid(path: Path) -> str | None:
    """SeriesInstanceUID (0020,000E), or None where the file does not parse or has none."""
    try:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                return None
            return _find_series(file)
    except (OSError, struct.error, _NotUnderstoodError):
        return None


def _find_series(file: BinaryIO) -> str | None:
    while True:
        tag, kind, length = _header(file)
        if tag > _SERIES:
            return None
        if tag == _SERIES:
            return file.read(min(length, 64)).rstrip(b"\0 ").decode("ascii", "replace") or None
        _skip(file, kind, length, 0)


def _header(file: BinaryIO) -> tuple[tuple[int, int], bytes, int]:
    group, element = struct.unpack("<HH", file.read(4))
    if group == 0xFFFE:
        return (group, element), b"", struct.unpack("<I", file.read(4))[0]
    kind = file.read(2)
    if not kind.isalpha():
        raise _NotUnderstoodError  # implicit values, or damage
    if kind in _LONG:
        return (group, element), kind, struct.unpack("<2xI", file.read(6))[0]
    return (group, element), kind, struct.unpack("<H", file.read(2))[0]


def _skip(file: BinaryIO, kind: bytes, length: int, depth: int) -> None:
    if length != _UNDEFINED:
        file.seek(length, 1)
        return
    if kind not in (b"SQ", b"UN") or depth > _DEEPEST:
        raise _NotUnderstoodError
    while True:
        tag, _, length = _header(file)
        if tag == _SEQUENCE_END:
            return
        if tag != _ITEM:
            raise _NotUnderstoodError
        if length != _UNDEFINED:
            file.seek(length, 1)
            continue
        while True:
            tag, kind, length = _header(file)
            if tag == _ITEM_END:
                break
            _skip(file, kind, length, depth + 1)
