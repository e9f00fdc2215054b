"""The page of an answer: query and hits side by side, votes, reasons, and how far to trust them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from histokin._version import __version__
from histokin.app.pages.pictures import Album, Picture, as_picture, outline
from histokin.archive.records import Source
from histokin.errors import InputError
from histokin.retrieval.answer import Answer, Match
from histokin.retrieval.archive import Archive
from histokin.retrieval.classifying.opinions import Opinions
from histokin.retrieval.explaining.explain import Explanation
from histokin.retrieval.forms import as_rgb
from histokin.retrieval.subimage.base import Context
from histokin.types import Hit, Region

PAIRS_SHOWN = 6


@final
@dataclass(frozen=True)
class Pair:
    """A query patch and the patch of the hit that it matched."""

    query: Picture | None
    hit: Picture | None
    distance: float


@final
@dataclass(frozen=True)
class Card:
    """One hit on the page."""

    hit: Hit
    name: str
    picture: Picture | None
    place: str
    differs: bool
    pairs: tuple[Pair, ...]
    represented: Picture | None = None


def write_search_page(
    path: Path,
    archive: Archive,
    answer: Answer,
    explanation: Explanation | None = None,
    opinions: Opinions | None = None,
) -> None:
    """Write one self-contained HTML file; with an ``explanation``, why each hit was found; with ``opinions``, what a
    classifier says.

    Raises
    ------
    OSError
        when the file cannot be written.
    """
    path.write_text(render_search_page(archive, answer, explanation, opinions), encoding="utf-8")


def render_search_page(
    archive: Archive, answer: Answer, explanation: Explanation | None = None, opinions: Opinions | None = None
) -> str:
    """The HTML of an answer."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("histokin.app.pages"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    context = _context(archive, answer) | {"why": None, "opinions": None}
    if explanation is not None:
        from histokin.app.pages.explain_section import explain_context

        context["why"] = explain_context(answer, explanation)
    if opinions is not None:
        from histokin.app.pages.classes_section import classes_context

        context["opinions"] = classes_context(answer, opinions)
    return environment.get_template("search.html.j2").render(context)


def _context(archive: Archive, answer: Answer) -> dict[str, Any]:
    searcher = archive.searcher()
    album = Album(archive.store, searcher.snapshot)
    sources = {source.id: source for source in searcher.snapshot.sources}
    cards = [_card(album, answer, hit, sources[hit.source]) for hit in answer.hits]
    query_represented = None
    if answer.seen is not None and archive.prepared.representation is not None:
        query_represented = as_picture(as_rgb(answer.seen.mapped))
        context = Context(archive.prepared, sources, len(searcher.snapshot.source_index))
        cards = [replace(card, represented=_represented(context, card.hit)) for card in cards]
    most = max(answer.votes.values(), default=1)
    return {
        "answer": answer,
        "query_name": Path(answer.query.name).name,
        "query_picture": _query_picture(album, answer),
        "query_represented": query_represented,
        "query_scale": _scale_note(answer),
        "cards": cards,
        "votes": [(label, count, 100 * count / most) for label, count in answer.votes.items()],
        "archive_name": archive.store.path.name,
        "sources": len(sources),
        "patches": len(searcher.snapshot.source_index),
        "version": __version__,
    }


def _query_picture(album: Album, answer: Answer) -> Picture | None:
    query = answer.query
    if answer.kind == "case":
        return None
    if answer.seen is not None:
        return as_picture(as_rgb(answer.seen.picture))
    if query.region is None:
        return album.thumbnail(query.source or query.name)
    view = _view_around(query.region, max(query.region.width, query.region.height))
    if answer.kind == "region":
        return album.view(query.source or query.name, view, query.patches)
    return album.view(query.source or query.name, query.region)


def _card(album: Album, answer: Answer, hit: Hit, source: Source) -> Card:
    label = answer.query.label
    differs = label is not None and hit.label is not None and hit.label != label
    mine = [match for match in answer.matches if match.hit == hit.rank]
    if hit.region is None:
        picture, place = album.thumbnail(hit.slide), "whole slide"
        pairs = tuple(_pair(album, answer, hit, match) for match in mine[:PAIRS_SHOWN])
    else:
        picture = album.view(hit.slide, _hit_view(answer, hit.region, source), (hit.place or hit.region,))
        box = hit.place.region if hit.place else hit.region
        place = f"x {box.x}, y {box.y}, {box.width} x {box.height}"
        several = len(answer.query.patches) > 1
        pairs = tuple(_pair(album, answer, hit, match) for match in mine) if several else ()
    return Card(hit, source.name, picture, place, differs, pairs)


def _represented(context: Context, hit: Hit) -> Picture | None:
    """The hit as it was compared, with the place where the query was found."""
    try:
        image = as_rgb(context.picture(hit))
    except InputError:
        return None  # the card says so where its own picture is missing
    source = context.sources[hit.source]
    whole = hit.region or Region(0, 0, source.width, source.height)
    return as_picture(outline(image, whole, (hit.place,) if hit.place else ()))


def _hit_view(answer: Answer, region: Region, source: Source) -> Region:
    """A square around the hit as wide, in microns, as the query's; the patch itself where scales are unknown."""
    query = answer.query
    if answer.kind != "region" or query.region is None or query.mpp is None or source.mpp is None:
        return region
    microns = max(query.region.width, query.region.height) * query.mpp
    return _view_around(region, max(region.width, round(microns / source.mpp)))


def _view_around(region: Region, side: int) -> Region:
    x = region.x + region.width // 2 - side // 2
    return Region(x, region.y + region.height // 2 - side // 2, side, side)


def _pair(album: Album, answer: Answer, hit: Hit, match: Match) -> Pair:
    query = answer.query
    asked = album.view(query.slide_of(match.query), query.patches[match.query])
    return Pair(asked, album.view(hit.slide, match.region), match.distance)


def _scale_note(answer: Answer) -> str:
    """Size and scale of the query's field of view, in words."""
    query = answer.query
    if query.mpp is None:
        return "unknown scale (no microns per pixel)"
    if query.region is None:
        return f"{query.mpp:.3g} µm/px"
    wide, high = query.region.width * query.mpp, query.region.height * query.mpp
    return f"{wide:.0f} x {high:.0f} µm, {query.mpp:.3g} µm/px"
