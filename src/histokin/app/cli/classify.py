"""``histokin classify``."""

import sys
from pathlib import Path
from typing import Any

import click

from histokin.app.cli.common import FAILED, guarded, json_option, print_failures, print_json, print_table

EPILOG = """\b
Examples:
  histokin classify tile.png --model classifier/
  histokin classify tiles/ --model classifier/ --cam maps/
  histokin classify slide.svs --model classifier/ --cam maps/
  histokin classify slides/ --model classifier/ --cam maps/ --normalizer macenko --json

Images of one folder are normalized together, with the normalizer of the training. A slide is cut into tiles of tissue
at the scale of the training. --cam writes maps that say where in the tissue a class comes from: for each image a PNG;
for each slide a GeoJSON file that QuPath opens, the slide in the colors of its classes, and a heat map for each class.
Run it again after an interruption: finished slides are kept. For research use only."""

SHOWN = 20
"""Images in the table on the screen; all are in the CSV table and in --json."""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", "-m", required=True, type=click.Path(path_type=Path), help="Folder of a trained classifier.")
@click.option("--cam", type=click.Path(path_type=Path), help="Folder for maps, GeoJSON and the table of predictions.")
@click.option("--normalizer", help="In place of the normalizer of the training: none, macenko, ...")
@click.option("--mpp", type=click.FloatRange(min=0, min_open=True), help="Microns per pixel of the slides.")
@click.option("--overlap", type=click.FloatRange(0, 1, max_open=True), help="Overlap of a slide's tiles [0].")
@click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True, help="Reading threads.")
@json_option
@guarded
def classify(
    paths: tuple[Path, ...],
    model: Path,
    cam: Path | None,
    normalizer: str | None,
    mpp: float | None,
    overlap: float | None,
    threads: int,
    as_json: bool,
) -> None:
    """Tell the classes of images and slides apart, and show where in the tissue they come from."""
    from dataclasses import replace

    from histokin.app.cli.progress import watch
    from histokin.app.pages.class_pictures import draw_image, draw_slide
    from histokin.retrieval.classifying.model import load_model
    from histokin.retrieval.classifying.run import Wanted, classify_paths

    loaded = load_model(model, method=normalizer)
    if overlap is not None:
        loaded = replace(loaded, grid=replace(loaded.grid, overlap=overlap))
    with watch("tiles") as progress:
        wanted = Wanted(cam, draw_image if cam else None, draw_slide if cam else None, mpp, threads)
        result = classify_paths(paths, loaded, wanted, progress=progress)
    if as_json:
        print_json(result.to_dict())
    else:
        _print(result, cam)
    sys.exit(FAILED if result.failed else 0)


def _print(result: Any, cam: Path | None) -> None:
    if result.images:
        rows = [(Path(row.path).name, row.folder, row.predicted, max(row.probabilities)) for row in result.images]
        print_table("", ("image", "folder", "predicted", "probability"), rows[:SHOWN])
        if len(rows) > SHOWN:
            click.echo(f"... and {len(rows) - SHOWN} more images" + (f" in {cam / 'predictions.csv'}" if cam else ""))
    if result.known:
        click.echo(f"{result.right} of {len(result.known)} images are predicted as their folder is called")
    for row in result.slides:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in row.shares.items() if share)
        click.echo(f"{Path(row.path).name}: {row.tiles} tiles: {shares}{' (kept from an earlier run)' * row.kept}")
        if row.bad:
            click.echo(f"warning: {row.bad} of its tiles do not decode", err=True)
    print_failures(result.failed)
    where = f" -> {cam}" if cam else ""
    click.echo(f"{len(result.images)} images, {len(result.slides)} slides, {len(result.failed)} failed{where}")
