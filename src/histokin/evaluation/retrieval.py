"""Retrieval between laboratories, or within a set: one table of encoders and normalizers."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Shaped

from histokin.archive.exact import Metric, search
from histokin.evaluation.labelled import Fit, LabelledSet, encode_set, look
from histokin.evaluation.leakage import Verdict, leakage_verdict
from histokin.metrics.classification import macro_f1
from histokin.metrics.ranking import (
    bootstrap_interval,
    chance_any_hit,
    chance_precision,
    majority_vote,
    precision_at_k,
)
from histokin.retrieval.recipe import Recipe
from histokin.slides.grid import Grid
from histokin.types import Vectors

COLUMNS = ("encoder", "normalizer", "P@1", "95 %", "P@5", "95 %", "vote@5", "95 %", "macro-F1 of vote", "images/s")

NO_GROUPS = (
    "Leave one out without slide or patient groups: images of one slide are on both sides, so this measures whether "
    "the slide was recognized (a color histogram shows how far color alone goes), not the tissue."
)
ACROSS = "The queries come from another set than the archive. P@k divides by k; a tied vote goes to the nearer label."


@final
@dataclass(frozen=True)
class Row:
    """One encoder with one normalizer; intervals are 95 % bootstrap intervals over queries."""

    encoder: str
    normalizer: str
    p1: float
    p1_interval: tuple[float, float]
    p5: float
    p5_interval: tuple[float, float]
    vote5: float
    vote5_interval: tuple[float, float]
    vote5_macro_f1: float
    images_per_second: float

    def cells(self) -> tuple[object, ...]:
        """In the order of ``COLUMNS``."""
        return (
            self.encoder,
            self.normalizer,
            f"{self.p1:.3f}",
            _between(self.p1_interval),
            f"{self.p5:.3f}",
            _between(self.p5_interval),
            f"{self.vote5:.3f}",
            _between(self.vote5_interval),
            f"{self.vote5_macro_f1:.3f}",
            f"{self.images_per_second:.0f}",
        )


@final
@dataclass(frozen=True)
class Table:
    """Scores beside chance."""

    title: str
    rows: tuple[Row, ...]
    chance_precision: float
    chance_any_hit_5: float
    note: str
    verdict: Verdict
    columns: tuple[str, ...] = COLUMNS

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "verdict": self.verdict.to_dict()}


def evaluate_sets(
    database: LabelledSet,
    queries: LabelledSet | None,
    *,
    encoders: Sequence[str],
    normalizers: Sequence[str],
    fit: Fit = "set",
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Table:
    """Score every encoder with every normalizer.

    Without ``queries``, every image of the database is searched for among the others (leave one out). ``options``
    are those of a normalizer, by its name; trained weights by style are chosen by the sets' names.
    """
    rows: list[Row] = []
    labels = np.array(database.labels)
    truth = labels if queries is None else np.array(queries.labels)
    for encoder in encoders:
        for normalizer in normalizers:
            chosen = (options or {}).get(normalizer, {})
            prepared = Recipe(encoder=encoder, normalizer=normalizer, normalizer_options=chosen).prepare()
            began = time.perf_counter()
            archived = encode_set(database, prepared, fit)
            asked = archived if queries is None else encode_set(queries, prepared, fit)
            seconds = time.perf_counter() - began
            images = len(labels) if queries is None else len(labels) + len(truth)
            found = _neighbors(archived, asked, prepared.encoder.spec.metric, leave_one_out=queries is None)
            rows.append(_row(encoder, normalizer, labels[found], truth, images / seconds))
    seen = [look(one, Grid()) for one in (database, queries) if one is not None]
    verdict = leakage_verdict(seen[0], seen[1] if len(seen) > 1 else None)
    chance = chance_precision(labels, truth)
    any_hit = chance_any_hit(labels, truth, 5)
    name = database.name if queries is None else f"{queries.name} in {database.name}"
    classes = ", ".join(f"{label} {count}" for label, count in zip(*np.unique(truth, return_counts=True), strict=True))
    title = (
        f"{name}: {len(truth)} queries ({classes}), {len(labels)} in the archive, stain fitted per {fit}; "
        f"chance P@k {chance:.3f} (any hit in 5: {any_hit:.3f})"
    )
    return Table(title, tuple(rows), chance, any_hit, NO_GROUPS if queries is None else ACROSS, verdict)


def _neighbors(archived: Vectors, asked: Vectors, metric: Metric, *, leave_one_out: bool) -> Shaped[np.ndarray, "q 5"]:
    norms = (archived.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)
    itself = np.arange(len(archived), dtype=np.int32)
    exclude = (itself, itself) if leave_one_out else None
    rows: Shaped[np.ndarray, "q 5"] = search(archived, norms, asked, 5, metric=metric, exclude=exclude).rows
    return rows


def _row(
    encoder: str, normalizer: str, found: Shaped[np.ndarray, "q 5"], truth: Shaped[np.ndarray, "q"], speed: float
) -> Row:
    p1, p5 = precision_at_k(found, truth, 1), precision_at_k(found, truth, 5)
    vote = majority_vote(found, 5)
    right = (vote == truth).astype(np.float64)
    return Row(
        encoder,
        normalizer,
        float(p1.mean()),
        bootstrap_interval(p1, seed=0),
        float(p5.mean()),
        bootstrap_interval(p5, seed=0),
        float(right.mean()),
        bootstrap_interval(right, seed=0),
        macro_f1(truth, vote),
        speed,
    )


def _between(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.2f}-{interval[1]:.2f}"
