"""What luck would score under the same protocol: hits drawn at random from the rows that may answer each query."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, Shaped

from histokin.evaluation.answers import Ranked
from histokin.evaluation.scores import per_query, votes_of
from histokin.metrics import ranking
from histokin.metrics.resampling import macro_intervals

ROUNDS = 20


def chance_figures(
    truth: Shaped[np.ndarray, "q"],
    answers: Int64[np.ndarray, "q c"],
    classes: Sequence[str],
    ks: Sequence[int],
    at: int = 5,
) -> dict[str, float]:
    """Expected figures of random hits, by the names of :mod:`histokin.evaluation.scores`.

    Any-hit accuracy, precision and both recalls by formula; mean average precision and the votes as the mean of
    twenty rounds of independent draws (always the same ones); an area is 0.5.
    """
    numbers = np.searchsorted(np.array(classes), truth)
    relevant, allowed = answers[np.arange(len(truth)), numbers], answers.sum(axis=1)
    share = ranking.expected_precision(relevant, allowed)
    figures: dict[str, float] = {}
    drawn = _drawn(truth, relevant, answers, classes, ks)
    for k in ks:
        best = np.maximum(np.minimum(relevant, k), 1)
        hits = np.minimum(k, allowed) * share
        figures |= {
            f"any_hit_accuracy@{k}": float(ranking.expected_any_hit(relevant, allowed, k).mean()),
            f"precision@{k}": float((hits / k).mean()),
            f"recall@{k}": float((hits / np.maximum(relevant, 1)).mean()),
            f"pool_limited_recall@{k}": float((hits / best).mean()),
            **{name: drawn[name] for name in drawn if name.endswith(f"@{k}")},
        }
    return figures | {f"auc_share@{at}": 0.5, f"auc_weighted_share@{at}": 0.5}


def _drawn(
    truth: Shaped[np.ndarray, "q"],
    relevant: Int64[np.ndarray, "q"],
    answers: Int64[np.ndarray, "q c"],
    classes: Sequence[str],
    ks: Sequence[int],
) -> dict[str, float]:
    draws = np.random.default_rng(0)
    named = np.array([*classes, ""])
    ends = np.cumsum(answers, axis=1)
    deep = max(ks)
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        places = draws.integers(0, np.maximum(ends[:, -1:], 1), (len(truth), deep))
        which = (places[:, :, None] >= ends[:, None, :]).sum(axis=2)
        places = np.where(np.arange(deep) < ends[:, -1:], places, -1)
        ranked = Ranked(places, np.zeros(places.shape), np.where(places >= 0, named[which], ""))
        votes = {k: votes_of(ranked, k) for k in ks}
        values = per_query(ranked, truth, relevant, ks, votes)
        kept = {n: float(v.mean()) for n, v in values.items() if n.startswith(("mean_average", "vote"))}
        for k in ks:
            given = np.searchsorted(np.array(classes), votes[k])
            numbers = np.where(votes[k] == "", -1, given)
            macro = macro_intervals(np.searchsorted(np.array(classes), truth), numbers, n=1)
            kept |= {f"vote_macro_{name}@{k}": interval.value for name, interval in macro._asdict().items()}
        rounds.append(kept)
    return {name: float(np.mean([one[name] for one in rounds])) for name in rounds[0]}
