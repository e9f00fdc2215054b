"""``histokin evaluate``."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from histokin.errors import InputError, UsageError

if TYPE_CHECKING:
    from histokin.evaluation.tabulate import Measured

EPILOG = """\b
Examples:
  histokin evaluate hospital-a/ --queries hospital-b/
  histokin evaluate crc5/ --queries colon/ --same colon_n=H --same colon_aca=AC --only H --only AC
  histokin evaluate tiles/ --table tiles.csv --group patient --page report/
  histokin evaluate tiles/ --table split.csv --protocol split --encoder resnet50 --encoder cbhir=trained/
  histokin evaluate --archive my-archive --queries other-archive --json
  histokin evaluate a/ --queries b/ --normalizer stainnet --weights a=none --weights b=b-to-a.safetensors

A set is a folder with one folder per class, or an archive, whose vectors are read. Without --queries every image is
searched for among the others (leave one out): that reads too high where images of one slide are on both sides. The
first line says whether it does: copies on both sides, shared patients, and slides told by their staining, are looked
for. Chance and a color histogram stand in every table. docs/evaluate.md explains protocols and figures."""


@click.command(epilog=EPILOG)
@click.argument("database", required=False, type=click.Path(path_type=Path))
@click.option(
    "--archive", "-a", type=click.Path(path_type=Path), help="An archive to be measured, in place of DATABASE."
)
@click.option("--queries", type=click.Path(path_type=Path), help="Another set (folder or archive) whose items ask.")
@click.option(
    "--protocol",
    type=click.Choice(["leave-one-out", "leave-one-group-out", "split", "sets"]),
    help="Who may answer [sets with --queries, leave-one-group-out with --group, else leave-one-out].",
)
@click.option("--group", help="Column held apart: patient, slide, case, centre, or any other.")
@click.option(
    "--table", type=click.Path(path_type=Path), help="CSV with the columns path, and label, patient, slide, split, ..."
)
@click.option("--k", "ks", multiple=True, type=click.IntRange(1, 1000), help="Numbers of hits [1, 3, 5, 10].")
@click.option("--same", multiple=True, help="OTHER=NAME: class OTHER of a set is class NAME.")
@click.option("--only", multiple=True, help="Keep only these classes (after --same).")
@click.option("--encoder", multiple=True, help="NAME, NAME=FILE or a folder with a network [the shipped one].")
@click.option("--normalizer", multiple=True, help="Normalizers [none, reinhard, macenko].")
@weights_option
@click.option(
    "--fit",
    type=click.Choice(["set", "image"]),
    default="set",
    show_default=True,
    help="Fit the stain once per set, or per image.",
)
@click.option("--page", type=click.Path(path_type=Path), help="Folder for a page with every figure and failed queries.")
@json_option
@guarded
def evaluate(database: Path | None, archive: Path | None, queries: Path | None, as_json: bool, **given: Any) -> None:
    """Measure retrieval on labelled images or archives, beside chance and a color histogram.

    P@k, R@k, mAP@k, any-hit accuracy, majority vote, macro F1 and AUC with 95 % intervals; time, bytes; leaks.
    """
    if (database is None) == (archive is None):
        raise UsageError("one set is needed", remedy="Give a folder, or an archive with --archive")
    broken: list[InputError] = []
    measured = _measured(database or archive, queries, broken, archived=archive is not None, **given)
    from histokin.evaluation.page.write import write_page
    from histokin.evaluation.retrieval_page import retrieval_page

    table = measured.table
    page = given["page"]
    written = write_page(retrieval_page(measured, f"histokin {shlex.join(sys.argv[1:])}"), page) if page else None
    if as_json:
        print_json({**table.to_dict(), **({"page": str(written)} if written else {})})
    else:
        click.echo(table.verdict.headline)
        print_table(table.title, table.columns, table.cells())
        click.echo(table.note)
        if written:
            click.echo(f"page: {written}")
    print_failures(table.failed, "images could not be used and were left out")
    sys.exit(FAILED if table.failed else 0)


def _measured(first: Path | None, queries: Path | None, broken: list[InputError], **given: Any) -> "Measured":
    """Read both sides and measure; a folder beside an archive is encoded by the archive's recipe."""
    assert first is not None
    from dataclasses import replace

    from histokin.app.cli.progress import watch
    from histokin.evaluation.archives import is_archive, measure_archives, read_archive
    from histokin.evaluation.labelled import read_set
    from histokin.evaluation.retrieval import measure_sets
    from histokin.retrieval.report import Failure
    from histokin.slides.labels import read_labels

    rename, only = _rename(given["same"]), given["only"]
    table = read_labels(given["table"]) if given["table"] else None
    common: dict[str, Any] = {
        "protocol": given["protocol"],
        "group": given["group"],
        "ks": given["ks"] or (1, 3, 5, 10),
    }

    def read(path: Path) -> Any:
        if is_archive(path) or (path == first and archives):
            return read_archive(path, rename, only, table)
        return read_set(path, rename, only, table=table, broken=broken)

    archives = given["archived"] or is_archive(first)
    if not archives and queries is not None and is_archive(queries):
        raise UsageError(
            "a folder cannot be the database of an archive's queries",
            remedy="Index the folder with the same recipe",
            path=first,
        )
    if archives and (given["encoder"] or given["normalizer"] or given["weights"]):
        raise UsageError(
            "an archive has its encoder and normalizer", remedy="Leave out --encoder, --normalizer, --weights"
        )
    one, other = read(first), read(queries) if queries else None
    with watch("images") as progress:
        if archives:
            measured = measure_archives(one, other, **common, broken=broken, progress=progress)
        else:
            measured = measure_sets(one, other, **common, **_chosen(given), broken=broken, progress=progress)
    failed = tuple(dict.fromkeys(Failure.of(error, error.path or "") for error in broken))
    return replace(measured, table=replace(measured.table, failed=failed))


def _chosen(given: dict[str, Any]) -> dict[str, Any]:
    from histokin.encoders.registry import DEFAULT_ENCODER

    trained = parse_weights(given["weights"])
    return {
        "encoders": given["encoder"] or (DEFAULT_ENCODER,),
        "normalizers": given["normalizer"] or ("none", "reinhard", "macenko"),
        "fit": given["fit"],
        "options": {name: {"weights": trained} for name in ("stainnet", "stain-gan")} if trained else {},
    }


def _rename(pairs: tuple[str, ...]) -> dict[str, str]:
    renamed: dict[str, str] = {}
    for pair in pairs:
        other, found, name = pair.partition("=")
        if not (other and found and name):
            raise UsageError(f"--same '{pair}' is not OTHER=NAME", remedy="For example --same colon_n=H")
        renamed[other] = name
    return renamed
