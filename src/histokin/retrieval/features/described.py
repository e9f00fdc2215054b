"""A source of an archive as plain values and back: what files of our own hold beside the vectors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histokin.archive.listing import FIELDS
from histokin.archive.records import Source
from histokin.errors import UnreadableFile

TEXTS = ("id", "kind", "path", "name", "digest", "group")
NUMBERS = ("size", "mtime_ns", "width", "height")


def described(source: Source) -> dict[str, Any]:
    """JSON-ready, without the thumbnail."""
    return {name: getattr(source, name) for name in FIELDS}


def source_from(values: object, path: Path) -> Source:
    """The source that :func:`described` described. Raises :class:`UnreadableFile` for anything else."""
    if not isinstance(values, Mapping) or not _sound(values):
        raise UnreadableFile(
            "what it says of its slide is damaged", remedy="Export it again from the archive", path=path
        )
    return Source(**{name: values[name] for name in FIELDS})


def _sound(values: Mapping[str, Any]) -> bool:
    try:
        texts = all(isinstance(values[name], str) and values[name] and _plain(values[name]) for name in TEXTS)
        numbers = all(type(values[name]) is int and 0 <= values[name] < 1 << 62 for name in NUMBERS)
        columns, counts = values["columns"], values["counts"]
        return (
            texts
            and numbers
            and values["kind"] in ("slide", "image")
            and (values["mpp"] is None or (isinstance(values["mpp"], float) and 0 < values["mpp"] < float("inf")))
            and (values["label"] is None or (isinstance(values["label"], str) and _plain(values["label"])))
            and all(isinstance(text, str) and _plain(text) for pair in columns.items() for text in pair)
            and all(isinstance(name, str) and type(count) is int for name, count in counts.items())
            and isinstance(values["appearance"], dict)
        )
    except (KeyError, AttributeError, TypeError):
        return False


def _plain(text: str) -> bool:
    """True for text that can be written down."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
