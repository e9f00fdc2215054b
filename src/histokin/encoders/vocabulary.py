"""Visual words: k-means centers of local descriptors, and the nearest word of a descriptor.

Source: Sivic and Zisserman, "Video Google: a text retrieval approach to object matching in videos", ICCV 2003.
"""

from collections.abc import Callable
from types import ModuleType

import numpy as np
from jaxtyping import Float32, Int32

from histokin.errors import EncoderError, UsageError
from histokin.extras import loaded

Passes = Callable[[int, int], None]
"""Told how many passes are done, of how many."""

PER_WORD = 40
ITERATIONS = 10
BLOCK = 256
"""Descriptors compared with all words at once: what a core's cache nearly holds."""


def learn_vocabulary(
    descriptors: Float32[np.ndarray, "n d"],
    words: int,
    seed: int = 0,
    iterations: int = ITERATIONS,
    per_word: int = PER_WORD,
    watch: Passes | None = None,
) -> Float32[np.ndarray, "k d"]:
    """Centers of k-means (Lloyd, from ``words`` descriptors drawn at random), at most as many as descriptors.

    Parameters
    ----------
    words : centers wanted.
    seed : the same seed gives the same centers on the same computer.
    iterations : passes over the descriptors.
    per_word : of more than ``per_word * words`` descriptors, so many are drawn at random and used.
    watch : told before each pass how many are done of how many, and once more at the end.

    Raises
    ------
    UsageError
        when there is no descriptor, one is not finite, or a number is below 1.
    EncoderError
        when faiss is not installed.
    """
    if min(words, iterations, per_word) < 1:
        raise UsageError("a vocabulary needs at least one word, one pass and one descriptor a word")
    if not descriptors.size or not np.isfinite(descriptors).all():
        raise UsageError(
            f"no vocabulary can be learned from {len(descriptors)} descriptors, or one of them is not finite",
            remedy="Give images with structure",
        )
    faiss = require_faiss()
    count = min(words, len(descriptors))
    used = _drawn(descriptors, per_word * count, seed)
    if count == len(used):
        return used.copy()
    # Pass by pass for whoever watches: the same centers, a little later.
    steps = iterations if watch else 1
    learner = faiss.Kmeans(
        used.shape[1],
        count,
        niter=iterations // steps,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(used),
    )
    told, centers = watch or _unwatched, None
    for done in range(steps):
        told(done, steps)
        learner.train(np.ascontiguousarray(used), init_centroids=centers)
        centers = np.array(learner.centroids, np.float32)
    told(steps, steps)
    found: Float32[np.ndarray, "k d"] = np.asarray(centers)
    return found


def nearest_words(descriptors: Float32[np.ndarray, "n d"], words: Float32[np.ndarray, "k d"]) -> Int32[np.ndarray, "n"]:
    """The nearest word (Euclidean) of each descriptor; the first of several at the same distance.

    Distances carry the rounding of single precision. The answer for a descriptor depends on the others only within
    that rounding.
    """
    halves = (words.astype(np.float64) ** 2).sum(axis=1).astype(np.float32) / 2
    turned = np.ascontiguousarray(words.T)
    out = np.empty(len(descriptors), np.int32)
    for start in range(0, len(descriptors), BLOCK):
        part = slice(start, start + BLOCK)
        scores = descriptors[part] @ turned
        scores -= halves
        out[part] = scores.argmax(axis=1)
    return out


def require_faiss() -> ModuleType:
    """The faiss module; raises :class:`EncoderError` that names the extra where it is missing."""
    return loaded("learning a vocabulary", "faiss", extra="subimage", error=EncoderError)


def _unwatched(done: int, planned: int) -> None:
    """Nobody is told."""


def _drawn(descriptors: Float32[np.ndarray, "n d"], most: int, seed: int) -> Float32[np.ndarray, "m d"]:
    if len(descriptors) <= most:
        return descriptors
    rows = np.random.default_rng([seed, 1]).choice(len(descriptors), most, replace=False)
    chosen: Float32[np.ndarray, "m d"] = descriptors[np.sort(rows)]
    return chosen
