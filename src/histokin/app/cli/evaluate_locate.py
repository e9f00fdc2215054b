"""``histokin evaluate-locate``."""

from pathlib import Path
from typing import Any

import click

from histokin.app.cli.common import guarded, json_option, print_json, print_table

EPILOG = """\b
Examples:
  histokin evaluate-locate pairs/ --out located
  histokin evaluate-locate pairs/ --modalities he_aligned=brightfield --modalities shg=shg --out located --fold 2
  histokin evaluate-locate pairs/ --out located --representation placenet=trained --side 160

All pairs' images of the first modality are laid out in one mosaic, each once. Patches of the second modality, from the
cores of one fold, at random places and turned at random, are looked for in it. Without --representation a PlaceNet is
trained on the other folds' cores first (into OUT; run again, it is taken from there). An answer is right within
16 pixels and 5 degrees."""


@click.command("evaluate-locate", epilog=EPILOG)
@click.argument("pairs", type=click.Path(path_type=Path))
@click.option("--modalities", multiple=True, metavar="FOLDER=NAME", help="Which two sub-folders, and their modalities.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for what is trained and found.")
@click.option("--representation", metavar="NAME=FOLDER", help="Trained on the cores of the other folds.")
@click.option("--fold", type=click.IntRange(1, 3), default=1, show_default=True, help="Whose cores ask, of three.")
@click.option("--queries", type=click.IntRange(min=1), default=50, show_default=True, help="How many patches.")
@click.option("--side", type=click.IntRange(32), default=256, show_default=True, help="Of a patch, in pixels.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Of training, at most.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same queries.")
@json_option
@guarded
def evaluate_locate(out: Path, as_json: bool, **options: Any) -> None:
    """Measure how often the place of a turned patch is found in a mosaic of the other microscope."""
    import json

    from histokin.app.cli.train.tc_net import named
    from histokin.evaluation.cross_modality import locating_run as run
    from histokin.modality.registry import representation
    from histokin.training.files import write_whole
    from histokin.training.pairs import read_pairs
    from histokin.training.report import plain

    pairs = read_pairs(options["pairs"], named(options["modalities"]))
    fold = run.fold_of(pairs, options["fold"])
    task = run.task_of(pairs, fold, count=options["queries"], side=options["side"], seed=options["seed"])
    name, folder = _trained(options, pairs, fold, out)
    ways = {name: representation(name, path=folder)}
    run.check_apart(pairs, fold, ways[name])
    if (folder / "untrained").is_dir():
        ways[f"{name}, untrained"] = representation(name, path=folder / "untrained")
    rows = run.answered(task, ways, say=lambda text: click.echo(text, err=True))
    found = plain(run.summary(task, rows, fold))
    text = json.dumps(found, indent=2) + "\n"
    write_whole(out / "located.json", lambda stream: stream.write(text.encode()))
    if as_json:
        print_json(found)
        return
    _print(found)
    click.echo(f"answers: {(out / 'located.json').absolute()}")


def _trained(options: dict[str, Any], pairs: Any, fold: Any, out: Path) -> tuple[str, Path]:
    """The representation's name and folder: the one given, or a PlaceNet trained here."""
    if options["representation"]:
        from histokin.modality.registry import chosen

        name, parts = chosen(options["representation"])
        if "path" not in parts:
            raise click.UsageError("--representation needs the folder of a trained one: NAME=FOLDER")
        return name, parts["path"]
    from histokin.app.cli.train.common import Steps
    from histokin.evaluation.cross_modality.locating_run import trained_here

    where = out / f"placenet-fold-{fold.name}"
    with Steps() as watch:
        return "placenet", trained_here(
            pairs, fold, where, minutes=options["minutes"], seed=options["seed"], watch=watch
        )


def _print(found: dict[str, Any]) -> None:
    width, height = found["mosaic"]
    rows = []
    for row in found["rows"]:
        value, low, high = row["right"]
        share = f"{value:.0%} ({low:.0%} to {high:.0%})"
        numbers = (row["distance"], row["turn"], row["distance_right"], row["turn_right"])
        rows.append((row["name"], share, *("-" if n is None else f"{n:.1f}" for n in numbers)))
    columns = (
        "",
        "right (95 % interval by core)",
        "median px",
        "median degrees",
        "px where right",
        "degrees where right",
    )
    print_table(
        f"{found['queries']} patches of {found['side']} px ({found['asked']}) from {found['cores_asked']} cores of "
        f"fold {found['fold']}, in {width} x {height} px of {found['images']} images ({found['searched']})",
        columns,
        rows,
    )
    click.echo(f"chance of a random place and turn: {found['chance']:.1e}")
