"""Scored cells on disk: every cell is written once it is whole, so that a run that was stopped goes on."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from histokin.errors import UsageError


@final
@dataclass(frozen=True)
class Cells:
    """A folder of JSON files. A cell whose identity (data, model, settings) is another is made anew."""

    folder: Path

    def kept(self, name: str, identity: Mapping[str, Any]) -> Any | None:
        """The content of a cell, None where there is none of this identity (a damaged file is none)."""
        path = self._path(name)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["identity"] == digest(identity):
                return found["content"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None

    def keep(self, name: str, identity: Mapping[str, Any], content: Any) -> None:
        """Write a cell, whole or not at all.

        Raises
        ------
        UsageError
            when the folder cannot be written to.
        """
        path = self._path(name)
        text = json.dumps({"identity": digest(identity), "of": _plain(identity), "content": content})
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            raise UsageError(
                f"cannot be written ({error.strerror or error})", remedy="Choose another folder", path=path
            ) from None

    def made(self, name: str, identity: Mapping[str, Any], make: Callable[[], Any]) -> Any:
        """The kept content, or what ``make`` gives, which is kept then."""
        content = self.kept(name, identity)
        if content is None:
            content = make()
            self.keep(name, identity, content)
        return content

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def digest(identity: Mapping[str, Any]) -> str:
    """Of a description, independent of the order of its keys."""
    text = json.dumps(_plain(identity), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _plain(identity: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(identity, default=str))
