"""``histokin search``."""

import sys
from pathlib import Path
from typing import Any

import click

from histokin.app.cli.common import archive_option, guarded, json_option, parse_box, print_json, print_table

EPILOG = """\b
Examples:
  histokin search -a my-archive --image tile.png
  histokin search -a my-archive --image tile.png --mpp 0.5 -k 10 --html answer.html
  histokin search -a my-archive --image tile.png --explain --html why.html
  histokin search -a my-archive --image tile.png --model classifier/ --html answer.html
  histokin search -a my-archive --slide a.svs --region 1200,800,1024,1024 --exclude slide
  histokin search -a my-archive --slide a.svs --one-per patient
  histokin search -a my-archive --case P007 --json
  histokin search -a my-archive --image tile.png --where "organ = 'colon' AND centre <> 'A'"
  histokin search -a cores-archive --image shg.tif --modality shg --method paper --rerank 15 --html page.html

Coordinates are level-0 pixels. A patch or region leaves out what overlaps it, a slide itself, a case its patient;
--exclude none leaves everything in."""


@click.command(epilog=EPILOG)
@archive_option
@click.option("--image", type=click.Path(path_type=Path), help="Image file to search for.")
@click.option("--slide", type=click.Path(path_type=Path), help="Slide to search for, or its name in the archive.")
@click.option("--region", help="Part of --slide: x,y,w,h in level-0 pixels.")
@click.option("--case", "case_id", help="Patient to search for: all slides of the patient in the archive.")
@click.option("-k", type=click.IntRange(min=1), default=5, show_default=True, help="Number of hits.")
@click.option("--mpp", type=click.FloatRange(min=0, min_open=True), help="Microns per pixel of the query.")
@click.option(
    "--exclude",
    multiple=True,
    help="Leave out what overlaps the query, or its slide, patient, centre: overlap|slide|patient|centre|none.",
)
@click.option("--centre", help="Centre of a query from outside the archive: chooses a trained normalizer's weights.")
@click.option("--modality", help="Microscope that the query comes from, where it is not that of the archive's images.")
@click.option("--method", help="Look at the first hits again: paper (the bag of words of their parts), ... [not].")
@click.option("--rerank", type=click.IntRange(min=0), help="How many hits to look at again [15 with --method paper].")
@click.option(
    "--vocabulary",
    type=click.Choice(["reuse", "rebuild"]),
    help="For --method paper: the archive's words, or new ones for every query [reuse].",
)
@click.option("--where", help="SQL condition on the archive's columns.")
@click.option("--one-per", type=click.Choice(["slide", "patient"]), help="At most one hit per slide or patient.")
@click.option(
    "--min-separation",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Patches of a slide this many patch sides apart or less are one hit.",
)
@click.option(
    "--query-patches",
    type=click.IntRange(min=1, max=4096),
    default=256,
    show_default=True,
    help="Representative patches of a slide or case.",
)
@click.option("--label", help="The query's own label, where known: hits that differ are framed in red.")
@click.option(
    "--explain",
    is_flag=True,
    help="Say why: occlusion maps of the first 10 hits and the archive in a plane, for --html or --json.",
)
@click.option(
    "--model",
    "-m",
    type=click.Path(path_type=Path),
    help="Folder of a trained classifier: what it says of query and hits, beside the votes.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Write a self-contained page.")
@json_option
@guarded
def search(archive: Path, html: Path | None, as_json: bool, explain: bool, model: Path | None, **options: Any) -> None:
    """Find the patches, slides or cases most like an image, a region, a slide or a case."""
    query = _query(options)
    if explain and html is None and not as_json:
        raise click.UsageError("--explain needs --html FILE for its pictures, or --json for its numbers")
    from histokin.retrieval.archive import Archive, as_query

    opened = Archive.open(archive)
    answer = opened.search(
        query,
        k=options["k"],
        exclude=_rules(options["exclude"]),
        where=options["where"],
        one_per=options["one_per"],
        min_separation=options["min_separation"],
        label=options["label"],
        method=options["method"],
        rerank=options["rerank"],
        vocabulary=options["vocabulary"],
    )
    why = None
    if explain:
        from histokin.retrieval.explaining.explain import explain as explained

        click.echo(f"explaining {min(len(answer.hits), 10)} hits: some 40 encodings each", err=True)
        why = explained(opened.searcher(), as_query(query), answer)
    said = _opinions(opened, query, answer, model) if model else None
    if html is not None:
        from histokin.app.pages.search_page import write_search_page

        write_search_page(html, opened, answer, why, said)
    if as_json:
        more = ({"explanation": why.to_dict()} if why else {}) | ({"classifier": said.to_dict()} if said else {})
        print_json(answer.to_dict() | more)
    else:
        print_answer(answer.to_dict())
        if said is not None:
            click.echo(said.says)
        if html is not None:
            click.echo(f"page: {html.absolute()}")
    sys.exit(0)


def _opinions(opened: Any, query: Any, answer: Any, model: Path) -> Any:
    from histokin.retrieval.archive import as_query
    from histokin.retrieval.classifying.model import load_model
    from histokin.retrieval.classifying.opinions import opinions

    return opinions(opened.searcher(), as_query(query), answer, load_model(model))


def _rules(given: tuple[str, ...]) -> Any:
    return tuple(rule for text in given for rule in text.split(",") if rule)


def _query(options: dict[str, Any]) -> Any:
    """One query out of the options; anything but exactly one kind is wrong usage."""
    kinds = [name for name in ("image", "slide", "case_id") if options[name] is not None]
    if len(kinds) != 1:
        raise click.UsageError("give exactly one of --image FILE, --slide S [--region x,y,w,h], --case ID")
    if options["region"] is not None and kinds != ["slide"]:
        raise click.UsageError("--region needs --slide")
    if options["modality"] is not None and options["image"] is None and options["region"] is None:
        raise click.UsageError("--modality is for --image, and for --slide with --region")
    box = parse_box(options["region"])
    from histokin.retrieval.queries import CaseQuery, PatchQuery, RegionQuery, SlideQuery
    from histokin.types import Region

    if options["image"] is not None:
        return PatchQuery(options["image"], options["mpp"], centre=options["centre"], modality=options["modality"])
    if options["case_id"] is not None:
        return CaseQuery(options["case_id"], options["query_patches"])
    if box is not None:
        named = {"centre": options["centre"], "modality": options["modality"]}
        return RegionQuery(options["slide"], Region(*box), options["mpp"], **named)
    return SlideQuery(options["slide"], options["mpp"], options["query_patches"], centre=options["centre"])


def print_answer(answer: dict[str, Any]) -> None:
    """The answer as a table with its votes and warnings."""
    for warning in answer["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    rows = [
        (
            hit["rank"],
            hit["distance"],
            hit["label"],
            Path(hit["slide"]).name,
            _place(hit),
            _columns(hit["columns"]),
        )
        for hit in answer["hits"]
    ]
    print_table("", ("rank", "distance", "label", "slide", "place", "columns"), rows)
    if not rows:
        click.echo("no hit: the filters leave nothing to compare with")
    if answer["votes"]:
        votes = ", ".join(f"{label} {count}" for label, count in answer["votes"].items())
        click.echo(f"votes: {votes} (margin {answer['margin']:.2f})")
    alike = answer["alike"]
    if alike["nothing_alike"]:
        click.echo(
            f"NOTHING LIKE THIS in the archive: nearest neighbor at {alike['value']:.4f}, the archive's own lie "
            f"within {alike['threshold']:.4f} (percentile {alike['percentile']:.1f})"
        )
    places = [hit["place"]["score"] for hit in answer["hits"][:2] if hit["place"] is not None]
    if len(places) == 2:
        click.echo(f"best place {places[0]:.3f}, best in another image {places[1]:.3f}")
    click.echo(f"{answer['kind']} query answered in {answer['seconds']:.2f} s; for research use only")


def _place(hit: dict[str, Any]) -> str:
    if hit["place"] is not None:
        found = hit["place"]
        turned = f" turned {found['angle']:.1f}°" if found["angle"] else ""
        return f"{found['x']},{found['y']},{found['width']},{found['height']}{turned} ({found['score']:.3f})"
    if hit["x"] is None:
        return "whole slide"
    return f"{hit['x']},{hit['y']},{hit['width']},{hit['height']}"


def _columns(columns: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in columns.items())
