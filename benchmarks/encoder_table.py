"""Every encoder with every normalizer on every labelled set that is there: one table, chance and histogram in it.

    python -m benchmarks.encoder_table --data DIR --peers DIR --out DIR [--only NAME] [--minutes 4] [--weights C=FILE]

DIR holds the sets of ``SETS``; ``--peers`` what ``python -m benchmarks.peer_encoders`` wrote. The autoencoders are
trained without labels on the archive's own images, for ``--minutes`` each, on original and BKSVD colors only; weights
and finished tables stay in ``--out``, so that a run that was stopped goes on.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histokin.encoders.registry import DEFAULT_ENCODER
from histokin.errors import InputError
from histokin.evaluation.labelled import LabelledSet, read_set
from histokin.evaluation.retrieval import measure_sets
from histokin.retrieval.recipe import Recipe
from histokin.slides.grid import Grid
from histokin.slides.labels import read_labels
from histokin.slides.reading import open_slide
from histokin.training.autoencoder import train_autoencoder
from histokin.training.images import from_arrays
from histokin.types import RGB, Region

GROUPS = Path(__file__).parent / "groups"
NORMALIZERS = ("none", "reinhard", "macenko", "vahadane", "bksvd", "stainnet")
TRAINED_FOR = ("none", "bksvd")
SHIPPED = ("efficientnet-lite0-b14", DEFAULT_ENCODER)


@dataclass(frozen=True)
class Set:
    """An archive, who asks it, and which groups are held apart."""

    archive: str
    only: tuple[str, ...] = ()
    queries: str = ""
    groups: str = ""
    normalizers: tuple[str, ...] = NORMALIZERS


COLON = {"colon_n": "H", "colon_aca": "AC", "NORM": "H", "TUM": "AC"}
SETS = {
    "colon: LC25000 asks crc5": Set("crc5", ("H", "AC"), "lc25000-colon-768"),
    "colon: NCT asks crc5": Set("crc5", ("H", "AC"), "nct-crc-val-70"),
    "colon: crc5 asks LC25000": Set("lc25000-colon-768", ("H", "AC"), "crc5"),
    "crc5, groups held apart": Set("crc5", groups="crc5.csv"),
    "crc5, leave one out (leaks)": Set("crc5", normalizers=("none",)),
    "lung, near-duplicates held apart": Set("lc25000-lung-224", groups="lc25000-lung.csv"),
    "oral2, groups held apart": Set("oral2", groups="oral2.csv"),
    "medical-mnist, leave one out": Set("medical-mnist", normalizers=("none",)),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", help="sets whose name holds this")
    parser.add_argument("--also", action="append", default=[], help="further encoders, as evaluate --encoder takes")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--weights", action="append", default=[], help="SET=StainNet file, for the set's own colors")
    given = parser.parse_args()
    for name, which in SETS.items():
        if given.only and given.only not in name:
            continue
        file = given.out / "tables" / f"{_plain(name)}.json"
        if not file.is_file():
            table = _measured(given, which)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(table, indent=1))
        _print(name, json.loads(file.read_text()))


def _measured(given: argparse.Namespace, which: Set) -> dict[str, Any]:
    table = read_labels(GROUPS / which.groups) if which.groups else None
    archive = read_set(given.data / which.archive, COLON, which.only, table=table)
    queries = read_set(given.data / which.queries, COLON, which.only) if which.queries else None
    peers = [str(given.peers / name) for name in ("mobilenet-v1", "diag-bigan")] if given.peers else []
    encoders = [*dict.fromkeys(SHIPPED), *given.also, *peers]
    weights = dict(pair.split("=", 1) for pair in given.weights)
    # Within one laboratory StainNet has nothing to bring to another's colors.
    usable = queries is not None and set(_names(archive, queries)) <= set(weights)
    wanted = [n for n in which.normalizers if n != "stainnet" or usable]
    found: dict[str, Any] = {}
    blank: list[InputError] = []
    for normalizer in wanted:
        options = {"stainnet": {"weights": weights}} if normalizer == "stainnet" else {}
        named = list(encoders)
        if normalizer in TRAINED_FOR:
            named += [f"{kind}={_autoencoder(given, kind, archive, normalizer)}" for kind in ("cbhir", "cbmir")]
        made = measure_sets(
            archive,
            queries,
            encoders=named,
            normalizers=[normalizer],
            options=options,
            protocol="leave-one-group-out" if table else None,
            group="group" if table else None,
            broken=blank,
        ).table.to_dict()
        if found:
            found["rows"] += made["rows"]
        else:
            found = made
        print(f"  {normalizer} done", flush=True)
    found["left_out"] = sorted({str(error.path) for error in blank})
    return found


def _autoencoder(given: argparse.Namespace, kind: str, archive: LabelledSet, normalizer: str) -> Path:
    """The folder of an autoencoder trained on the archive's images in these colors."""
    folder: Path = given.out / "networks" / f"{_plain(archive.name)}-{len(archive)}-{kind}-{normalizer}"
    if (folder / "encoder.json").is_file():
        return folder
    pictures = [_read(path) for path in archive.paths]
    appearance = Recipe(encoder="color-histogram", normalizer=normalizer).prepare().appearance
    mapping = appearance.fit(pictures[:: max(1, len(pictures) // 64)])
    images = from_arrays(f"{archive.name}, {normalizer}", [mapping(picture) for picture in pictures])
    train_autoencoder(kind, images, folder, minutes=given.minutes)
    return folder


def _read(path: Path) -> RGB:
    with open_slide(path) as opened:
        side = Grid().patch_px
        return opened.read(Region(0, 0, opened.width, opened.height), side, side)


def _names(*sets: LabelledSet | None) -> list[str]:
    return [one.name for one in sets if one is not None]


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower())


def _print(name: str, table: dict[str, Any]) -> None:
    print(f"\n### {name}\n\n{table['title']}\n\n{table['verdict']['headline']}\n")
    columns = ("encoder", "normalizer", "P@1", "P@5", "mAP@5", "vote@5", "CPU s/1000", "bytes")
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in table["rows"]:
        print("| " + " | ".join(_cells(row)) + " |")


def _cells(row: dict[str, Any]) -> Sequence[str]:
    shown = []
    for key in ("precision@1", "precision@5", "mean_average_precision@5", "vote_accuracy@5"):
        value = row["figures"][key]
        shown.append(f"{value['value']:.3f} ({value['low']:.2f}-{value['high']:.2f})")
    seconds = row["cost"]["index_cpu_seconds_per_1000"]
    return (
        row["encoder"],
        row["normalizer"],
        *shown,
        "-" if seconds is None else f"{seconds:.1f}",
        str(row["cost"]["vector_bytes_per_patch"]),
    )


if __name__ == "__main__":
    main()
