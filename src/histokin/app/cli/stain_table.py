"""``histokin stain-table``."""

from pathlib import Path

import click

from histokin.app.cli.common import guarded, json_option, parse_weights, print_json, weights_option

EPILOG = """\b
Examples:
  histokin stain-table tiles/ --out macenko.cube
  histokin stain-table slide.svs --method reinhard --target reference.png --out reinhard.png --size 65
  histokin stain-table --method stainnet --weights stainnet.safetensors --out stainnet.cube

A .cube file opens in image and video editors; a PNG strip is what game engines and browsers read. Both are
interpolated between their nodes, which is not exact: the error over all 16.7 million colors is measured and printed.
Use `histokin normalize` where colors must be right."""

WRITERS = {".cube": "write_cube", ".png": "write_png_strip"}


@click.command(name="stain-table", epilog=EPILOG)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write: .cube, or .png (a strip).")
@click.option("--method", default="macenko", show_default=True, help="reinhard, macenko, bksvd, stainnet, ...")
@click.option("--target", type=click.Path(path_type=Path), help="Image whose colors are the target.")
@weights_option
@click.option("--size", type=click.IntRange(2, 65), default=33, show_default=True, help="Nodes per channel.")
@click.option("--mpp", type=click.FloatRange(min=0, min_open=True), help="Microns per pixel of the slide.")
@json_option
@guarded
def stain_table(
    paths: tuple[Path, ...],
    out: Path,
    method: str,
    target: Path | None,
    weights: tuple[str, ...],
    size: int,
    mpp: float | None,
    as_json: bool,
) -> None:
    """Write a fitted stain normalizer as a color table for other programs, with its measured error."""
    from histokin.errors import UsageError
    from histokin.retrieval.fitting import fit_paths
    from histokin.stain import table_export
    from histokin.stain.color_map import ColorMap
    from histokin.stain.registry import normalizer

    if out.suffix.lower() not in WRITERS:
        raise UsageError(f"no table is called '{out.suffix}'", path=out, remedy="End --out in .cube or .png")
    options = {"target": target, "weights": parse_weights(weights)}
    appearance = normalizer(method, **{name: value for name, value in options.items() if value is not None})
    if appearance.looks_at_source and not paths:
        raise UsageError(f"{method} is fitted on a source, and none was given", remedy="Name images or a slide")
    fitted = fit_paths([path.absolute() for path in paths], appearance, mpp=mpp)
    if not fitted.status.ok:
        raise UsageError(f"there is no stain to normalize: {fitted.status.reason}", remedy="Fit on more stained tissue")
    if not isinstance(fitted, ColorMap):
        raise UsageError(
            f"{method} does not treat pixels by their color alone, so no color table holds it",
            remedy="Use `histokin normalize`, or another --method",
        )
    error = getattr(table_export, WRITERS[out.suffix.lower()])(fitted, out, size)
    if as_json:
        print_json({"out": str(out), "space": fitted.space, "error": error.to_dict()})
        return
    click.echo(f"{out}: {size} nodes per channel of {fitted.space}")
    click.echo(
        f"Over all 16.7 million colors, interpolated against exact: {error.mean:.2f} grey levels off on average, "
        f"{error.largest} at most, {error.off:.1%} of values by more than one"
    )
