"""``histokin export``."""

from pathlib import Path

import click

from histokin.app.cli.common import guarded, json_option, print_json

EPILOG = """\b
Examples:
  histokin export my-archive --features features.json
  histokin export my-archive --features features.npz --where "organ = 'colon'"
  histokin export my-archive --features features/ --format trident
  histokin export my-archive --features features/ --format clam --json

json: file, label and feature of every image, one document. npz: the same as NumPy arrays, and all that the archive
knows. trident, clam: one HDF5 file per slide, with coordinates in level-0 pixels (needs h5py: pip install
'histokin[features]'). Files are written as they are read from the archive and appear whole or not at all."""


@click.command(epilog=EPILOG)
@click.argument("archive", type=click.Path(path_type=Path))
@click.option(
    "--features",
    "out",
    type=click.Path(path_type=Path),
    required=True,
    help="File (.json, .npz) or folder (HDF5) to write to.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "npz", "hdf5", "trident", "clam"]),
    help="Format [by the file's ending; trident for a folder].",
)
@click.option("--where", help="SQL condition on the archive's columns.")
@json_option
@guarded
def export(archive: Path, out: Path, form: str | None, where: str | None, as_json: bool) -> None:
    """Write the vectors of an archive to feature files, for other programs or another archive."""
    from histokin.app.cli.progress import watch
    from histokin.retrieval.features.exporting import export_features

    with watch() as progress:
        report = export_features(archive, out, format=form, where=where, progress=progress)
    if as_json:
        print_json(report.to_dict())
        return
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(
        f"{report.patches} features of {report.dim} numbers from {report.slides} slides and images, {report.files} "
        f"{report.format} files, {report.bytes / 1e6:.1f} MB in {report.seconds:.1f} s -> {out}"
    )
