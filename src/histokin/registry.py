"""One door for built-ins and plug-ins; a part is imported only when it is chosen."""

import difflib
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from histokin.errors import UnknownName


class Registry:
    """Names of one kind of part (``"normalizer"``, ``"encoder"``, ...) and where to load each from.

    Built-ins are given as ``{"name": "package.module:attribute"}``. Plug-ins come through the entry-point
    group ``histokin.<kind>s``; a plug-in cannot take the name of a built-in.
    """

    def __init__(self, kind: str, builtin: Mapping[str, str]) -> None:
        self.kind = kind
        self._builtin = dict(builtin)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self._builtin, *self._plugins()})

    def load(self, name: str) -> Callable[..., Any]:
        """The class or factory registered as ``name``; raises :class:`UnknownName` with the choices."""
        if name in self._builtin:
            module, _, attribute = self._builtin[name].partition(":")
            loaded: Callable[..., Any] = getattr(import_module(module), attribute)
            return loaded
        plugins = self._plugins()
        if name in plugins:
            found: Callable[..., Any] = plugins[name].load()
            return found
        raise self._unknown(name)

    def _plugins(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=f"histokin.{self.kind}s")}

    def _unknown(self, name: str) -> UnknownName:
        choices = self.names()
        near = difflib.get_close_matches(name, choices, n=1)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        return UnknownName(f"no {self.kind} is called '{name}'", remedy=f"{hint}Choose one of: {', '.join(choices)}")
