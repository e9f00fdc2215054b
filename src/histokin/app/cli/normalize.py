"""``histokin normalize``."""

import sys
from pathlib import Path

import click

from histokin.app.cli.common import FAILED, guarded, json_option, parse_box, print_failures, print_json

EPILOG = """\b
Examples:
  histokin normalize tiles/ --out normalized/
  histokin normalize tiles/ --out normalized/ --method reinhard --target reference.png
  histokin normalize a.png b.png --out normalized/ --each
  histokin normalize slide.svs --region 1200,800,1024,1024 --out normalized/

Images of one folder are fitted together (--each: one by one); a region is fitted on its whole slide."""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the PNG files.")
@click.option("--method", default="macenko", show_default=True, help="none, reinhard, macenko, ...")
@click.option("--target", type=click.Path(path_type=Path), help="Image whose colors are the target.")
@click.option("--each", is_flag=True, help="Fit every image on itself.")
@click.option("--region", help="Part of a slide: x,y,w,h in level-0 pixels.")
@click.option("--mpp", type=click.FloatRange(min=0, min_open=True), help="Microns per pixel of the slide.")
@json_option
@guarded
def normalize(
    paths: tuple[Path, ...],
    out: Path,
    method: str,
    target: Path | None,
    each: bool,
    region: str | None,
    mpp: float | None,
    as_json: bool,
) -> None:
    """Give images, or a region of slides, the colors of a target; originals are never touched."""
    box = parse_box(region)
    from histokin.retrieval.normalizing import normalize_paths
    from histokin.stain.registry import normalizer
    from histokin.types import Region

    appearance = normalizer(method, target=target) if target else normalizer(method)
    result = normalize_paths(
        [path.absolute() for path in paths],
        out,
        appearance,
        each=each,
        region=Region(*box) if box else None,
        mpp=mpp,
    )
    if as_json:
        print_json(result.to_dict())
    else:
        for path, reason in result.unchanged:
            click.echo(f"left as it is: {path}: {reason}", err=True)
        print_failures(result.failed)
        click.echo(
            f"{len(result.written)} images written to {out}, {len(result.unchanged)} of them left as they were, "
            f"{len(result.failed)} failed"
        )
    sys.exit(FAILED if result.failed else 0)
