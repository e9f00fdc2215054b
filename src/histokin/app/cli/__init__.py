"""``histokin``: the command line. Each command is a module; heavy parts are imported when a command runs."""

import os
import sys

import click

from histokin._version import __version__
from histokin.app.cli.classify import classify
from histokin.app.cli.compare_stains import compare_stains
from histokin.app.cli.demo import demo
from histokin.app.cli.doctor import doctor
from histokin.app.cli.evaluate import evaluate
from histokin.app.cli.evaluate_locate import evaluate_locate
from histokin.app.cli.export import export
from histokin.app.cli.import_features import import_features
from histokin.app.cli.index import index
from histokin.app.cli.info import info
from histokin.app.cli.locate import locate
from histokin.app.cli.normalize import normalize
from histokin.app.cli.patches import patches
from histokin.app.cli.reproduce import reproduce
from histokin.app.cli.search import search
from histokin.app.cli.stain_table import stain_table
from histokin.app.cli.train import train

EPILOG = """\b
Examples:
  histokin demo
  histokin index slides/ --archive my-archive
  histokin search --archive my-archive --slide slides/a.svs --region 1200,800,1024,1024 --html answer.html

Exit status: 0 all went well, 1 some inputs failed (the rest is kept), 2 wrong usage.
For research use only."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, epilog=EPILOG)
@click.version_option(__version__, prog_name="histokin")
def cli() -> None:
    """Find, in an archive of pathology images, the tissue most like the tissue in front of you."""


for _command in (
    demo,
    index,
    search,
    locate,
    classify,
    info,
    export,
    import_features,
    normalize,
    patches,
    compare_stains,
    evaluate,
    evaluate_locate,
    reproduce,
    train,
    stain_table,
    doctor,
):
    cli.add_command(_command)


def main() -> None:
    """Entry point of the ``histokin`` program."""
    try:
        cli.main(standalone_mode=True)
    except BrokenPipeError:
        # The reader (head, less) has gone; give Python nothing left to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
