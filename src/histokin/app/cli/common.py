"""What the commands share: errors become messages and exit statuses, tables and JSON look alike."""

import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from histokin.errors import ArchiveExists, ArchiveMissing, HistokinError, UsageError

P = ParamSpec("P")
R = TypeVar("R")

USAGE = 2
FAILED = 1
INTERRUPTED = 130

archive_option = click.option(
    "--archive",
    "-a",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the archive.",
)
weights_option = click.option(
    "--weights",
    multiple=True,
    metavar="[CENTRE=]FILE",
    help="Trained weights of stainnet or stain-gan; repeat with CENTRE= for each centre (CENTRE=none: as it is).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Turn histokin's errors into a message on stderr (and JSON on stdout where asked) and an exit status."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except HistokinError as error:
            if kwargs.get("as_json"):
                print_json({"error": error.to_dict()})
            click.echo(f"histokin: {error}", err=True)
            usage = isinstance(error, UsageError | ArchiveMissing | ArchiveExists)
            sys.exit(USAGE if usage else FAILED)
        except KeyboardInterrupt:
            click.echo("histokin: stopped; what was committed is kept, run again to go on", err=True)
            sys.exit(INTERRUPTED)

    return run


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, err: bool = False) -> None:
    """A table that fits the terminal, or plain full-width lines where there is none."""
    from rich.console import Console
    from rich.table import Table

    stream = sys.stderr if err else sys.stdout
    console = Console(file=stream, width=None if stream.isatty() else 200)
    table = Table(title=title, title_justify="left", title_style="bold", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def print_failures(failed: Sequence[Any], what: str = "inputs failed") -> None:
    """Every :class:`~histokin.retrieval.report.Failure` with its cause and remedy, on stderr."""
    if failed:
        rows = [(f.path, f.reason, f.remedy) for f in failed]
        print_table(f"{len(rows)} {what}", ("file", "cause", "remedy"), rows, err=True)


def _cell(value: object) -> str:
    from rich.markup import escape

    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else escape(str(value))


def parse_weights(given: Sequence[str]) -> str | dict[str, str] | None:
    """``--weights`` as a normalizer's option: one file, files by centre, or None where none is given.

    ``CENTRE=FILE`` is read as such unless a file of that whole name exists.
    """
    if not given:
        return None
    pairs = [("", text) if "=" not in text or Path(text).exists() else text.partition("=")[::2] for text in given]
    by_centre = {c: file if c and file == "none" else str(Path(file).absolute()) for c, file in pairs if file}
    if len(by_centre) != len(given) or ("" in by_centre and len(given) > 1):
        raise UsageError(
            f"--weights {' --weights '.join(given)} names no single file, nor one file for each centre",
            remedy="Give --weights FILE once, or --weights CENTRE=FILE for each centre",
        )
    return by_centre.get("", by_centre)


def parse_box(text: str | None) -> tuple[int, int, int, int] | None:
    """``x,y,w,h`` as four whole numbers."""
    if text is None:
        return None
    try:
        x, y, width, height = (int(part) for part in text.replace(" ", "").split(","))
    except ValueError:
        raise UsageError(
            f"--region '{text}' is not four whole numbers",
            remedy="Give x,y,w,h in level-0 pixels, for example --region 1200,800,1024,1024",
        ) from None
    return x, y, width, height
