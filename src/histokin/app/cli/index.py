"""``histokin index``."""

import sys
from pathlib import Path
from typing import Any

import click

from histokin.app.cli.common import (
    FAILED,
    archive_option,
    guarded,
    json_option,
    print_failures,
    print_json,
    weights_option,
)
from histokin.errors import UsageError

EPILOG = """\b
Examples:
  histokin index slides/ --archive my-archive
  histokin index slides/ --archive my-archive --labels labels.csv     (slide,label,patient,centre,... columns)
  histokin index tiles/ --archive tiles-archive                       (the folder's name is the label)
  histokin index scan.tif --archive my-archive --mpp 0.25
  histokin index slides/ --archive my-archive --normalizer stainnet --weights A=a.safetensors --weights B=b.safetensors
  histokin index slides/ --archive my-archive --dry-run
  histokin index cores/ --archive cores-archive --representation comir=FOLDER --encoder bag-of-words --words 2000
  histokin index shg/ --archive shg-archive --modality shg --representation comir=FOLDER --encoder bag-of-words=FOLDER

Run it again to resume, to add slides, to relink moved files and to index changed ones."""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@archive_option
@click.option("--labels", type=click.Path(path_type=Path), help="CSV table: slide,label,patient,centre,...")
@click.option("--mpp", type=click.FloatRange(min=0, min_open=True), help="Microns per pixel of these files.")
@click.option("--grid-mpp", type=click.FloatRange(min=0, min_open=True), help="Scale of patches [0.5].")
@click.option("--patch-px", type=click.IntRange(min=16), help="Side of a patch in pixels [224].")
@click.option("--overlap", type=click.FloatRange(0, 1, max_open=True), help="Overlap of patches [0].")
@click.option("--min-tissue", type=click.FloatRange(0, 1), help="Least tissue share of a patch [0.7].")
@click.option("--normalizer", help="Stain normalizer: none, reinhard, macenko, ... [none].")
@click.option("--target", type=click.Path(path_type=Path), help="Image whose colors are the target.")
@weights_option
@click.option(
    "--encoder",
    help="Encoder by name, NAME=FILE with its weights, or the folder of an ONNX file with its encoder.json.",
)
@click.option("--modality", help="Microscope of these images: brightfield, shg, ... [brightfield].")
@click.option(
    "--representation",
    metavar="NAME=FOLDER",
    help="What makes images of several microscopes comparable: comir=FOLDER, pix2pix=FOLDER,towards=shg, ...",
)
@click.option("--words", type=click.IntRange(min=1), help="Words of a vocabulary that is learned [20000].")
@click.option("--features", help="Local features of a vocabulary that is learned: surf, sift, ... [surf].")
@click.option("--no-crops", is_flag=True, help="Do not store a small picture of each patch.")
@click.option("--threads", type=click.IntRange(min=1), help="Reading threads [one per core].")
@click.option("--dry-run", is_flag=True, help="Say what would be done: files, patches, minutes, bytes.")
@json_option
@guarded
def index(paths: tuple[Path, ...], archive: Path, as_json: bool, dry_run: bool, **options: Any) -> None:
    """Read slides and image folders into an archive.

    The first run fixes the recipe (grid, normalizer, encoder); later runs use it. Every input ends as indexed,
    unchanged, relinked, or in the table of failures with its cause and remedy. An encoder bag-of-words without a
    folder learns its words from the images of the first run; they are kept in the archive.
    """
    from histokin.app.cli.recipes import open_or_create, recipe_from_options

    if dry_run:
        _dry_run(paths, archive, options, as_json)
        return
    from histokin.app.cli.progress import watch

    labels = _labels(options["labels"])
    asked = recipe_from_options(options)
    target = open_or_create(archive, asked, learn_from=paths, labels=labels, mpp=options["mpp"])
    with watch() as progress:
        report = target.index(paths, labels=labels, mpp=options["mpp"], threads=options["threads"], progress=progress)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_report(report, archive)
    sys.exit(FAILED if report.failed else 0)


def _labels(path: Path | None) -> Any:
    from histokin.slides.labels import read_labels

    return read_labels(path) if path else None


def _print_report(report: Any, archive: Path) -> None:
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    for path in report.changed:
        click.echo(f"changed, indexed again: {path}")
    for moved in report.relinked:
        click.echo(f"moved, relinked: {moved}")
    if report.ignored:
        click.echo(f"{len(report.ignored)} files of other kinds were passed over (listed with --json)")
    print_failures(report.failed)
    click.echo(
        f"{report.slides} indexed ({report.patches} patches), {report.unchanged} unchanged, "
        f"{len(report.failed)} failed in {report.seconds:.1f} s -> {archive}"
    )
    if report.counts:
        click.echo("grid places: " + ", ".join(f"{value} {key}" for key, value in report.counts.items()))


def _to_be(recipe: Any) -> Any:
    from histokin.retrieval.learning import needs_learning

    if needs_learning(recipe):
        raise UsageError(
            f"{recipe.encoder} has yet to learn its words, so that there is nothing to estimate",
            remedy=f"Learn them first and give --encoder {recipe.encoder}=FOLDER, or leave --dry-run out",
        )
    return recipe.prepare()


def _dry_run(paths: tuple[Path, ...], archive: Path, options: dict[str, Any], as_json: bool) -> None:
    from histokin.app.cli.recipes import existing, recipe_from_options
    from histokin.retrieval.estimate import estimate

    found = existing(archive)
    prepared = found.prepared if found else _to_be(recipe_from_options(options).recipe)
    known = found.store.sources() if found else []
    plan = estimate(
        prepared,
        [path.absolute() for path in paths],
        known,
        labels=_labels(options["labels"]),
        mpp=options["mpp"],
    )
    if as_json:
        print_json(plan.to_dict())
    else:
        print_failures(plan.failed, "inputs would fail")
        click.echo(
            f"{plan.slides} slides and {plan.images} images to index, {plan.unchanged} unchanged: {plan.patches} "
            f"patches, about {plan.minutes:.1f} minutes and {plan.bytes / 1e6:.1f} MB"
        )
    sys.exit(FAILED if plan.failed else 0)
