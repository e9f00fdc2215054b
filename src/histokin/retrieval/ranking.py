"""Which rows may answer, and which of the near ones become hits."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int32

from histokin.archive.filters import select
from histokin.archive.records import Source
from histokin.archive.snapshot import Snapshot
from histokin.errors import UsageError
from histokin.retrieval.asked import Asked
from histokin.retrieval.queries import EXCLUDE_RULES, ExcludeRule, Options
from histokin.types import Hit, Region

Flags = Bool[np.ndarray, "_"]


def allowed_sources(snapshot: Snapshot, asked: Asked, options: Options, rules: Sequence[ExcludeRule]) -> Flags:
    """One flag per source: passes ``where`` and no rule leaves it out."""
    unknown = [rule for rule in rules if rule not in EXCLUDE_RULES]
    if unknown:
        raise UsageError(f"cannot exclude '{unknown[0]}'", remedy=f"Choose from: {', '.join(EXCLUDE_RULES)}")
    allowed = select(snapshot.sources, options.where)
    own = {source.id for source in asked.own}
    if "slide" in rules:
        allowed &= np.array([source.id not in own for source in snapshot.sources], bool)
    for rule in ("patient", "centre"):
        if rule in rules:
            allowed &= ~_shares(snapshot.sources, asked, rule)
    return allowed


def _shares(sources: Sequence[Source], asked: Asked, column: str) -> Flags:
    """Which sources share the query's value in a column; the query's own slides always do."""
    values = {source.columns[column] for source in asked.own if source.columns.get(column)}
    own = {source.id for source in asked.own}
    if asked.own and not values:
        raise UsageError(
            f"cannot exclude the query's {column}: the archive does not know it",
            remedy=f"Index with --labels TABLE, where the table has a column '{column}'",
        )
    return np.array([s.id in own or s.columns.get(column) in values for s in sources], bool)


def allowed_rows(snapshot: Snapshot, asked: Asked, sources: Flags, rules: Sequence[ExcludeRule]) -> Flags:
    """One flag per patch; rows of the query's own slides that overlap the query are left out by "overlap"."""
    rows: Flags = sources[snapshot.source_index]
    whole = (asked.info.region,) if asked.info.region is not None else asked.info.patches
    if "overlap" in rules and asked.own:
        own = {source.id for source in asked.own}
        for place in (place for place, source in enumerate(snapshot.sources) if source.id in own):
            mine = snapshot.rows_of(place)
            rows[mine] &= ~_overlapping(snapshot.boxes[mine], whole)
    return rows


def _overlapping(boxes: Int32[np.ndarray, "n 4"], queries: Sequence[Region]) -> Flags:
    x, y, w, h = (boxes[:, i].astype(np.int64) for i in range(4))
    found = np.zeros(len(boxes), bool)
    for q in queries:
        found |= (x < q.x + q.width) & (q.x < x + w) & (y < q.y + q.height) & (q.y < y + h)
    return found


def choose(snapshot: Snapshot, rows: Sequence[int], distances: Sequence[float], options: Options) -> list[Hit]:
    """Walk the rows from near to far and keep those that are not one hit with a better one."""
    hits: list[Hit] = []
    taken: set[str] = set()
    for row, distance in zip(rows, distances, strict=True):
        source = snapshot.sources[int(snapshot.source_index[row])]
        region = snapshot.region(row)
        key = group_key(source, options.one_per)
        if key in taken or _beside_a_hit(source, region, hits, options.min_separation):
            continue
        if key is not None:
            taken.add(key)
        hits.append(make_hit(source, region, len(hits) + 1, float(distance), int(row)))
        if len(hits) == options.k:
            break
    return hits


def make_hit(source: Source, region: Region | None, rank: int, distance: float, row: int | None) -> Hit:
    """A hit with what the archive knows of its source."""
    return Hit(rank, distance, source.path, source.id, region, source.label, dict(source.columns), row)


def group_key(source: Source, one_per: str | None) -> str | None:
    """What must differ between two hits; a source without a patient stands for itself."""
    if one_per == "patient":
        return source.columns.get("patient") or source.id
    return source.id if one_per == "slide" else None


def _beside_a_hit(source: Source, region: Region, hits: Sequence[Hit], separation: float) -> bool:
    if separation <= 0:
        return False
    for hit in hits:
        if hit.source != source.id or hit.region is None:
            continue
        # Two pixels of slack: grid origins are rounded to whole level-0 pixels.
        reach = separation * region.width + 2
        across = abs((hit.region.x + hit.region.width / 2) - (region.x + region.width / 2))
        down = abs((hit.region.y + hit.region.height / 2) - (region.y + region.height / 2))
        if max(across, down) <= reach:
            return True
    return False
