"""``histokin train placenet``."""

from pathlib import Path

import click

from histokin.app.cli.common import guarded
from histokin.app.cli.train.common import Steps, answer, training_options
from histokin.app.cli.train.tc_net import named

EPILOG = """\b
Examples:
  histokin train placenet pairs/ --out placenet
  histokin train placenet pairs/ --modalities he_aligned=brightfield --modalities shg=shg --out placenet --minutes 15
  histokin locate --image shg.png --modality shg --in section.png --representation placenet=placenet

PAIRS is a folder with one sub-folder for each of two modalities, where files of the same name are aligned images of the
same place, or a table (CSV: pair, modality, path, and where you have them group and split). One tenth of the groups
gives the figures. PlaceNet is ours: 'paper' is its largest size and wants a GPU, 'practical' takes two hours on a CPU,
'reduced' some ten minutes. Ctrl-C keeps what was learned; the same command goes on."""


@click.command("placenet", epilog=EPILOG)
@click.argument("pairs", type=click.Path(path_type=Path))
@click.option("--modalities", multiple=True, metavar="FOLDER=NAME", help="Which two sub-folders, and their modalities.")
@training_options
@guarded
def placenet(
    pairs: Path,
    modalities: tuple[str, ...],
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
    """Learn two maps in which a part of one modality is found at its place in the other (PlaceNet)."""
    from histokin.errors import UsageError
    from histokin.training.pairs import read_pairs
    from histokin.training.placenet import place_profile, train_placenet
    from histokin.training.report import require_torch

    require_torch()
    if start is not None:
        raise UsageError("placenet does not begin with given weights", remedy="Leave --start out")
    chosen = place_profile(profile, crop)
    found = read_pairs(pairs, named(modalities))
    with Steps() as watch:
        trained = train_placenet(
            found if most is None else found.some(range(min(most, len(found)))),
            out,
            profile=chosen,
            minutes=minutes,
            steps=steps,
            seed=seed,
            device=device,
            watch=watch,
        )
    answer(trained, as_json)
