"""Does the answer leak? Duplicates, shared patients and recognized slides, between queries and what they search.

Three things make retrieval read too high without any tissue being recognized: the same picture on both sides (copied,
or cropped), the same patient (slide, centre) on both sides, and queries that find their own slide by its staining. Each
is looked for by itself, among what a query may find, and the verdict stands at the head of a report.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float32, Int, Int64, Shaped, UInt8

from histokin.encoders.color_histogram import ColorHistogram
from histokin.errors import UsageError
from histokin.evaluation.coarse_color import coarse_accuracy
from histokin.evaluation.embedding_duplicates import (
    DETAIL_PX,
    Apart,
    Details,
    alike_at_sight,
    near_copies,
    nearest_rows,
)
from histokin.types import Vectors

THUMB_PX = 32

SAME_PICTURE = 0.995
"""Correlation of two 32 px gray thumbnails, at the best of eight orientations, from which they are one picture.

Recompressed, mirrored and rotated copies reach 0.999; the nearest pictures of different patients stay below 0.994 even
among radiographs of one kind (1,200 of six kinds), and below 0.8 among histology tiles.
"""

FINE_COLOR, HIGH_COLOR = 0.15, 0.8
"""A color histogram that is right for 80 % of queries at the first hit, and 15 points better there than color can tell
classes apart at large (:func:`~histokin.evaluation.coarse_color.coarse_accuracy`), recognizes slides."""

GROUPS = ("patient", "case", "slide")
"""Columns that must not be shared by a query and what it searches."""

Thumbs = Float32[np.ndarray, "n 32 32"]
Picture = UInt8[np.ndarray, "_ _ 3"]


@final
@dataclass(frozen=True)
class Side:
    """What the checks need to know of the archive's or the queries' pictures.

    ``thumbs`` are gray, as are the larger ``details``; ``colors`` 512-bin histograms; ``columns`` one mapping per
    picture (``patient``, ...).
    """

    names: tuple[str, ...]
    labels: Shaped[np.ndarray, "n"]
    thumbs: Thumbs
    colors: Vectors
    columns: tuple[Mapping[str, str], ...]
    details: Details

    def take(self, places: Int[np.ndarray, "_"]) -> "Side":
        """These pictures only, in this order."""
        names = tuple(self.names[place] for place in places.tolist())
        columns = tuple(self.columns[place] for place in places.tolist())
        return Side(names, self.labels[places], self.thumbs[places], self.colors[places], columns, self.details[places])


@final
@dataclass(frozen=True)
class Finding:
    """One way in which it leaks: ``duplicate``, ``cropped``, ``shared`` or ``color``, with ten examples at most."""

    kind: str
    text: str
    count: int
    examples: tuple[tuple[str, str], ...] = ()


@final
@dataclass(frozen=True)
class Verdict:
    """What was found, and one line for the head of a report. ``seen`` says whether there were pictures to look at."""

    findings: tuple[Finding, ...]
    seen: bool = True

    @property
    def leaks(self) -> bool:
        """True when anything was found."""
        return bool(self.findings)

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        if not self.findings and not self.seen:
            return (
                "No leak found in the columns: no patient or slide is on both sides; no pictures were there to look at."
            )
        if not self.findings:
            return "No leak found: no picture, patient or slide is on both sides, and color alone does not tell slides."
        return "LEAKS, reads too high: " + " ".join(finding.text for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "leaks": self.leaks,
            "headline": self.headline,
            "pictures_seen": self.seen,
            "findings": [asdict(f) for f in self.findings],
        }


def side(
    names: Sequence[str],
    labels: Sequence[str],
    images: Iterable[Picture],
    columns: Sequence[Mapping[str, str]] | None = None,
) -> Side:
    """Look at the pictures of one side once, one after the other (``uint8`` RGB)."""
    return side_of(names, labels, enumerate(images), columns)


def side_of(
    names: Sequence[str],
    labels: Sequence[str],
    images: Iterable[tuple[int, Picture]],
    columns: Sequence[Mapping[str, str]] | None = None,
) -> Side:
    """The same from pictures in any order, each with its place; raises :class:`UsageError` if one is missing."""
    import cv2

    histogram = ColorHistogram()
    thumbs = np.empty((len(names), THUMB_PX, THUMB_PX), np.float32)
    colors = np.empty((len(names), histogram.spec.dim), np.float32)
    details = np.empty((len(names), DETAIL_PX, DETAIL_PX), np.uint8)
    looked = np.zeros(len(names), bool)
    for place, image in images:
        gray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        thumbs[place] = cv2.resize(gray, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
        details[place] = cv2.resize(gray, (DETAIL_PX, DETAIL_PX), interpolation=cv2.INTER_AREA)
        colors[place] = histogram.encode([image])[0]
        looked[place] = True
    if not looked.all():
        missing = names[int(np.flatnonzero(~looked)[0])]
        raise UsageError(f"there is no picture of {missing}", remedy="Index again without --no-crops")
    return Side(tuple(names), np.array(labels), thumbs, colors, tuple(columns or ({},) * len(names)), details)


def leakage_verdict(
    archive: Side,
    queries: Side | None,
    groups: Sequence[str] = GROUPS,
    *,
    nearest: Int64[np.ndarray, "q m"] | None = None,
    apart: Apart | None = None,
) -> Verdict:
    """Look for all of them. Without ``queries`` every picture of the archive is searched among the others.

    Parameters
    ----------
    groups : the columns that a query must not share with what it searches; leave out those that the protocol holds
        apart already (a patient excluded by a filter does not leak).
    nearest : rows of the archive whose vectors are nearest to each query (-1 for none): where to look for cropped
        copies besides the nearest colors.
    apart : a number for each row and each query; a row does not answer a query of its own number, so it cannot leak.
    """
    if queries is None and apart is None:
        apart = (np.arange(len(archive.names)), np.arange(len(archive.names)))
    duplicates = _duplicates(archive, queries, apart)
    known = set() if duplicates is None else set(duplicates[1])
    found = (
        None if duplicates is None else duplicates[0],
        _cropped(archive, queries, nearest, apart, known),
        _shared(archive.columns, None if queries is None else queries.columns, groups),
        _color(archive, queries, apart),
    )
    return Verdict(tuple(finding for finding in found if finding is not None))


def shared_verdict(
    archive: Sequence[Mapping[str, str]], queries: Sequence[Mapping[str, str]] | None, groups: Sequence[str] = GROUPS
) -> Verdict:
    """What columns alone can tell, where no pictures are at hand."""
    found = _shared(archive, queries, groups)
    return Verdict(() if found is None else (found,), seen=False)


def same_pictures(
    archive: Thumbs, queries: Float32[np.ndarray, "q 32 32"] | None, apart: Apart | None = None
) -> list[tuple[int, int]]:
    """Pairs (query, archive) that are one picture, mirrored or turned by quarters at most."""
    alone = queries is None
    asked = archive if queries is None else queries
    if alone and apart is None:
        apart = (np.arange(len(archive)), np.arange(len(archive)))
    base = _standard(archive)
    best, where = np.full(len(asked), -1.0, np.float32), np.zeros(len(asked), np.int64)
    if not len(archive):
        return []
    for flipped in (asked, asked[:, :, ::-1]):
        for quarter in range(4):
            turned = _standard(np.ascontiguousarray(np.rot90(flipped, quarter, axes=(1, 2))))
            for start in range(0, len(asked), 1024):
                alike = turned[start : start + 1024] @ base.T
                if apart is not None:
                    alike[apart[1][start : start + 1024, None] == apart[0][None, :]] = -1
                nearest = alike.argmax(axis=1)
                value = alike[np.arange(len(alike)), nearest]
                better = value > best[start : start + 1024]
                best[start : start + 1024][better] = value[better]
                where[start : start + 1024][better] = nearest[better]
    return _once([(q, int(where[q])) for q in np.flatnonzero(best >= SAME_PICTURE).tolist()], alone)


def _once(pairs: Sequence[tuple[int, int]], alone: bool) -> list[tuple[int, int]]:
    """Within one set a pair is named once."""
    known = set(pairs)
    return sorted((q, a) for q, a in known if not alone or q < a or (a, q) not in known)


def _standard(thumbs: Float32[np.ndarray, "n 32 32"]) -> Float32[np.ndarray, "n 1024"]:
    flat = thumbs.reshape(len(thumbs), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    # A picture without structure (blank glass) is like nothing, not like every other blank one.
    flat[length[:, 0] < THUMB_PX] = 0
    scaled: Float32[np.ndarray, "n 1024"] = flat / np.maximum(length, 1e-6)
    return scaled


def _duplicates(
    archive: Side, queries: Side | None, apart: Apart | None
) -> tuple[Finding, list[tuple[int, int]]] | None:
    pairs = same_pictures(archive.thumbs, None if queries is None else queries.thumbs, apart)
    if not pairs:
        return None
    text = f"{len(pairs)} pictures are on both sides (the same, mirrored, turned or recompressed)."
    return Finding("duplicate", text, len(pairs), _named(pairs, archive, queries)), pairs


def _cropped(
    archive: Side,
    queries: Side | None,
    nearest: Int64[np.ndarray, "q m"] | None,
    apart: Apart | None,
    known: set[tuple[int, int]],
) -> Finding | None:
    asked = archive if queries is None else queries
    if not len(archive.names) or not len(asked.names):
        return None
    proposed = [
        *([] if nearest is None else [nearest]),
        nearest_rows(archive.colors, asked.colors, "euclidean", apart),
        alike_at_sight(archive.details, asked.details, apart),
    ]
    found = near_copies(archive.details, asked.details, np.concatenate(proposed, axis=1))
    told = known | {(a, q) for q, a in known} if queries is None else known
    pairs = _once([pair for pair in found if pair not in told], queries is None)
    if not pairs:
        return None
    text = f"{len(pairs)} pictures are on both sides cropped or slightly turned."
    return Finding("cropped", text, len(pairs), _named(pairs, archive, queries))


def _named(pairs: Sequence[tuple[int, int]], archive: Side, queries: Side | None) -> tuple[tuple[str, str], ...]:
    asked = archive if queries is None else queries
    return tuple((asked.names[q], archive.names[a]) for q, a in pairs[:10])


def _shared(
    archive: Sequence[Mapping[str, str]], queries: Sequence[Mapping[str, str]] | None, groups: Sequence[str]
) -> Finding | None:
    for group in groups:
        here = [columns.get(group, "") for columns in archive]
        there = here if queries is None else [columns.get(group, "") for columns in queries]
        values, counts = np.unique([value for value in here if value], return_counts=True)
        enough = 2 if queries is None else 1
        known = {str(value) for value, count in zip(values, counts, strict=True) if count >= enough}
        both = sorted(known & set(there))
        if both:
            affected = sum(value in known for value in there)
            text = f"{affected} queries share a {group} with the archive ({len(both)}: {', '.join(both[:3])})."
            return Finding("shared", text, affected, tuple((group, value) for value in both[:10]))
    return None


def _color(archive: Side, queries: Side | None, apart: Apart | None) -> Finding | None:
    asked = None if queries is None else (queries.colors, queries.labels)
    fine = _nearest_color(archive, archive if queries is None else queries, apart)
    coarse = coarse_accuracy(archive.colors, archive.labels, asked)
    if fine < HIGH_COLOR or fine - coarse < FINE_COLOR:
        return None
    text = (
        f"A color histogram alone is right at the first hit for {fine:.1%}, where color tells the classes apart for "
        f"{coarse:.1%} only: queries find their own slide by its staining. Hold slides or patients apart."
    )
    return Finding("color", text, round(fine * len(archive.labels if queries is None else queries.labels)))


def _nearest_color(archive: Side, queries: Side, apart: Apart | None) -> float:
    """Share of queries whose nearest color histogram, of those that may answer, has their label."""
    if not len(archive.names) or not len(queries.names):
        return 0.0
    first = nearest_rows(archive.colors, queries.colors, "euclidean", apart, 1)[:, 0]
    return float(((first >= 0) & (archive.labels[first] == queries.labels)).mean())
