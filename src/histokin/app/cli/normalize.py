"""``histokin normalize``."""

import sys
from pathlib import Path

import click

from histokin.app.cli.common import (
    FAILED,
    guarded,
    json_option,
    parse_box,
    parse_weights,
    print_failures,
    print_json,
    weights_option,
)
from histokin.app.cli.progress import watch

EPILOG = """\b
Examples:
  histokin normalize tiles/ --out normalized/
  histokin normalize tiles/ --out normalized/ --method reinhard --target reference.png
  histokin normalize a.png b.png --out normalized/ --each
  histokin normalize slides/ --out normalized/ --method vahadane
  histokin normalize slides/ --out normalized/ --method stainnet --weights stainnet.safetensors
  histokin normalize slide.svs --region 1200,800,1024,1024 --out normalized/

Images of one folder are fitted together (--each: one by one) and written as PNG. A slide is fitted on its tissue and
written whole, as a pyramidal OME-TIFF with JPEG tiles (a --region of it as PNG). Run it again after an interruption:
finished slides are kept."""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the copies.")
@click.option("--method", default="macenko", show_default=True, help="none, reinhard, macenko, vahadane, bksvd, ...")
@click.option("--target", type=click.Path(path_type=Path), help="Image whose colors are the target.")
@weights_option
@click.option("--centre", help="Where the inputs come from: chooses among --weights CENTRE=FILE.")
@click.option("--each", is_flag=True, help="Fit every image on itself.")
@click.option("--region", help="Part of a slide: x,y,w,h in level-0 pixels.")
@click.option("--mpp", type=click.FloatRange(min=0, min_open=True), help="Microns per pixel of the slide.")
@click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True, help="Reading and mapping.")
@click.option("--quality", type=click.IntRange(50, 100), default=90, show_default=True, help="JPEG tiles of slides.")
@json_option
@guarded
def normalize(
    paths: tuple[Path, ...],
    out: Path,
    method: str,
    target: Path | None,
    weights: tuple[str, ...],
    centre: str | None,
    each: bool,
    region: str | None,
    mpp: float | None,
    threads: int,
    quality: int,
    as_json: bool,
) -> None:
    """Give images and whole slides the colors of a target; originals are never touched."""
    box = parse_box(region)
    from histokin.retrieval.normalizing import normalize_paths
    from histokin.stain.registry import normalizer
    from histokin.types import Region

    options = {"target": target, "weights": parse_weights(weights)}
    appearance = normalizer(method, **{name: value for name, value in options.items() if value}).for_style(centre)
    with watch("tiles") as progress:
        result = normalize_paths(
            [path.absolute() for path in paths],
            out,
            appearance,
            each=each,
            region=Region(*box) if box else None,
            mpp=mpp,
            threads=threads,
            quality=quality,
            progress=progress,
        )
    if as_json:
        print_json(result.to_dict())
    else:
        for path, reason in result.unchanged:
            click.echo(f"left as it is: {path}: {reason}", err=True)
        print_failures(result.failed)
        click.echo(
            f"{len(result.written)} written to {out}, {len(result.unchanged)} of them left as they were, "
            f"{len(result.kept)} kept from an earlier run, {len(result.failed)} failed"
        )
    sys.exit(FAILED if result.failed else 0)
