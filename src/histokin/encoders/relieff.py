"""Which features tell classes apart, by the neighbors of each sample.

I. Kononenko, "Estimating attributes: analysis and extensions of RELIEF", ECML 1994 (ReliefF): a feature is worth more
where it differs between a sample and its nearest samples of other classes, and less where it differs between a sample
and its nearest samples of its own class.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int64

from histokin.errors import UsageError


def relieff(
    features: Float[np.ndarray, "n d"], classes: Sequence[str], neighbors: int = 10
) -> Float64[np.ndarray, "d"]:
    """The worth of every feature, from -1 to 1.

    Every sample is used once; distances are sums of differences, each feature in units of its range (a feature without
    range is worth 0). Other classes count by their share of the samples. Where a class has fewer than ``neighbors``
    samples, all of them are taken; ties go to the sample that comes first.

    Raises
    ------
    UsageError
        when there are fewer than two classes, or no class with two samples.
    """
    names, label = np.unique(np.asarray(classes), return_inverse=True)
    counts = np.bincount(label, minlength=len(names))
    if len(label) != len(features) or len(names) < 2 or counts.max() < 2 or neighbors < 1:
        raise UsageError(
            f"{len(features)} samples of {len(names)} classes cannot rank features by {neighbors} neighbors",
            remedy="Name the class of every sample; give two classes at least, and one of them two samples",
        )
    scaled = _scaled(features)
    members = [np.flatnonzero(label == number) for number in range(len(names))]
    shares = counts / len(label)
    worth = np.zeros(scaled.shape[1])
    for own, number in enumerate(label):
        apart = np.abs(scaled - scaled[own])
        far = apart.sum(axis=1)
        for other, group in enumerate(members):
            near = _nearest(far, group[group != own], neighbors)
            if len(near):
                weight = -1.0 if other == number else shares[other] / (1 - shares[number])
                worth += weight * apart[near].mean(axis=0)
    return worth / len(label)


def best(worth: Float64[np.ndarray, "d"], share: float) -> Int64[np.ndarray, "k"]:
    """The places of the best ``share`` of the features (rounded, one at least), in rising order; ties to the first."""
    count = max(1, round(share * len(worth)))
    return np.sort(np.argsort(-worth, kind="stable")[:count]).astype(np.int64)


def _scaled(features: np.ndarray) -> np.ndarray:
    low, high = features.min(axis=0), features.max(axis=0)
    wide = np.where(high > low, high - low, 1).astype(np.float64)
    scaled: np.ndarray = (features.astype(np.float64) - low) / wide
    return scaled


def _nearest(far: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    return group[np.argsort(far[group], kind="stable")[:count]]
