"""The answer to a query, and its machine-readable form (format 1)."""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, final

from histokin.archive.calibration import Alike
from histokin.retrieval.votes import count_votes, vote_margin
from histokin.types import Hit, Image, ImageMap, Mapped, Place, Region, Vectors

FORMAT = 1


@final
@dataclass(frozen=True)
class Match:
    """Which query patch matched which hit: index into ``query.patches``, rank of the hit, distance.

    ``region`` is the place of the matched patch inside the hit, in level-0 pixels of the hit's slide;
    ``row`` its archive row.
    """

    query: int
    hit: int
    distance: float
    region: Region
    row: int


@final
@dataclass(frozen=True)
class QueryInfo:
    """The query as it was understood; ``patches`` are its squares in level-0 pixels of its own slide.

    A case has several slides: ``slides`` then holds the path of each patch's.
    """

    name: str
    source: str | None
    region: Region | None
    mpp: float | None
    label: str | None
    patches: tuple[Region, ...] = ()
    slides: tuple[str, ...] = ()

    def slide_of(self, patch: int) -> str:
        """Path of the slide that a query patch is on."""
        return self.slides[patch] if self.slides else self.source or self.name


@final
@dataclass(frozen=True, eq=False)
class Seen:
    """A query in one piece: its picture in the channels of its file, and made comparable ("h w 1" or "h w 3")."""

    picture: Image
    mapped: Mapped
    modality: str


@final
@dataclass(frozen=True)
class Answer:
    """Ranked hits with the evidence behind them.

    ``vectors`` are the query's, one per query patch, None for word counts; ``fitted`` is the image map of a query from
    outside the archive, None where the archive holds the map of each patch's slide; ``seen`` the picture of a query in
    one piece.
    """

    kind: str
    query: QueryInfo
    recipe: dict[str, Any]
    hits: tuple[Hit, ...]
    matches: tuple[Match, ...]
    alike: Alike
    warnings: tuple[str, ...] = field(default=())
    seconds: float = 0.0
    vectors: Vectors | None = field(default=None, repr=False, compare=False)
    fitted: ImageMap | None = field(default=None, repr=False, compare=False)
    seen: Seen | None = field(default=None, repr=False, compare=False)

    @cached_property
    def votes(self) -> dict[str, int]:
        """Hits per label."""
        return count_votes(self.hits)

    @property
    def margin(self) -> float:
        """Lead of the first label over the second, 0 to 1."""
        return vote_margin(self.votes)

    @property
    def best_places(self) -> tuple[float, float] | None:
        """Scores of the best place and of the best in another image, where both were looked for places."""
        scores = [hit.place.score for hit in self.hits[:2] if hit.place is not None]
        return (scores[0], scores[1]) if len(scores) == 2 else None

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON form; coordinates are level-0 pixels, null for whole slides."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "query": _query(self.query) | ({"modality": self.seen.modality} if self.seen else {}),
            "recipe": self.recipe,
            "hits": [_hit(hit) for hit in self.hits],
            "matches": [
                {"query": m.query, "hit": m.hit, "distance": m.distance, **asdict(m.region)} for m in self.matches
            ],
            "votes": self.votes,
            "margin": self.margin,
            "alike": {**asdict(self.alike), "nothing_alike": self.alike.nothing_alike},
            "warnings": list(self.warnings),
            "seconds": round(self.seconds, 4),
        }


def _query(query: QueryInfo) -> dict[str, Any]:
    return {
        "name": query.name,
        "source": query.source,
        **_box(query.region),
        "mpp": query.mpp,
        "label": query.label,
        "patches": [{"slide": query.slide_of(i), **asdict(region)} for i, region in enumerate(query.patches)],
    }


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "distance": hit.distance,
        "slide": hit.slide,
        **_box(hit.region),
        "label": hit.label,
        "columns": hit.columns,
        "place": _place(hit.place),
    }


def _place(place: Place | None) -> dict[str, int | float] | None:
    """The matched place in a hit, None where nothing looked for one."""
    if place is None:
        return None
    return {**asdict(place.region), "angle": place.angle, "score": place.score}


def _box(region: Region | None) -> dict[str, int | None]:
    if region is None:
        return {"x": None, "y": None, "width": None, "height": None}
    return asdict(region)
