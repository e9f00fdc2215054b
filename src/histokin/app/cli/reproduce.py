"""``histokin reproduce``."""

import os
import shlex
from pathlib import Path

import click

from histokin.app.cli.common import guarded, json_option, print_json
from histokin.errors import UsageError

EPILOG = """\b
Papers:
  stainnet   Kang et al., StainNet (its classifier: see colorectal)
  cbhir      content-based histopathology retrieval with color normalization
  cbmir      content-based medical image retrieval with an autoencoder
  cross-modality
             cross-modality sub-image retrieval with CoMIR
  colorectal classification of colorectal tissue, with activation maps (and StainNet's classifier)

\b
Examples:
  histokin reproduce stainnet
  histokin reproduce cbhir --out pages/cbhir
  histokin reproduce stainnet --data published-pairs/ --minutes 120
  histokin reproduce cbmir --data folder-per-modality/
  histokin reproduce cross-modality --data pairs/manifest.csv
  histokin reproduce colorectal --data patches/
  histokin reproduce stainnet --quick --out /tmp/try

Synthetic images are always made; real ones are used where they are there. The page says which is which, and what
was left out. Trained weights stay in the folder: another run goes on with them."""


@click.command(epilog=EPILOG)
@click.argument("paper")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the page [reproduced/PAPER].")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Your data: a manifest.csv (path,set,centre,label,pair,split), or the folder that holds it; for cbmir and "
    "cross-modality a folder with one folder per modality will do (cross-modality: pair,modality,path[,group,split]); "
    "for colorectal what 'histokin patches' wrote, or a folder with one folder per class.",
)
@click.option(
    "--shared",
    type=click.Path(path_type=Path),
    help="Folder of real images that the project shares [HISTOKIN_DATA, or ../shared/data].",
)
@click.option("--minutes", type=click.FloatRange(min=0), help="Of training [15; 45 for cross-modality and colorectal].")
@click.option("--quick", is_flag=True, help="Tiny images and few steps: does everything work?")
@json_option
@guarded
def reproduce(
    paper: str,
    out: Path | None,
    data: Path | None,
    shared: Path | None,
    minutes: float | None,
    quick: bool,
    as_json: bool,
) -> None:
    """Make a paper's tables and figures on the data at hand, each beside the published one, as one page."""
    from histokin.evaluation.reproduce.papers import MINUTES, PAPERS
    from histokin.evaluation.reproduce.run import Run

    make = PAPERS.load(paper)
    minutes = MINUTES.get(paper, 15.0) if minutes is None else minutes
    folder = out or Path("reproduced") / paper
    command = ["histokin", "reproduce", paper, "--out", str(folder)]
    command += ["--data", str(data)] if data else []
    command += ["--shared", str(shared)] if shared else []
    command += ["--minutes", f"{minutes:g}"] if not quick else []
    command += ["--quick"] if quick else []
    run = Run(
        folder,
        shared=_shared(shared),
        data=data,
        quick=quick,
        minutes=minutes,
        command=shlex.join(command),
        say=lambda message: click.echo(message, err=True),
    )
    page: Path = make(run).absolute()
    if as_json:
        print_json({"paper": paper, "page": str(page), "report": str(page.with_name("report.json"))})
        return
    click.echo(f"page: {page}")


def _shared(given: Path | None) -> Path | None:
    """The folder of shared images: as given, by the environment, or beside the checkout; None where none is."""
    folder = given or Path(os.environ.get("HISTOKIN_DATA", "../shared/data"))
    if given and not given.is_dir():
        raise UsageError("no folder there", remedy="Give the folder of real images, or leave --shared out", path=given)
    return folder.absolute() if folder.is_dir() else None
