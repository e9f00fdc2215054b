"""``histokin demo``."""

import time
from pathlib import Path

import click

from histokin.app.cli.common import guarded, json_option, print_json

EPILOG = """\b
Examples:
  histokin demo
  histokin demo --out demo-archive"""

REGION = (1000, 1350, 600, 600)


@click.command(epilog=EPILOG)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo-archive"),
    show_default=True,
    help="Folder for the archive and the page.",
)
@json_option
@guarded
def demo(out: Path, as_json: bool) -> None:
    """Index a real slide (CMU-1-Small-Region, 2 MB, fetched once) and search a region in it."""
    from histokin.app.cli.progress import watch
    from histokin.app.cli.recipes import open_or_create, recipe_from_options
    from histokin.app.cli.search import print_answer
    from histokin.app.demo_slide import demo_slide
    from histokin.app.pages.search_page import write_search_page
    from histokin.retrieval.queries import RegionQuery
    from histokin.types import Region

    began = time.monotonic()
    slide = demo_slide()
    archive = open_or_create(out / "archive", recipe_from_options({"normalizer": "macenko"}))
    with watch() as progress:
        report = archive.index(slide, progress=progress)
    answer = archive.search(RegionQuery(slide, Region(*REGION)), k=5)
    page = (out / "answer.html").absolute()
    write_search_page(page, archive, answer)
    if as_json:
        print_json({"slide": str(slide), "index": report.to_dict(), "answer": answer.to_dict(), "page": str(page)})
        return
    state = f"{report.patches} patches indexed" if report.slides else "indexed before"
    click.echo(f"{slide.name}: {state} in {report.seconds:.1f} s")
    click.echo(f"searching region {','.join(map(str, REGION))} of it, what overlaps it left out:")
    print_answer(answer.to_dict())
    click.echo(f"demo took {time.monotonic() - began:.1f} s")
    click.echo(f"page: {page}")
