"""``histokin train tc-net``."""

from pathlib import Path

import click

from histokin.app.cli.common import guarded
from histokin.app.cli.train.common import Steps, answer, training_options

EPILOG = """\b
Examples:
  histokin train tc-net pairs/ --anchor shg --out tc-shg
  histokin train tc-net pairs/ --modalities he_aligned=brightfield --modalities shg=shg --anchor brightfield --out tc-bf
  histokin train tc-net pairs.csv --anchor shg --out tc-shg --profile paper --start official --device cuda
  histokin evaluate tiles/ --encoder tc-net=tc-shg

PAIRS is a folder with one sub-folder for each of two modalities, where files of the same name are aligned images of the
same place, or a table (CSV: pair, modality, path, and where you have them group and split). One tenth of the groups
gives the figures. Train once for each direction: queries are of the anchor's modality. 'paper' is DenseNet-169 and
wants a GPU and ImageNet's weights (--start official, or a file); 'reduced' is a small network from random weights on
squares of 64 pixels, also turned, and takes as many steps as fit in 5 minutes. Ctrl-C keeps what was learned; the same
command goes on."""


@click.command("tc-net", epilog=EPILOG)
@click.argument("pairs", type=click.Path(path_type=Path))
@click.option("--anchor", required=True, help="Modality of the queries; the other one is the gallery.")
@click.option("--modalities", multiple=True, metavar="FOLDER=NAME", help="Which two sub-folders, and their modalities.")
@click.option("--center", type=click.FloatRange(min=0), help="Weight of the center loss [0: none].")
@training_options
@guarded
def tc_net(
    pairs: Path,
    anchor: str,
    modalities: tuple[str, ...],
    center: float | None,
    out: Path,
    profile: str,
    minutes: float | None,
    steps: int | None,
    crop: int | None,
    most: int | None,
    seed: int,
    device: str | None,
    start: Path | None,
    as_json: bool,
) -> None:
    """Learn to embed two modalities so that images of the same place lie near each other (TC-Net)."""
    from histokin.training.pairs import read_pairs
    from histokin.training.report import require_torch
    from histokin.training.tc_net import tc_net_profile, train_tc_net

    require_torch()
    chosen = tc_net_profile(profile, crop, center=center)
    found = read_pairs(pairs, named(modalities))
    with Steps() as watch:
        trained = train_tc_net(
            found if most is None else found.some(range(min(most, len(found)))),
            out,
            anchor=anchor,
            profile=chosen,
            minutes=minutes,
            steps=steps,
            seed=seed,
            device=device,
            start=start,
            watch=watch,
        )
    answer(trained, as_json)


def named(modalities: tuple[str, ...]) -> dict[str, str] | None:
    """``FOLDER=NAME`` as a dictionary; a bare ``FOLDER`` keeps its name; None for nothing."""
    pairs = [text.partition("=") for text in modalities]
    return {folder: name if given else folder for folder, given, name in pairs} or None
