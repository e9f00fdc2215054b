"""``histokin import-features``."""

import sys
from pathlib import Path
from typing import Any, Literal

import click

from histokin.app.cli.common import FAILED, archive_option, guarded, json_option, print_failures, print_json

EPILOG = """\b
Examples:
  histokin import-features features_uni_v1/ -a uni-archive --encoder-name uni_v1 --slides slides/
  histokin import-features h5_files/ -a clam-archive --encoder-name resnet50_trunc --mpp 0.5 --patch-size 256
  histokin import-features features.json -a images --encoder-name cbmir=trained/ --slides images/
  histokin import-features features.npz -a copy --labels labels.csv

HDF5 files and JSON do not say which encoder made them: name it. Its space or digest, where known, keeps vectors of
other weights out, and is needed to search by an image. Without it, slides in the archive can still be searched for
by their stored vectors (histokin search --slide NAME)."""


@click.command("import-features", epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@archive_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "npz", "hdf5", "trident", "clam"]),
    help="Format [by each file's ending].",
)
@click.option("--encoder-name", help="Encoder that made the vectors: NAME, NAME=FILE, or FOLDER of ONNX.")
@click.option("--encoder-space", help="Its space, as 'histokin info' gives it.")
@click.option("--encoder-digest", help="Digest of its weights, the second part of a space.")
@click.option("--metric", type=click.Choice(["euclidean", "cosine"]), help="How vectors compare [the encoder's].")
@click.option("--slides", type=click.Path(path_type=Path), help="Folder of the slides or images themselves.")
@click.option("--labels", type=click.Path(path_type=Path), help="CSV table: slide,label,patient,centre,mpp,...")
@click.option("--mpp", type=click.FloatRange(min=0, min_open=True), help="Microns per pixel of level 0.")
@click.option(
    "--patch-size", type=click.IntRange(min=1), help="Side of a patch in level-0 pixels, if the file lacks it."
)
@json_option
@guarded
def import_features(files: tuple[Path, ...], archive: Path, as_json: bool, **options: Any) -> None:
    """Make an archive of vectors that are there already: JSON, NumPy, CLAM or TRIDENT files."""
    from histokin.app.cli.progress import watch
    from histokin.retrieval.features.importing import import_features as run

    wanted = _wanted(options)
    with watch() as progress:
        report = run(files, archive, wanted, progress=progress)
    if as_json:
        print_json(report.to_dict())
    else:
        for warning in report.warnings:
            click.echo(f"warning: {warning}", err=True)
        print_failures(report.failed)
        replaced = f" ({len(report.changed)} of them replaced)" if report.changed else ""
        click.echo(
            f"{report.slides} slides and images imported{replaced}, {report.patches} patches, {len(report.failed)} "
            f"failed in {report.seconds:.1f} s -> {archive}"
        )
    sys.exit(FAILED if report.failed else 0)


def _wanted(options: dict[str, Any]) -> Any:
    from histokin.retrieval.features.base import Asked
    from histokin.retrieval.features.importing import Wanted
    from histokin.retrieval.features.naming import Named
    from histokin.slides.labels import read_labels

    metric: Literal["euclidean", "cosine"] | None = options["metric"]
    named = Named(options["encoder_name"], options["encoder_space"], options["encoder_digest"], metric)
    labels = read_labels(options["labels"]) if options["labels"] else None
    return Wanted(options["form"], named, Asked(options["patch_size"], options["mpp"]), options["slides"], labels)
