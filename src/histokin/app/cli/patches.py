"""``histokin patches``."""

import sys
from pathlib import Path
from typing import Any, Literal

import click

from histokin.app.cli.common import FAILED, guarded, json_option, print_failures, print_json
from histokin.errors import UsageError

EPILOG = """\b
Examples:
  histokin patches slides/ --annotations qupath/ --out training/
  histokin patches slides/ --annotations asap/ --out training/ --random 5 --max-iou 0.4
  histokin patches slides/ --annotations qupath/ --out training/ --gland-masks glands/
  histokin patches slides/ --annotations qupath/ --out training/ --gland-proxy
  histokin patches slides/ --annotations qupath/ --out training/ --target normal=935 --target adenoma=916
  histokin patches slides/ --annotations qupath/ --out training/ --labels slides.csv --split patient
  histokin patches areas/ --out training/            (pictures of areas in one folder per class)

Writes training/patches/CLASS/*.png, training/manifest.csv (for histokin train classifier) and
training/overviews/*.png. Run it again to resume: slides that are done and unchanged are kept."""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for patches and manifest.")
@click.option(
    "--annotations",
    type=click.Path(path_type=Path, exists=True),
    help="Folder of NAME.geojson (QuPath) or NAME.xml (ASAP, ImageScope), one per slide; or one file for one slide.",
)
@click.option("--side", type=click.IntRange(8, 8192), default=400, show_default=True, help="Pixels of a patch.")
@click.option("--grid-mpp", type=click.FloatRange(min=0, min_open=True), help="Microns per pixel of it [as scanned].")
@click.option("--mpp", type=click.FloatRange(min=0, min_open=True), help="Scale of slides that do not know theirs.")
@click.option("--overlap", type=click.FloatRange(0, 1, max_open=True), default=0.3, show_default=True)
@click.option(
    "--overlap-mode",
    type=click.Choice(["linear", "iou"]),
    default="linear",
    show_default=True,
    help="Whether --overlap is a share of the side, or intersection over union.",
)
@click.option("--random", type=click.IntRange(min=0), default=0, show_default=True, help="More patches per area.")
@click.option("--max-iou", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Of a random patch.")
@click.option("--target", multiple=True, metavar="CLASS=N", help="Thin out or add random patches to reach N.")
@click.option("--min-inside", type=click.FloatRange(0, 1), default=0.75, show_default=True, help="Share in the area.")
@click.option("--pad-small", is_flag=True, help="Fill areas smaller than a patch up by reflection.")
@click.option("--gland-masks", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Folder of masks.")
@click.option("--gland-proxy", is_flag=True, help="Guess glands from the density of nuclei (not a segmentation).")
@click.option("--min-gland", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Least gland share.")
@click.option(
    "--split",
    type=click.Choice(["slide", "patient", "area", "patch"]),
    default="slide",
    show_default=True,
    help="What is never divided; area (as published) and patch leak slides.",
)
@click.option("--validation", type=click.FloatRange(0, 1), default=0.15, show_default=True, help="Share of patches.")
@click.option("--test", type=click.FloatRange(0, 1), default=0.15, show_default=True, help="Share of patches.")
@click.option("--labels", type=click.Path(path_type=Path), help="CSV table: slide,patient,mpp columns.")
@click.option("--legacy", is_flag=True, help="The published listing with its faults, for the record.")
@click.option("--seed", type=int, default=0, show_default=True)
@json_option
@guarded
def patches(
    paths: tuple[Path, ...],
    out: Path,
    annotations: Path | None,
    overlap_mode: Literal["linear", "iou"],
    as_json: bool,
    **options: Any,
) -> None:
    """Cut labelled training patches from annotated areas of slides.

    A window slides over every area, from its corner to its end; windows that lie outside the outline, or are less
    than half gland where glands are known, are dropped. Areas without a class and slides that fail are named.
    """
    from histokin.app.cli.progress import watch
    from histokin.retrieval.patching.plan import Cutting
    from histokin.retrieval.patching.run import Wanted, cut_patches
    from histokin.slides.labels import read_labels

    cutting = Cutting(
        side=options["side"],
        mpp=options["grid_mpp"],
        overlap=options["overlap"],
        mode=overlap_mode,
        legacy=options["legacy"],
        pad_small=options["pad_small"],
        random=options["random"],
        max_iou=options["max_iou"],
        target=_targets(options["target"]),
        least_inside=options["min_inside"],
        least_gland=options["min_gland"],
        seed=options["seed"],
    )
    wanted = Wanted(
        out,
        cutting,
        annotations,
        _glands(options["gland_masks"], options["gland_proxy"]),
        read_labels(options["labels"]) if options["labels"] else None,
        options["mpp"],
        options["split"],
        (1 - options["validation"] - options["test"], options["validation"], options["test"]),
    )
    with watch() as progress:
        report = cut_patches([path.absolute() for path in paths], wanted, progress)
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report, out)
    sys.exit(FAILED if report.failed else 0)


def _print(report: Any, out: Path) -> None:
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    print_failures(report.failed)
    for what, counts in (("classes", report.classes), ("parts", report.parts), ("dropped", report.dropped)):
        if counts:
            click.echo(f"{what}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    click.echo(
        f"{report.patches} patches of {len(report.cut)} slides cut now and {len(report.kept)} kept from an earlier "
        f"run, {len(report.failed)} failed -> {out}"
    )


def _targets(given: tuple[str, ...]) -> dict[str, int]:
    targets = {}
    for text in given:
        label, _, count = text.rpartition("=")
        if not label or not count.isdecimal() or int(count) < 1:
            raise UsageError(f"--target '{text}' is not CLASS=N", remedy="Give for example --target normal=935")
        targets[label] = int(count)
    return targets


def _glands(masks: Path | None, proxy: bool) -> Any:
    from histokin.retrieval.patching.gland_sources import guessed_glands, supplied_glands

    if masks and proxy:
        raise UsageError("--gland-masks and --gland-proxy both say where glands are", remedy="Give one of them")
    return supplied_glands(masks) if masks else guessed_glands if proxy else None
