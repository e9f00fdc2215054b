"""``histokin info``."""

from pathlib import Path

import click

from histokin.app.cli.common import archive_option, guarded, json_option, print_json

EPILOG = """\b
Examples:
  histokin info -a my-archive
  histokin info -a my-archive --json"""


@click.command(epilog=EPILOG)
@archive_option
@json_option
@guarded
def info(archive: Path, as_json: bool) -> None:
    """Say what an archive holds and how it was made."""
    from histokin.retrieval.archive import Archive

    found = Archive.open(archive).info()
    if as_json:
        print_json(found)
        return
    recipe = found["recipe"]
    grid, encoder = recipe["grid"], recipe["encoder"]
    click.echo(f"archive   {found['path']} ({found['bytes'] / 1e6:.1f} MB)")
    click.echo(f"holds     {found['slides']} slides, {found['images']} images, {found['patches']} patches")
    click.echo(f"scale     {_scale(found['scale'], grid)}")
    click.echo(f"colors    {recipe['appearance']['space']}")
    if "modality" in recipe:
        made = recipe.get("representation", {}).get("space", "images as they are")
        click.echo(f"modality  {recipe['modality']}, representation {made}")
    unit = "words" if encoder["kind"] == "counts" else "numbers"
    click.echo(f"encoder   {encoder['space']} ({encoder['dim']} {unit}, {encoder['metric']}, {encoder['licence']})")
    click.echo(f"recipe    {recipe['digest']}")
    if found["labels"]:
        click.echo("labels    " + ", ".join(f"{label} {count}" for label, count in found["labels"].items()))
    if found["columns"]:
        click.echo("columns   " + ", ".join(found["columns"]))
    if found["counts"]:
        click.echo("places    " + ", ".join(f"{count} {name}" for name, count in found["counts"].items()))
    if found["missing_files"]:
        click.echo(f"missing   {len(found['missing_files'])} files are not where they were; index their new folder")


def _scale(scale: str | None, grid: dict[str, float]) -> str:
    patches = f"patches of {grid['patch_px']} px"
    if scale is None:
        return "empty archive"
    return f"unknown, {patches}" if scale == "unknown" else f"{grid['mpp']:g} µm per pixel, {patches}"
