"""``histokin locate``."""

from pathlib import Path
from typing import Any

import click

from histokin.app.cli.common import guarded, json_option, parse_box, print_json

EPILOG = """\b
Examples:
  histokin locate --image shg.png --modality shg --in section.png --representation placenet=trained/
  histokin locate --image shg.png --modality shg --in slide.svs --region 4000,2500,6000,6000 \\
      --representation comir=trained/ --mpp 0.5 --out found.png
  histokin locate --image crop.png --modality brightfield --in section.png --representation none

x and y are the pixel of the searched picture on which the middle of the query falls; angle is by how many degrees the
query has to be turned counterclockwise to lie as the picture does. The score is the correlation there, 1 for a perfect
match; the rival is the best score elsewhere. A margin near 0 means that the two cannot be told apart."""


@click.command(epilog=EPILOG)
@click.option("--image", "query", type=click.Path(path_type=Path), required=True, help="Picture to find.")
@click.option("--modality", required=True, help="What the picture to find was taken with: shg, brightfield, ...")
@click.option("--in", "image", type=click.Path(path_type=Path), required=True, help="Picture to search in.")
@click.option("--in-modality", default="brightfield", show_default=True, help="What that was taken with.")
@click.option(
    "--representation",
    required=True,
    metavar="NAME[=FOLDER]",
    help="What makes the two comparable: placenet=FOLDER or comir=FOLDER (from `histokin train`), or none.",
)
@click.option("--region", help="Part of the picture to search in: x,y,w,h in its pixels.")
@click.option("--mpp", type=click.FloatRange(min=0, min_open=True), help="Microns per pixel of the picture to find.")
@click.option("--in-mpp", type=click.FloatRange(min=0, min_open=True), help="Microns per pixel of the other one.")
@click.option(
    "--max-turn", type=click.FloatRange(0, 180), default=180.0, show_default=True, help="Degrees tried either way."
)
@click.option("--out", type=click.Path(path_type=Path), help="PNG to write: the picture with the place outlined.")
@json_option
@guarded
def locate(out: Path | None, as_json: bool, **options: Any) -> None:
    """Find where in a picture another one was taken, turned or not, also with another microscope."""
    from dataclasses import replace

    from histokin.modality.registry import chosen, representation
    from histokin.retrieval.subimage.locate import SWEEP, outlined
    from histokin.retrieval.subimage.locate import locate as find
    from histokin.types import Region

    name, parts = chosen(options["representation"])
    box = parse_box(options["region"])
    found = find(
        options["query"].absolute(),
        options["image"].absolute(),
        representation(name, **parts),
        modality=options["modality"],
        image_modality=options["in_modality"],
        mpp=options["mpp"],
        image_mpp=options["in_mpp"],
        region=Region(*box) if box else None,
        sweep=replace(SWEEP, max_turn=options["max_turn"]),
    )
    if out is not None:
        _write(out, outlined(found))
    result = found.to_dict()
    if as_json:
        print_json(result)
        return
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(
        f"middle at x {result['x']:.1f}, y {result['y']:.1f}; turned by {result['angle']:.1f} degrees; "
        f"score {result['score']:.3f}, best elsewhere {result['rival']:.3f} (margin {result['margin']:.3f})"
    )
    if out is not None:
        click.echo(f"picture: {out.absolute()}")


def _write(path: Path, image: Any) -> None:
    from PIL import Image as Pillow

    from histokin.errors import UsageError

    if path.suffix.lower() != ".png":
        raise UsageError(f"no picture is written as '{path.suffix}'", path=path, remedy="End --out in .png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(image).save(path)
    except OSError as error:
        raise UsageError(
            f"cannot be written ({error.strerror or error})", path=path, remedy="Choose another --out"
        ) from None
