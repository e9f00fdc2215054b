"""Does the answer leak? Duplicates, shared patients and recognized slides, between queries and what they search.

Three things make retrieval read too high without any tissue being recognized: the same picture on both sides, the
same patient (slide, centre) on both sides, and queries that find their own slide by its staining. Each is looked
for by itself, and the verdict stands at the head of a report.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float32, Shaped

from histokin.encoders.color_histogram import ColorHistogram
from histokin.evaluation.coarse_color import coarse_accuracy, nearest_accuracy
from histokin.types import RGB, Vectors

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


@final
@dataclass(frozen=True)
class Side:
    """What the checks need to know of the archive's or the queries' pictures.

    ``thumbs`` are gray; ``colors`` 512-bin histograms; ``columns`` one mapping per picture (``patient``, ...).
    """

    names: tuple[str, ...]
    labels: Shaped[np.ndarray, "n"]
    thumbs: Thumbs
    colors: Vectors
    columns: tuple[Mapping[str, str], ...]


@final
@dataclass(frozen=True)
class Finding:
    """One way in which it leaks: ``duplicate``, ``shared`` or ``color``; one sentence; up to ten examples."""

    kind: str
    text: str
    count: int
    examples: tuple[tuple[str, str], ...] = ()


@final
@dataclass(frozen=True)
class Verdict:
    """What was found, and one line for the head of a report."""

    findings: tuple[Finding, ...]

    @property
    def leaks(self) -> bool:
        """True when anything was found."""
        return bool(self.findings)

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        if not self.findings:
            return "No leak found: no picture, patient or slide is on both sides, and color alone does not tell slides."
        return "LEAKS, reads too high: " + " ".join(finding.text for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"leaks": self.leaks, "headline": self.headline, "findings": [asdict(f) for f in self.findings]}


def side(
    names: Sequence[str],
    labels: Sequence[str],
    images: Iterable[RGB],
    columns: Sequence[Mapping[str, str]] | None = None,
) -> Side:
    """Look at the pictures of one side once, one after the other (``uint8`` RGB)."""
    import cv2

    histogram = ColorHistogram()
    thumbs = np.empty((len(names), THUMB_PX, THUMB_PX), np.float32)
    colors = np.empty((len(names), histogram.spec.dim), np.float32)
    for place, image in enumerate(images):
        gray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        thumbs[place] = cv2.resize(gray, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
        colors[place] = histogram.encode([image])[0]
    return Side(tuple(names), np.array(labels), thumbs, colors, tuple(columns or ({},) * len(names)))


def leakage_verdict(archive: Side, queries: Side | None, groups: Sequence[str] = GROUPS) -> Verdict:
    """Look for all three. Without ``queries`` every picture of the archive is searched among the others.

    ``groups`` names the columns that a query must not share with what it searches; leave out those that the protocol
    holds apart already (a patient excluded by a filter does not leak).
    """
    found = (_duplicates(archive, queries), _shared(archive, queries, groups), _color(archive, queries))
    return Verdict(tuple(finding for finding in found if finding is not None))


def same_pictures(archive: Thumbs, queries: Float32[np.ndarray, "q 32 32"] | None) -> list[tuple[int, int]]:
    """Pairs (query, archive) that are one picture, mirrored or turned by quarters at most."""
    alone = queries is None
    asked = archive if queries is None else queries
    base = _standard(archive)
    best, where = np.full(len(asked), -1.0, np.float32), np.zeros(len(asked), np.int64)
    if not len(archive):
        return []
    for flipped in (asked, asked[:, :, ::-1]):
        for quarter in range(4):
            turned = _standard(np.ascontiguousarray(np.rot90(flipped, quarter, axes=(1, 2))))
            for start in range(0, len(asked), 1024):
                alike = turned[start : start + 1024] @ base.T
                if alone:
                    here = np.arange(len(alike))
                    alike[here, start + here] = -1
                nearest = alike.argmax(axis=1)
                value = alike[np.arange(len(alike)), nearest]
                better = value > best[start : start + 1024]
                best[start : start + 1024][better] = value[better]
                where[start : start + 1024][better] = nearest[better]
    pairs = {(q, int(where[q])) for q in np.flatnonzero(best >= SAME_PICTURE).tolist()}
    return sorted((q, a) for q, a in pairs if not alone or q < a or (a, q) not in pairs)


def _standard(thumbs: Float32[np.ndarray, "n 32 32"]) -> Float32[np.ndarray, "n 1024"]:
    flat = thumbs.reshape(len(thumbs), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    # A picture without structure (blank glass) is like nothing, not like every other blank one.
    flat[length[:, 0] < THUMB_PX] = 0
    scaled: Float32[np.ndarray, "n 1024"] = flat / np.maximum(length, 1e-6)
    return scaled


def _duplicates(archive: Side, queries: Side | None) -> Finding | None:
    pairs = same_pictures(archive.thumbs, None if queries is None else queries.thumbs)
    asked = archive if queries is None else queries
    if not pairs:
        return None
    text = f"{len(pairs)} pictures are on both sides (the same, mirrored, turned or recompressed)."
    return Finding("duplicate", text, len(pairs), tuple((asked.names[q], archive.names[a]) for q, a in pairs[:10]))


def _shared(archive: Side, queries: Side | None, groups: Sequence[str]) -> Finding | None:
    for group in groups:
        here = [columns.get(group, "") for columns in archive.columns]
        there = here if queries is None else [columns.get(group, "") for columns in queries.columns]
        values, counts = np.unique([value for value in here if value], return_counts=True)
        enough = 2 if queries is None else 1
        known = {str(value) for value, count in zip(values, counts, strict=True) if count >= enough}
        both = sorted(known & set(there))
        if both:
            affected = sum(value in known for value in there)
            text = f"{affected} queries share a {group} with the archive ({len(both)}: {', '.join(both[:3])})."
            return Finding("shared", text, affected, tuple((group, value) for value in both[:10]))
    return None


def _color(archive: Side, queries: Side | None) -> Finding | None:
    asked = None if queries is None else (queries.colors, queries.labels)
    fine = nearest_accuracy(archive.colors, archive.labels, asked)
    coarse = coarse_accuracy(archive.colors, archive.labels, asked)
    if fine < HIGH_COLOR or fine - coarse < FINE_COLOR:
        return None
    text = (
        f"A color histogram alone is right at the first hit for {fine:.1%}, where color tells the classes apart for "
        f"{coarse:.1%} only: queries find their own slide by its staining. Hold slides or patients apart."
    )
    return Finding("color", text, round(fine * len(archive.labels if queries is None else queries.labels)))
