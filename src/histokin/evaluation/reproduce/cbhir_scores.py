"""What the histopathology retrieval paper measures of a ranked list, and what says more."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from histokin.archive.exact import search
from histokin.encoders.base import Encoder
from histokin.evaluation.reproduce.hospitals import Case
from histokin.evaluation.reproduce.versions import Version
from histokin.metrics.classification import confusion_matrix, macro_f1, roc_auc
from histokin.metrics.ranking import (
    average_precision_at_k,
    bootstrap_interval,
    hits_at_k,
    majority_vote,
    positive_share,
    precision_at_k,
    weighted_share,
)
from histokin.types import Vectors

TOP = 5
Labels = Shaped[np.ndarray, "q"]


@final
@dataclass(frozen=True, eq=False)
class Found:
    """The five nearest images of the archive for every query, in one color version with one encoder.

    ``rows`` are places in the archive, nearest first; ``seconds`` of encoding per image, ``search_ms`` per query.
    """

    version: str
    encoder: str
    rows: Int64[np.ndarray, "q 5"]
    distances: Float64[np.ndarray, "q 5"]
    labels: Shaped[np.ndarray, "q 5"]
    truth: Labels
    positive: str
    seconds: float
    search_ms: float
    dim: int

    def any_hit(self, k: int) -> float:
        """The paper's "top-K accuracy": a query counts when any of its k hits has its label."""
        return float(hits_at_k(self.labels, self.truth, k).mean())

    def values(self) -> dict[str, Float64[np.ndarray, "q"]]:
        """P@1, P@5, mAP@5 and the vote of five, per query."""
        return {
            "P@1": precision_at_k(self.labels, self.truth, 1),
            "P@5": precision_at_k(self.labels, self.truth, TOP),
            "vote@5": (majority_vote(self.labels, TOP) == self.truth).astype(np.float64),
        }

    def mean_average_precision(self, archive: Shaped[np.ndarray, "n"]) -> float:
        """mAP@5: precision at every right hit, over the most right hits that five can hold."""
        relevant = np.array([(archive == label).sum() for label in self.truth], np.int64)
        return float(average_precision_at_k(self.labels, self.truth, relevant, TOP).mean())

    def macro_f1(self) -> float:
        """Of the vote of five."""
        return macro_f1(self.truth, majority_vote(self.labels, TOP))

    def auc(self, *, weighted: bool = False) -> float:
        """Area under the ROC curve; the score is the share of cancer among the hits, nearer ones counting more where
        ``weighted`` (one over distance)."""
        if weighted:
            scores = weighted_share(self.labels, self.distances, self.positive, TOP)
        else:
            scores = positive_share(self.labels, self.positive, TOP)
        return roc_auc(self.truth == self.positive, scores)

    def confusion(self, names: Shaped[np.ndarray, "c"], *, any_hit: bool) -> Int64[np.ndarray, "c c"]:
        """Rows: true label. As in the related code (``any_hit``), or of the vote of five."""
        predicted = any_hit_prediction(self.labels, self.truth) if any_hit else majority_vote(self.labels, TOP)
        return confusion_matrix(self.truth, predicted, names)


def any_hit_prediction(labels: Shaped[np.ndarray, "q k"], truth: Labels) -> Labels:
    """The query's own label if any hit has it, else the nearest hit's. It knows the answer, and so flatters."""
    hit = (labels == truth[:, None]).any(axis=1)
    predicted: np.ndarray = np.where(hit, truth, labels[:, 0])
    return predicted


def misaligned(labels: Shaped[np.ndarray, "n"], seed: int = 0) -> Shaped[np.ndarray, "n"]:
    """Labels in file order against features in shuffled order, as a public search script of the field has them."""
    return np.random.default_rng(seed).permutation(labels)


def interval(values: Float64[np.ndarray, "q"]) -> str:
    """The 95 % bootstrap interval of a mean, to be printed."""
    low, high = bootstrap_interval(values, seed=0)
    return f"{low:.2f}\u2011{high:.2f}"  # a hyphen that does not break the line


def find(version: Version, encoder: Encoder, title: str, say: Callable[[str], None]) -> Found:
    """Encode archive and queries of a version, and search."""
    say(f"{version.hospitals.name}, {version.title}: {title}")
    spent = [0.0]
    archived = _encoded(version, version.hospitals.archive, encoder, spent)
    asked = _encoded(version, version.hospitals.queries, encoder, spent)
    norms = (archived.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)
    began = time.perf_counter()
    nearest = search(archived, norms, asked, TOP, metric=encoder.spec.metric)
    search_ms = 1000 * (time.perf_counter() - began) / len(asked)
    labels, truth = version.hospitals.labels
    return Found(
        version.name,
        title,
        nearest.rows.astype(np.int64),
        nearest.distances.astype(np.float64),
        labels[nearest.rows],
        truth,
        version.hospitals.positive,
        spent[0] / (len(archived) + len(asked)),
        search_ms,
        encoder.spec.dim,
    )


def _encoded(version: Version, cases: Sequence[Case], encoder: Encoder, spent: list[float]) -> Vectors:
    rows = []
    for images in version.images(cases):
        began = time.process_time()
        rows.append(encoder.encode(images))
        spent[0] += time.process_time() - began
    found: Vectors = np.concatenate(rows)
    return found
