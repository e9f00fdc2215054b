"""Progress of a run, on stderr: a bar on a terminal, a line now and then in a log."""

import sys
import time
from types import TracebackType
from typing import final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LOG_EVERY_S = 10.0


@final
class Bar:
    """Two bars: inputs of the run, patches of the slide at hand (or what ``unit`` calls them)."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        columns = (
            TextColumn("{task.description:<32.32}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
        )
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self._inputs = self._bars.add_task("slides and images", total=None, rate="")
        self._patches = self._bars.add_task("", total=None, rate="", visible=False)
        self._done = 0
        self._began = time.monotonic()

    def __enter__(self) -> "Bar":
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._bars.stop()

    def start(self, items: int) -> None:
        """So many slides and images lie ahead."""
        self._bars.update(self._inputs, total=items)

    def begin(self, name: str, patches: int) -> None:
        """A slide or a batch of images starts."""
        self._bars.reset(self._patches, description=name, total=patches, visible=True)

    def advance(self, patches: int) -> None:
        """So many patches are encoded."""
        self._done += patches
        rate = f"{self._done / (time.monotonic() - self._began):.0f} {self._unit}/s"
        self._bars.update(self._patches, advance=patches, rate=rate)

    def finish(self, name: str, items: int, outcome: str) -> None:
        """A slide, or so many images, are done."""
        self._bars.update(self._inputs, advance=items)


@final
class Log:
    """A line every ten seconds, for logs and pipes."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._items = self._finished = self._patches = 0
        self._began = self._last = time.monotonic()

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        return None

    def start(self, items: int) -> None:
        """So many slides and images lie ahead."""
        self._items = items

    def begin(self, name: str, patches: int) -> None:
        """A slide or a batch of images starts."""

    def advance(self, patches: int) -> None:
        """So many patches are encoded."""
        self._patches += patches
        now = time.monotonic()
        if now - self._last >= LOG_EVERY_S:
            self._last = now
            rate = self._patches / (now - self._began)
            click.echo(
                f"{self._finished}/{self._items} inputs, {self._patches} {self._unit}, {rate:.0f} {self._unit}/s",
                err=True,
            )

    def finish(self, name: str, items: int, outcome: str) -> None:
        """A slide, or so many images, are done."""
        self._finished += items


def watch(unit: str = "patches") -> Bar | Log:
    """The progress that suits where stderr goes."""
    return Bar(unit) if sys.stderr.isatty() else Log(unit)
