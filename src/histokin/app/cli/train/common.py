"""What the trainers' commands share: options, progress, the answer."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, final

import click

from histokin.app.cli.common import FAILED, json_option, print_json, print_table

F = TypeVar("F", bound=Callable[..., Any])

PROFILES = ("paper", "practical", "reduced")
LOG_EVERY_S = 10.0


def training_options(command: F) -> F:
    """Options that every trainer has."""
    options = (
        click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for weights and report."),
        click.option(
            "--profile", type=click.Choice(PROFILES), default="reduced", show_default=True, help="How much is trained."
        ),
        click.option(
            "--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after so long; run again to go on."
        ),
        click.option("--steps", type=click.IntRange(min=1), help="So many steps instead of what the profile says."),
        click.option(
            "--crop",
            type=click.IntRange(min=8),
            help="Side of the training squares, or of whole images, in pixels.",
        ),
        click.option("--most", type=click.IntRange(min=3), help="Use at most so many images of a side."),
        click.option(
            "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same weights."
        ),
        click.option("--device", help="cpu, cuda, cuda:1 [a GPU where there is one]."),
        click.option("--start", type=click.Path(path_type=Path), help="Begin with these weights."),
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@final
class Steps:
    """Progress of a training on stderr: a bar on a terminal, a line every ten seconds in a log."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Steps":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[losses]}"),
            )
            self._bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=None, losses="")
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, moment: Any) -> None:
        """A step is done; ``moment`` is a :class:`~histokin.training.report.Moment`."""
        losses = " ".join(f"{name} {value:.3f}" for name, value in list(moment.losses.items())[:4])
        if self._bar is not None:
            self._bar.update(
                self._task, completed=moment.done, total=moment.planned, losses=losses, description=moment.phase
            )
            return
        now = time.monotonic()
        if now - self._last >= LOG_EVERY_S:
            self._last = now
            left = (moment.planned - moment.done) * moment.step_seconds / 60
            click.echo(f"{moment.phase}: step {moment.done}/{moment.planned}, {left:.1f} min left: {losses}", err=True)


def answer(trained: Any, as_json: bool) -> None:
    """Print what came out of a :class:`~histokin.training.report.Trained` and leave with its exit status."""
    report: Mapping[str, Any] = trained.report
    if as_json:
        from histokin.training.report import plain

        brief = {key: value for key, value in report.items() if key != "history"}
        print_json(plain({**brief, "folder": str(trained.folder), "file": str(trained.weights)}))
    else:
        _print(trained, report)
    sys.exit(FAILED if report["failed"] or not trained.better_than_untrained else 0)


def _print(trained: Any, report: Mapping[str, Any]) -> None:
    if report["failed"]:
        causes = [(one["path"], one["reason"], one["remedy"]) for one in report["failed"]]
        print_table(f"{len(causes)} images left out", ("file", "cause", "remedy"), causes, err=True)
    held = report["held_out"]
    names = list(held["trained"])
    rows = [
        (who, *(float(held[who][name]) if name in held[who] else None for name in names))
        for who in held
        if who != "images"
    ]
    print_table(f"On {held['images']} images that were not learned from", ("", *names), rows)
    steps = report["steps"]
    of = f" of {steps['published']} published" if steps["published"] is not None else ""
    click.echo(
        f"{trained.weights}: {steps['done']}{of} steps "
        f"(profile {report['profile']}, {report['seconds'] / 60:.1f} min, {report['device']})"
    )
    if report["stopped"] == "enough":
        click.echo(f"stopped at step {steps['done']}: no better for a while; the best step is kept")
    if report["stopped"] == "time":
        click.echo(f"stopped at step {steps['done']} of {report['planned_steps']}; run the same command to go on")
    if not trained.better_than_untrained:
        click.echo("histokin: the trained network does not beat its untrained copy; train longer", err=True)
