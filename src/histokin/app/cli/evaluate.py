"""``histokin evaluate``."""

from pathlib import Path

import click

from histokin.app.cli.common import guarded, json_option, parse_weights, print_json, print_table, weights_option
from histokin.errors import UsageError

EPILOG = """\b
Examples:
  histokin evaluate hospital-a/ --queries hospital-b/
  histokin evaluate crc5/ --queries colon/ --same colon_n=H --same colon_aca=AC --only H --only AC
  histokin evaluate tiles/ --normalizer none --encoder color-histogram
  histokin evaluate a/ --queries b/ --normalizer stainnet --weights a=none --weights b=b-to-a.safetensors

A set is a folder with one folder per class. Without --queries every image is searched for among the others
(leave one out): that reads too high where images of one slide are on both sides. The first line says whether it does:
copies on both sides, and slides told by their staining, are looked for."""


@click.command(epilog=EPILOG)
@click.argument("database", type=click.Path(path_type=Path))
@click.option("--queries", type=click.Path(path_type=Path), help="Another set whose images are the queries.")
@click.option("--same", multiple=True, help="OTHER=NAME: class OTHER of a set is class NAME.")
@click.option("--only", multiple=True, help="Keep only these classes (after --same).")
@click.option("--encoder", multiple=True, help="Encoders [color-histogram and the shipped one].")
@click.option("--normalizer", multiple=True, help="Normalizers [none, reinhard, macenko].")
@weights_option
@click.option(
    "--fit",
    type=click.Choice(["set", "image"]),
    default="set",
    show_default=True,
    help="Fit the stain once per set, or per image.",
)
@json_option
@guarded
def evaluate(
    database: Path,
    queries: Path | None,
    same: tuple[str, ...],
    only: tuple[str, ...],
    encoder: tuple[str, ...],
    normalizer: tuple[str, ...],
    weights: tuple[str, ...],
    fit: str,
    as_json: bool,
) -> None:
    """Measure retrieval on labelled images: P@1, P@5, vote@5 beside chance and a color histogram."""
    rename = _rename(same)
    trained = parse_weights(weights)
    from histokin.encoders.registry import DEFAULT_ENCODER
    from histokin.evaluation.labelled import read_set
    from histokin.evaluation.retrieval import evaluate_sets

    archived = read_set(database, rename, only)
    asked = read_set(queries, rename, only) if queries else None
    table = evaluate_sets(
        archived,
        asked,
        encoders=encoder or ("color-histogram", DEFAULT_ENCODER),
        normalizers=normalizer or ("none", "reinhard", "macenko"),
        fit="image" if fit == "image" else "set",
        options={name: {"weights": trained} for name in ("stainnet", "stain-gan")} if trained else {},
    )
    if as_json:
        print_json(table.to_dict())
        return
    click.echo(table.verdict.headline)
    print_table(table.title, table.columns, [row.cells() for row in table.rows])
    click.echo(table.note)


def _rename(pairs: tuple[str, ...]) -> dict[str, str]:
    renamed: dict[str, str] = {}
    for pair in pairs:
        other, found, name = pair.partition("=")
        if not (other and found and name):
            raise UsageError(f"--same '{pair}' is not OTHER=NAME", remedy="For example --same colon_n=H")
        renamed[other] = name
    return renamed
