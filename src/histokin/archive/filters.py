"""Conditions on an archive's columns, as SQL boolean expressions.

They are evaluated by SQLite on a table in memory, under an authorizer that allows reading that table and nothing
else. A missing value is NULL; a column whose values are all numbers compares as numbers.
"""

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing

import numpy as np
from jaxtyping import Bool

from histokin.archive.records import Source
from histokin.errors import UsageError

FIXED = ("slide", "path", "kind", "label", "mpp", "width", "height")
EXAMPLE = "For example --where \"organ = 'colon' AND centre <> 'A'\""
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
STEPS = 10_000_000
"""SQLite instructions after which a condition is given up; a large archive adds 1,000 a source."""

COSTLY = frozenset({"format", "load_extension", "printf", "randomblob", "zeroblob"})
"""Functions that work or hold memory for long in one step, or load code."""

LONGEST = 1 << 20
"""Bytes of the longest text a condition may build."""


def select(sources: Sequence[Source], where: str | Mapping[str, str] | None) -> Bool[np.ndarray, "s"]:
    """One flag per source: True where the condition holds.

    Parameters
    ----------
    where : SQL condition; or column -> value, all of which must be equal; or None for everything.

    Raises
    ------
    UsageError
        for an unknown column (with the choices), a mistake in the condition, or anything but a condition.
    """
    if where is None:
        return np.ones(len(sources), bool)
    columns = _columns(sources)
    if isinstance(where, Mapping):
        unknown = [name for name in where if name.lower() not in columns]
        if unknown:
            raise _unknown_column(unknown[0], columns)
        condition = " AND ".join(f"{_quoted(name)} = ?" for name in where) or "1"
        return _evaluate(sources, columns, condition, tuple(map(str, where.values())))
    return _evaluate(sources, columns, where, ())


def _columns(sources: Sequence[Source]) -> list[str]:
    extra = sorted({name.lower() for source in sources for name in source.columns} - set(FIXED))
    return [*FIXED, *extra]


def _evaluate(
    sources: Sequence[Source], columns: Sequence[str], condition: str, values: tuple[str, ...]
) -> Bool[np.ndarray, "s"]:
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            number = _fill(database, sources, columns)
            _confine(database, len(sources))
            found = database.execute(f"SELECT {number} FROM archive WHERE ({condition}\n)", values).fetchall()
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            raise _explain(error, condition, columns) from None
    flags = np.zeros(len(sources), bool)
    for (row,) in found:
        if not isinstance(row, int) or not 0 <= row < len(sources):
            raise UsageError(f"the condition '{condition}' is more than a condition", remedy=EXAMPLE)
        flags[row] = True
    return flags


def _fill(database: sqlite3.Connection, sources: Sequence[Source], columns: Sequence[str]) -> str:
    """Make the table; returns the name of the column of running numbers, which is nobody else's."""
    number = "number"
    while number in columns:
        number += "_"
    rows = [_row(source, columns) for source in sources]
    typed = [f"{_quoted(name)} {_affinity(row[i] for row in rows)}" for i, name in enumerate(columns)]
    database.execute(f"CREATE TABLE archive ({', '.join([*typed, f'{number} INTEGER'])})")
    database.executemany(
        f"INSERT INTO archive VALUES ({', '.join('?' * (len(columns) + 1))})",
        ([*row, i] for i, row in enumerate(rows)),
    )
    return number


def _confine(database: sqlite3.Connection, rows: int) -> None:
    """Nothing but reading the table, within a budget of steps and memory."""
    budget = iter(range((STEPS + 1000 * rows) // 1000))
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    database.set_progress_handler(lambda: int(next(budget, None) is None), 1000)
    database.set_authorizer(_authorize)


def _row(source: Source, columns: Sequence[str]) -> list[object]:
    fixed = {
        "slide": source.name,
        "path": source.path,
        "kind": source.kind,
        "label": source.label,
        "mpp": source.mpp,
        "width": source.width,
        "height": source.height,
    }
    extra = {name.lower(): value or None for name, value in source.columns.items()}
    return [fixed[name] if name in fixed else extra.get(name) for name in columns]


def _affinity(values: Iterable[object]) -> str:
    """A column compares as numbers only where all its values are; '007' is a name, not seven."""
    given = [value for value in values if value is not None]
    return "NUMERIC" if all(NUMBER.fullmatch(str(value)) for value in given) else "TEXT"


def _authorize(action: int, _: str | None, name: str | None, *__: object) -> int:
    """Reading the table and calling functions; no other statement, no attached file, no pragma."""
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if name in COSTLY else sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action in {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ} else sqlite3.SQLITE_DENY


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _explain(error: Exception, condition: str, columns: Sequence[str]) -> UsageError:
    text = str(error)
    if text.startswith("no such column: "):
        return _unknown_column(text.removeprefix("no such column: ").split(" ")[0], columns)
    return UsageError(f"the condition '{condition}' is not understood ({text})", remedy=EXAMPLE)


def _unknown_column(name: str, columns: Sequence[str]) -> UsageError:
    return UsageError(
        f"the archive has no column '{name.strip(chr(34))}'",
        remedy=f"Columns: {', '.join(columns)}; values go in single quotes. {EXAMPLE}",
    )
