"""A table of what is known about each slide: label, patient, centre, organ, stain, scale, ..."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import final

from histokin.errors import UsageError

KEYS = ("slide", "image", "file", "path")
"""Names the first column may have."""


@final
@dataclass(frozen=True)
class Labels:
    """Rows of a labels table. ``columns`` are lower-case names without the first; values are text."""

    path: Path
    columns: tuple[str, ...]
    rows: dict[str, dict[str, str]]
    lines: dict[str, int]

    def for_path(self, path: Path) -> dict[str, str] | None:
        """The row of a file: by the longest end of its path that is a key, else by name or stem; or None.

        Raises
        ------
        UsageError
            one row gives the name of this file and another its stem.
        """
        key = self._key(path)
        return None if key is None else dict(self.rows[key])

    def check(self, paths: Iterable[Path]) -> None:
        """Raises :class:`UsageError` when a row by name or stem means several of these files."""
        first: dict[str, Path] = {}
        for path in paths:
            key = self._key(path)
            if key is None or "/" in key:
                continue
            if key in first and first[key] != path:
                raise UsageError(
                    f"line {self.lines[key]} ('{key}') means both {first[key]} and {path}",
                    remedy="Give paths in the first column",
                    path=self.path,
                )
            first[key] = path

    def _key(self, path: Path) -> str | None:
        tails, short = _names(path)
        for name in tails:
            if name in self.rows:
                return name
        hits = [name for name in short if name in self.rows]
        if len(hits) > 1:
            lines = " and ".join(str(n) for n in sorted(self.lines[hit] for hit in hits))
            raise UsageError(f"lines {lines} both mean {path}", remedy="Keep one of them", path=self.path)
        return hits[0] if hits else None

    def mpp(self, path: Path) -> float | None:
        """The scale of a file from the ``mpp`` column, in microns per pixel; raises :class:`UsageError`."""
        text = (self.for_path(path) or {}).get("mpp", "")
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 < value < float("inf"):
            raise UsageError(
                f"mpp of {path.name} is '{text}'", remedy="Give microns per pixel, such as 0.5", path=self.path
            )
        return value

    def unused(self, paths: Iterable[Path]) -> list[str]:
        """Keys of rows that belong to none of these files, in the order of the table."""
        named = {name for path in paths for names in _names(path) for name in names}
        return [key for key in self.rows if key not in named]


def read_labels(path: Path) -> Labels:
    """Read a CSV or TSV file (UTF-8, a byte-order mark is fine; the delimiter is found in the first line).

    The first column is called ``slide`` (or ``image``, ``file``, ``path``) and holds a relative path, a file
    name or a stem. An optional ``mpp`` column gives the scale of each file.

    Raises
    ------
    UsageError
        not readable, no such column, a column or a key twice, or a row with too many fields.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise UsageError(f"the labels table: {reason}", remedy="Check --labels", path=path) from None
    except UnicodeDecodeError:
        raise UsageError("not UTF-8 text", remedy="Save the table as CSV in UTF-8", path=path) from None
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    rows = csv.reader(text.splitlines(), delimiter=delimiter, strict=True)
    try:
        return _parse(path, [(rows.line_num, row) for row in rows if any(cell.strip() for cell in row)])
    except csv.Error as error:
        raise UsageError(f"line {rows.line_num}: {error}", remedy="Save it as CSV again", path=path) from None


def _parse(path: Path, rows: Sequence[tuple[int, list[str]]]) -> Labels:
    header = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    if not header or header[0] not in KEYS:
        found = f"'{header[0]}'" if header else "nothing"
        raise UsageError(
            f"the first column must be called slide, image, file or path, but is {found}",
            remedy="The first line of a labels table reads like slide,label,patient",
            path=path,
        )
    twice = next((name for i, name in enumerate(header) if name in header[:i]), None)
    if twice is not None or "" in header:
        what = f"two columns are called '{twice}'" if twice else "a column has no name"
        raise UsageError(what, remedy="Give every column a name of its own", path=path)
    table: dict[str, dict[str, str]] = {}
    lines: dict[str, int] = {}
    for number, row in rows[1:]:
        if len(row) > len(header):
            reason = f"line {number} has {len(row)} fields for {len(header)} columns"
            raise UsageError(reason, remedy="Put fields that hold the delimiter in quotes", path=path)
        cells = [cell.strip() for cell in row] + [""] * (len(header) - len(row))
        key = _normal(cells[0])
        if not key:
            raise UsageError(f"line {number} names no file", remedy="Fill the first column", path=path)
        if key in table:
            raise UsageError(f"lines {lines[key]} and {number} both give '{key}'", remedy="Keep one of them", path=path)
        table[key] = dict(zip(header[1:], cells[1:], strict=True))
        lines[key] = number
    return Labels(path, tuple(header[1:]), table, lines)


def _normal(text: str) -> str:
    cleaned = text.strip().replace("\\", "/")
    return str(PurePosixPath(cleaned)) if cleaned else ""


def _names(path: Path) -> tuple[list[str], list[str]]:
    """Ways to name a file: ends of its path of two parts or more, longest first; then its name and stems."""
    parts = path.absolute().parts
    tails = [str(path.absolute()), *("/".join(parts[i:]) for i in range(1, len(parts) - 1))]
    short = [path.name, path.stem]
    if path.stem.lower().endswith(".ome"):
        short.append(path.stem[:-4])
    return tails, list(dict.fromkeys(short))
