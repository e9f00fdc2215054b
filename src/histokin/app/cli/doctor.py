"""``histokin doctor``."""

import sys
from pathlib import Path

import click

from histokin.app.cli.common import FAILED, guarded, json_option, print_json, print_table

EPILOG = """\b
Examples:
  histokin doctor
  histokin doctor --archive my-archive --json
  histokin doctor --encoder uni --encoder resnet50=weights.pth      (before a long run: packages, licence, weights)"""


@click.command(epilog=EPILOG)
@click.option("--archive", "-a", type=click.Path(path_type=Path), help="Also check this archive.")
@click.option("--encoder", "encoders", multiple=True, metavar="NAME[=FILE]", help="Also check this encoder; repeat.")
@json_option
@guarded
def doctor(archive: Path | None, encoders: tuple[str, ...], as_json: bool) -> None:
    """Check that everything needed is here and works, before a long run."""
    from histokin.app.checks import run_checks

    checks = run_checks(archive, encoders)
    if as_json:
        print_json({"ok": all(c.ok or c.optional for c in checks), "checks": [c.to_dict() for c in checks]})
    else:
        rows = [("ok" if c.ok else ("missing" if c.optional else "FAILS"), c.name, c.found, c.remedy) for c in checks]
        print_table("", ("", "check", "found", "remedy"), rows)
    sys.exit(0 if all(c.ok or c.optional for c in checks) else FAILED)
