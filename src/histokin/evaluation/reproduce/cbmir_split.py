"""80, 10 and 10 of 100 images to learn from, to choose by and to ask: by class, seeded, copies on one side."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64

from histokin.errors import UsageError
from histokin.evaluation.embedding_duplicates import alike_at_sight, near_copies, nearest_rows
from histokin.evaluation.leakage import SAME_PICTURE, THUMB_PX, Side, Thumbs

SPLITS = ("train", "validation", "test")
SHARE = 0.1
"""Of each class, for validation and for test."""

BLOCK, ROUNDS = 512, 5


def copies(thumbs: Thumbs) -> Int64[np.ndarray, "n"]:
    """A number per picture, the same for pictures that are one (mirrored or turned by quarters at most).

    ``thumbs`` as :func:`~histokin.evaluation.leakage.side` makes them; the same threshold as the leakage verdict's,
    and chains of copies are one group, so that no split by these groups divides a pair that the verdict would find.
    """
    parent = np.arange(len(thumbs))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    base = _standard(thumbs)
    for flipped in (thumbs, thumbs[:, :, ::-1]):
        for quarter in range(4):
            turned = _standard(np.ascontiguousarray(np.rot90(flipped, quarter, axes=(1, 2))))
            for start in range(0, len(turned), BLOCK):
                alike = turned[start : start + BLOCK] @ base.T >= SAME_PICTURE
                for i, j in zip(*np.nonzero(alike), strict=True):
                    parent[root(start + int(i))] = root(int(j))
    groups: Int64[np.ndarray, "n"] = np.array([root(i) for i in range(len(thumbs))], np.int64)
    return groups


def divide(
    labels: Sequence[str], groups: Int64[np.ndarray, "n"], seed: int, given: Sequence[str] = ()
) -> tuple[str, ...]:
    """``train``, ``validation`` or ``test`` per picture.

    Whole groups are dealt out, class by class (a group counts for the class of its first picture): the first tenth
    of a class to test, the next to validation, at least one each. Where ``given`` names splits they are kept, and
    a tenth of the training pictures of each class becomes validation where nothing is given for it.

    Raises
    ------
    UsageError
        when a class has fewer than three pictures that are not copies of each other, or a given split lacks
        training or test pictures, or names some pictures only.
    """
    if any(given):
        return _kept(labels, groups, seed, given)
    return _dealt(labels, groups, seed, ("test", "validation"))


def without_crops(
    seen: Side, splits: Sequence[str], groups: Int64[np.ndarray, "n"]
) -> tuple[tuple[str, ...], Int64[np.ndarray, "n"]]:
    """The split and the groups after test pictures that are a crop of a training picture have joined it there.

    Copies of a moved picture move with it; looked for as the leakage verdict looks, until nothing is found.
    """
    own, joined = list(splits), groups.copy()
    for _ in range(ROUNDS):
        train = np.array([i for i, split in enumerate(own) if split == "train"], np.int64)
        test = np.array([i for i, split in enumerate(own) if split == "test"], np.int64)
        archive, asked = seen.take(train), seen.take(test)
        proposed = [
            nearest_rows(archive.colors, asked.colors, "euclidean", None),
            alike_at_sight(archive.details, asked.details, None),
        ]
        pairs = near_copies(archive.details, asked.details, np.concatenate(proposed, axis=1))
        if not pairs:
            break
        for query, row in pairs:
            joined[joined == joined[test[query]]] = joined[train[row]]
        home = set(joined[train].tolist())
        own = ["train" if group in home else split for group, split in zip(joined.tolist(), own, strict=True)]
    return tuple(own), joined


def _kept(labels: Sequence[str], groups: Int64[np.ndarray, "n"], seed: int, given: Sequence[str]) -> tuple[str, ...]:
    if not all(given) or not {"train", "test"} <= set(given):
        raise UsageError(
            "the manifest does not put every image into train or test",
            remedy="Fill the column 'split', or leave it empty for a split of 80, 10 and 10 of 100",
        )
    if "validation" in given:
        return tuple(given)
    train = [i for i, split in enumerate(given) if split == "train"]
    dealt = _dealt([labels[i] for i in train], groups[train], seed, ("validation",))
    splits = list(given)
    for i, split in zip(train, dealt, strict=True):
        splits[i] = split
    return tuple(splits)


def _dealt(labels: Sequence[str], groups: Int64[np.ndarray, "n"], seed: int, away: tuple[str, ...]) -> tuple[str, ...]:
    rng = np.random.default_rng([seed, 17])
    owner: dict[int, str] = {}
    for label, group in zip(labels, groups.tolist(), strict=True):
        owner.setdefault(group, label)
    place: dict[int, str] = {}
    for label in sorted(set(labels)):
        own = [group for group, name in owner.items() if name == label]
        if len(own) <= len(away):
            raise UsageError(
                f"class '{label}' has {len(own)} images that are not copies of each other or of another class's",
                remedy="Give at least three images of every class",
            )
        each = max(1, round(SHARE * len(own)))
        order = rng.permutation(len(own))
        for rank, i in enumerate(order.tolist()):
            place[own[i]] = away[rank // each] if rank < each * len(away) else "train"
    return tuple(place[group] for group in groups.tolist())


def _standard(thumbs: Thumbs) -> Float32[np.ndarray, "n 1024"]:
    flat = thumbs.reshape(len(thumbs), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    # A picture without structure is like nothing, as in the verdict.
    flat[length[:, 0] < THUMB_PX] = 0
    scaled: Float32[np.ndarray, "n 1024"] = flat / np.maximum(length, 1e-6)
    return scaled
