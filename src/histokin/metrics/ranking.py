"""How good a ranked list is. One name, one formula; every function gives one value per query, or one for all.

``neighbours`` holds the labels of the hits, nearest first: "q k", of any type that can be compared; ``truth`` the
label of each query, "q". A list may be shorter than k: ``found`` is then False where there is no hit, and such a
place counts as a miss. Queries are never left out of a mean.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

from histokin.errors import UsageError
from histokin.metrics.resampling import Interval, mean_intervals

Neighbours = Shaped[np.ndarray, "q n"]
Found = Bool[np.ndarray, "q n"]
Labels = Shaped[np.ndarray, "q"]
PerQuery = Float64[np.ndarray, "q"]
Label = str | int | np.generic


def hits_at_k(neighbours: Neighbours, truth: Labels, k: int, found: Found | None = None) -> PerQuery:
    """Any-hit accuracy per query: 1 if at least one of the first ``k`` hits has the query's label, else 0.

    It flatters: with two balanced classes chance is ``1 - 0.5**k``, 0.969 at k = 5. See :func:`chance_any_hit`.
    """
    hit: np.ndarray = np.minimum(_relevant(neighbours, truth, k, found).sum(axis=1), 1.0)
    return hit


def precision_at_k(neighbours: Neighbours, truth: Labels, k: int, found: Found | None = None) -> PerQuery:
    """Share of the first ``k`` hits with the query's label: ``sum(rel_i, i=1..k) / k``, always divided by k."""
    precision: np.ndarray = _relevant(neighbours, truth, k, found).sum(axis=1) / k
    return precision


def recall_at_k(
    neighbours: Neighbours, truth: Labels, relevant: Int[np.ndarray, "q"], k: int, found: Found | None = None
) -> PerQuery:
    """Share of all the archive's items with the query's label that the first ``k`` hits hold: ``sum(rel_i) / R``.

    ``relevant`` is R, after exclusions; 0 where R is 0. Never above ``k / R``: with 10,000 relevant items recall@20
    cannot pass 0.002.
    """
    return _share_of(_relevant(neighbours, truth, k, found), relevant)


def pool_limited_recall_at_k(
    neighbours: Neighbours, truth: Labels, relevant: Int[np.ndarray, "q"], k: int, found: Found | None = None
) -> PerQuery:
    """Recall over what ``k`` hits could hold at best: ``sum(rel_i) / min(k, R)``. Equals precision where R >= k."""
    return _share_of(_relevant(neighbours, truth, k, found), np.minimum(relevant, k))


def majority_vote(neighbours: Neighbours, k: int, found: Found | None = None) -> Labels:
    """The label that most of the first ``k`` hits have.

    A tie goes to the tied label whose best hit ranks first, so it never depends on the query's own label. Every
    query needs at least one hit; raises :class:`UsageError` otherwise.
    """
    _check(neighbours, k)
    first = neighbours[:, :k]
    here = np.ones(first.shape, dtype=bool) if found is None else found[:, :k]
    if not here.any(axis=1).all():
        raise UsageError("a query without hits has no vote", remedy="Leave it out of the vote and count it as wrong")
    same = (first[:, :, None] == first[:, None, :]) & here[:, None, :]
    votes = np.where(here, same.sum(axis=2), -1)
    # argmax takes the first maximum, which is the best-ranked hit among tied labels.
    winners: np.ndarray = first[np.arange(len(first)), votes.argmax(axis=1)]
    return winners


def average_precision_at_k(
    neighbours: Neighbours,
    truth: Labels,
    relevant: Int[np.ndarray, "q"],
    k: int,
    found: Found | None = None,
) -> PerQuery:
    """Average precision of the first ``k`` hits: ``sum(P@i * rel_i, i=1..k) / min(k, R)``.

    ``P@i`` is the precision of the first i hits, ``rel_i`` is 1 where hit i has the query's label, and ``R``
    (``relevant``) how many items of the archive have it after exclusions, so that a perfect list scores 1 even when
    the archive holds fewer than k. 0 where R is 0. Others divide by k or by the hits found: not comparable with this.
    """
    rel = _relevant(neighbours, truth, k, found)
    ranks = np.arange(1, k + 1)
    gained = (np.cumsum(rel, axis=1) / ranks * rel).sum(axis=1)
    best = np.minimum(relevant, k)
    average: np.ndarray = np.where(best > 0, gained / np.maximum(best, 1), 0.0)
    return average


def chance_precision(labels_db: Shaped[np.ndarray, "n"], labels_q: Labels) -> float:
    """Precision@k expected of hits drawn at random: mean over queries of the share of the archive with its label."""
    return float(_shares(labels_db, labels_q).mean()) if len(labels_q) else 0.0


def chance_any_hit(labels_db: Shaped[np.ndarray, "n"], labels_q: Labels, k: int) -> float:
    """Any-hit accuracy expected of ``k`` independent random hits: mean over queries of ``1 - (1 - p)**k``.

    ``p`` is the share of the archive with the query's label.
    """
    return float((1 - (1 - _shares(labels_db, labels_q)) ** k).mean()) if len(labels_q) else 0.0


def bootstrap_interval(
    values: PerQuery,
    seed: int,
    n: int = 2000,
    level: float = 0.95,
    groups: Labels | None = None,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean (Efron): queries are drawn with replacement ``n`` times.

    Returns the ``(1 - level) / 2`` and ``(1 + level) / 2`` quantiles of the means; NaN twice without queries. With
    ``groups`` (the patient, slide or source image of each query) whole groups are drawn, since queries of one group
    are not independent. For two methods on the same queries give the differences of their values: a paired interval.
    """
    if len(values) == 0:
        return float("nan"), float("nan")
    if groups is None:
        sums, sizes = values, np.ones(len(values))
    else:
        _, place = np.unique(groups, return_inverse=True)
        sums, sizes = np.bincount(place, weights=values), np.bincount(place).astype(np.float64)
    draws = np.random.default_rng(seed)
    means = np.empty(n)
    for i in range(n):
        drawn = draws.integers(0, len(sums), len(sums))
        means[i] = sums[drawn].sum() / sizes[drawn].sum()
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def positive_share(neighbours: Neighbours, positive: Label, k: int, found: Found | None = None) -> PerQuery:
    """Share of the first ``k`` hits with the label ``positive``: a score for a ROC curve, in steps of ``1 / k``."""
    wanted = np.full(len(neighbours), positive, neighbours.dtype)
    return precision_at_k(neighbours, wanted, k, found)


def weighted_share(
    neighbours: Neighbours,
    distances: Float64[np.ndarray, "q n"],
    positive: Label,
    k: int,
    found: Found | None = None,
    epsilon: float = 1e-6,
) -> PerQuery:
    """Distance-weighted share of the label ``positive`` among the first ``k`` hits, 0 to 1; 0 without hits.

    ``sum(w_i, hit i is positive) / sum(w_i)`` with ``w_i = 1 / (d_i + epsilon)`` and ``d_i`` the distance of hit i.
    """
    _check(neighbours, k)
    here = np.ones((len(neighbours), k), bool) if found is None else found[:, :k]
    weights = np.where(here, 1.0 / (np.where(here, distances[:, :k], 1.0) + epsilon), 0.0)
    ours = np.where(neighbours[:, :k] == positive, weights, 0.0).sum(axis=1)
    whole = weights.sum(axis=1)
    share: np.ndarray = np.divide(ours, whole, out=np.zeros(len(whole)), where=whole > 0)
    return share


def expected_precision(relevant: Int[np.ndarray, "q"], allowed: Int[np.ndarray, "q"]) -> PerQuery:
    """Precision@k expected of random hits, per query: ``R / N``, of the ``N`` items that may answer it; 0 for none."""
    return _ratio(relevant, allowed)


def expected_any_hit(relevant: Int[np.ndarray, "q"], allowed: Int[np.ndarray, "q"], k: int) -> PerQuery:
    """Any-hit accuracy expected of ``k`` independent random hits, per query: ``1 - (1 - R / N)**k``."""
    chance: np.ndarray = 1 - (1 - _ratio(relevant, allowed)) ** k
    return chance


def paired_interval(
    values_a: PerQuery, values_b: PerQuery, groups: Labels | None = None, *, seed: int = 0, n: int = 2000
) -> Interval:
    """How much better a is than b on the same queries: ``mean(a - b)`` with its 95 % paired bootstrap interval.

    Both hold one value per query, in the same order; with ``groups`` whole groups are drawn. An interval that leaves
    out 0 is a difference beyond the luck of the queries.
    """
    return mean_intervals((values_a - values_b)[:, None], groups, seed=seed, n=n)[0]


def _ratio(part: Int[np.ndarray, "q"], whole: Int[np.ndarray, "q"]) -> PerQuery:
    ratio: np.ndarray = np.where(whole > 0, part / np.maximum(whole, 1), 0.0)
    return ratio


def _shares(labels_db: Shaped[np.ndarray, "n"], labels_q: Labels) -> PerQuery:
    if len(labels_db) == 0:
        return np.zeros(len(labels_q))
    known, counts = np.unique(labels_db, return_counts=True)
    place = np.minimum(np.searchsorted(known, labels_q), len(known) - 1)
    shares: np.ndarray = np.where(known[place] == labels_q, counts[place] / len(labels_db), 0.0)
    return shares


def _share_of(hits: Bool[np.ndarray, "q k"], whole: Int[np.ndarray, "q"]) -> PerQuery:
    shares: np.ndarray = np.where(whole > 0, hits.sum(axis=1) / np.maximum(whole, 1), 0.0)
    return shares


def _relevant(neighbours: Neighbours, truth: Labels, k: int, found: Found | None) -> Bool[np.ndarray, "q k"]:
    _check(neighbours, k)
    relevant: np.ndarray = neighbours[:, :k] == truth[:, None]
    return relevant if found is None else relevant & found[:, :k]


def _check(neighbours: Neighbours, k: int) -> None:
    if not 1 <= k <= neighbours.shape[1]:
        raise UsageError(
            f"k is {k}, but each list has {neighbours.shape[1]} places",
            remedy="Search for more hits, or give found= for lists that are shorter",
        )
