"""How often the right image is among the first k: Acc@k, the mean reciprocal rank, chance, and intervals by core."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Float64, Int64, Shaped

from histokin.errors import UsageError
from histokin.metrics.resampling import Interval, mean_intervals

KS = (1, 2, 5, 10, 15)
HEADLINE = 2
"""Acc@2 of 21 has a chance (9.5 %) near that of the paper's Acc@10 of 134 (7.5 %)."""

Ranks = Int64[np.ndarray, "q"]


@final
@dataclass(frozen=True, eq=False)
class Answers:
    """Ranks (from 1) of the one right item of each query, with the query's core and how many items could answer.

    Transforms of one core are not independent: intervals draw whole cores. ``asked`` names every query.
    """

    ranks: Ranks
    cores: Shaped[np.ndarray, "q"]
    size: int
    asked: Shaped[np.ndarray, "q"]

    def of(self, wanted: Sequence[str]) -> "Answers":
        """Queries of some cores only."""
        return self._at(np.isin(self.cores, list(wanted)))

    def like(self, other: "Answers") -> "Answers":
        """Queries that the other has too, in order of name."""
        order = np.argsort(self.asked, kind="stable")
        return self._at(order[np.isin(self.asked[order], other.asked)])

    def _at(self, chosen: Shaped[np.ndarray, "_"]) -> "Answers":
        return Answers(self.ranks[chosen], self.cores[chosen], self.size, self.asked[chosen])


def rank_of(similarity: Float[np.ndarray, "n"], right: int) -> int:
    """Rank (from 1) of item ``right`` when items are ordered from most to least similar, ties by their order.

    What is not a number comes last.
    """
    values = np.where(np.isnan(similarity), -np.inf, similarity)
    mine = values[right]
    return 1 + int((values > mine).sum() + (values[:right] == mine).sum())


def order_of(similarity: Float[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """Items from most to least similar, ties by their order."""
    values = np.where(np.isnan(similarity), -np.inf, similarity)
    return np.argsort(-values, kind="stable").astype(np.int64)


def together(parts: Sequence[Answers]) -> Answers:
    """Queries of several folds in one.

    Raises
    ------
    UsageError
        when they do not have the same number of items to choose from.
    """
    sizes = {part.size for part in parts}
    if len(sizes) != 1:
        raise UsageError(f"repositories of {sorted(sizes)} items cannot be pooled", remedy="Score them apart")
    ranks, cores, asked = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("ranks", "cores", "asked")
    )
    return Answers(ranks, cores, sizes.pop(), asked)


def per_query(answers: Answers, ks: Sequence[int] = KS) -> dict[str, Float64[np.ndarray, "q"]]:
    """``Acc@k`` (1 where the right item is among the first k) and ``MRR`` (1 / rank) of every query."""
    values = {f"Acc@{k}": (answers.ranks <= k).astype(np.float64) for k in ks}
    return {**values, "MRR": 1.0 / answers.ranks}


def scores(answers: Answers, ks: Sequence[int] = KS, *, seed: int = 0) -> dict[str, Interval]:
    """Means with 95 % intervals, whole cores drawn."""
    values = per_query(answers, ks)
    if not len(answers.ranks):
        return {name: Interval(*3 * [float("nan")]) for name in values}
    columns = np.stack(list(values.values()), axis=1)
    return dict(zip(values, mean_intervals(columns, answers.cores, seed=seed), strict=True))


def difference(ours: Answers, theirs: Answers, name: str = "Acc@1", *, seed: int = 0) -> Interval:
    """How much better ``ours`` is on the queries that both were asked: mean difference with its paired interval.

    Whole cores are drawn.

    Raises
    ------
    UsageError
        when they have no query in common.
    """
    ours, theirs = ours.like(theirs), theirs.like(ours)
    if not len(ours.ranks):
        raise UsageError("two methods were asked no query in common", remedy="Ask both the same")
    one, other = (per_query(answers)[name] for answers in (ours, theirs))
    return mean_intervals((one - other)[:, None], ours.cores, seed=seed)[0]


def chance(size: int, ks: Sequence[int] = KS) -> dict[str, float]:
    """What a random order of ``size`` items reaches: ``k / size``, and the mean of ``1 / rank``."""
    return {**{f"Acc@{k}": min(k, size) / size for k in ks}, "MRR": float(np.mean(1.0 / np.arange(1, size + 1)))}


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) of several seeds; the deviation is NaN for one."""
    mean = float(np.mean(values)) if len(values) else float("nan")
    return mean, float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def averaged(parts: Sequence[Mapping[str, Interval]], name: str) -> float:
    """Mean of one figure over directions, as the paper's bar charts have it."""
    return float(np.mean([part[name].value for part in parts]))
