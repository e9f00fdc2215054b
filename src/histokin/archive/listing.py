"""Sources as columns of plain values: a list of a hundred thousand images loads in a moment."""

import gc
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from histokin.archive.records import Source

FIELDS = tuple(field.name for field in fields(Source) if field.name != "thumbnail")
REPEATED = ("appearance", "counts", "columns")
"""Fields that many sources share: each value is kept once, sources hold its number."""


def pack(sources: Sequence[Source]) -> dict[str, Any]:
    """JSON-ready columns, without thumbnails."""
    columns: dict[str, Any] = {name: [getattr(source, name) for source in sources] for name in FIELDS}
    values: dict[str, list[Any]] = {}
    for name in REPEATED:
        numbers: dict[str, int] = {}
        texts = (json.dumps(value, sort_keys=True) for value in columns[name])
        columns[name] = [numbers.setdefault(text, len(numbers)) for text in texts]
        values[name] = [json.loads(text) for text in numbers]
    return {"columns": columns, "values": values}


def unpack(packed: dict[str, Any]) -> list[Source]:
    """The sources again; those that share a value share the object. Raises what a damaged listing leads to:
    ``KeyError``, ``IndexError``, ``TypeError`` or ``ValueError``.
    """
    columns = packed["columns"]
    for name in REPEATED:
        values = packed["values"][name]
        columns[name] = [values[number] for number in columns[name]]
    # No garbage is made here, and looking for some would take as long as the work itself.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return [Source(*row) for row in zip(*(columns[name] for name in FIELDS), strict=True)]
    finally:
        if collecting:
            gc.enable()
