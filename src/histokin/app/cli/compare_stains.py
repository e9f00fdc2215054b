"""``histokin compare-stains``."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from histokin.app.cli.common import (
    FAILED,
    guarded,
    json_option,
    parse_weights,
    print_failures,
    print_json,
    print_table,
    weights_option,
)
from histokin.errors import UsageError

EPILOG = """\b
Examples:
  histokin compare-stains hospital-a/ hospital-b/ --out compared/
  histokin compare-stains tiles/ --target reference.png --methods none,macenko,vahadane,bksvd
  histokin compare-stains scanner-a/ --target scanner-b/ --pairs --each
  histokin compare-stains slide.svs --methods none,stainnet --weights stainnet.safetensors

Each source is a group: a folder of images (walked to any depth), an image, or a slide, of which patches are taken."""


@click.command("compare-stains", epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--target", type=click.Path(path_type=Path), help="Reference image; with --pairs a folder of targets.")
@click.option("--pairs", is_flag=True, help="The target folder holds aligned images of the sources' names.")
@click.option("--methods", help="Comma-separated [all that are installed and need no trained weights].")
@weights_option
@click.option("--each", is_flag=True, help="Fit every picture by itself (with --pairs: on its own target).")
@click.option("--images", "most", type=click.IntRange(1), default=24, show_default=True, help="Pictures per source.")
@click.option("--mpp", type=click.FloatRange(min=0, min_open=True), help="Microns per pixel of the slides.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("compared-stains"),
    show_default=True,
    help="Folder of the page.",
)
@json_option
@guarded
def compare_stains(
    sources: tuple[Path, ...],
    target: Path | None,
    pairs: bool,
    methods: str | None,
    weights: tuple[str, ...],
    each: bool,
    most: int,
    mpp: float | None,
    out: Path,
    as_json: bool,
) -> None:
    """Compare stain normalizers on your own images: gallery, evenness, profiles, seams, speed."""
    if pairs and target is None:
        raise UsageError("--pairs needs the folder of targets", remedy="Give it with --target")
    from histokin.evaluation.compare_stains import CLASSIC
    from histokin.evaluation.compare_stains import compare_stains as compare

    chosen = tuple(name.strip() for name in methods.split(",") if name.strip()) if methods else _usual(CLASSIC)
    trained = parse_weights(weights)
    learned: dict[str, dict[str, Any]] = {m: {"weights": trained} for m in ("stainnet", "stain-gan") if trained}
    found = compare(
        [source.absolute() for source in sources],
        out,
        target=target.absolute() if target else None,
        pairs=pairs,
        methods=chosen,
        options=learned,
        each=each,
        most=most,
        mpp=mpp,
        command=f"histokin {shlex.join(sys.argv[1:])}",
        say=lambda message: click.echo(message, err=True),
    )
    report = found.page.parent / "report.json"
    if as_json:
        import json

        failed = [vars(f) for f in (*found.failed_methods, *found.failed_inputs)]
        print_json({"page": str(found.page), "failed": failed, **json.loads(report.read_text(encoding="utf-8"))})
    else:
        print_failures([*found.failed_methods, *found.failed_inputs], "methods or inputs failed")
        rows = [
            (score.method, *_spread(score.pooled("nmi")), score.unchanged, f"{score.speed.fps:.0f}")
            for score in found.scores
        ]
        print_table("Stain normalizers", ("method", "NMI SD", "NMI CV", "left as they are", "images/s"), rows)
        click.echo(f"page: {found.page}")
    sys.exit(FAILED if found.failed_methods or found.failed_inputs else 0)


def _usual(methods: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the methods whose extra is installed; what is left out is said."""
    from histokin.stain.khan_classifier import require

    try:
        require()
    except UsageError as error:
        click.echo(f"khan is left out: {error}", err=True)
        return tuple(method for method in methods if method != "khan")
    return methods


def _spread(values: list[float]) -> tuple[float, float]:
    from histokin.evaluation.stain_scores import spread_of

    return spread_of(values)
