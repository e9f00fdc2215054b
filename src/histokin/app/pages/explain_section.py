"""The part of an answer's page that says why: maps for each hit, reconstructions, the archive in a plane."""

from dataclasses import dataclass
from typing import Any, final

from histokin.app.pages.explain_colors import data_uri, legend_stops, overlay, png
from histokin.app.pages.explain_map import draw_latent
from histokin.app.pages.pictures import as_picture
from histokin.retrieval.answer import Answer
from histokin.retrieval.explaining.explain import Explanation, Pair, Side
from histokin.retrieval.explaining.occlusion import CELLS, WINDOW
from histokin.types import Hit


@final
@dataclass(frozen=True)
class Shown:
    """One picture as the encoder saw it, its map over it, and what an autoencoder made of it ("" without one)."""

    who: str
    picture: str
    map: str
    remade: str
    error: float | None


@final
@dataclass(frozen=True)
class Row:
    """One hit: both sides, or the note that says why there are none."""

    hit: Hit
    distance: float | None
    sides: tuple[Shown, ...]
    note: str


def explain_context(answer: Answer, explanation: Explanation) -> dict[str, Any]:
    """What the template of the section needs."""
    by_rank = {hit.rank: hit for hit in answer.hits}
    rows = [_row(by_rank[pair.match.hit], pair, explanation.scale) for pair in explanation.pairs]
    latent = explanation.latent
    return {
        "rows": rows,
        "scale": explanation.scale,
        "stops": ", ".join(legend_stops()),
        "window": 100 * WINDOW / CELLS,
        "remade": any(side.remade for row in rows for side in row.sides),
        "several": len(answer.query.patches) > 1,
        "left": len(answer.hits) - len(rows),
        "latent": latent,
        "latent_picture": data_uri(draw_latent(latent)) if latent else "",
        "variance": 100 * sum(latent.shares) if latent else 0.0,
        "seconds": explanation.seconds,
    }


def _row(hit: Hit, pair: Pair, scale: float) -> Row:
    sides = [("query", pair.query), ("hit", pair.hit)]
    return Row(hit, pair.distance, tuple(_shown(who, side, scale) for who, side in sides if side), pair.note)


def _shown(who: str, side: Side, scale: float) -> Shown:
    remade = as_picture(side.remade).uri if side.remade is not None else ""
    return Shown(who, as_picture(side.picture).uri, png(overlay(side.picture, side.grid, scale)), remade, side.error)
