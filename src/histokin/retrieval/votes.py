"""What the labels of the hits say, and how sure they are."""

from collections import Counter
from collections.abc import Sequence

from histokin.types import Hit


def count_votes(hits: Sequence[Hit]) -> dict[str, int]:
    """Hits per label, most first; a tie is ordered by the better-ranked hit. Hits without a label do not vote."""
    counts = Counter(hit.label for hit in hits if hit.label is not None)
    first = {label: min(h.rank for h in hits if h.label == label) for label in counts}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], first[item[0]])))


def vote_margin(votes: dict[str, int]) -> float:
    """(votes of the first label - votes of the second) / all votes, from 0 (tied) to 1 (unanimous); 0 for none."""
    total = sum(votes.values())
    if not total:
        return 0.0
    ordered = sorted(votes.values(), reverse=True)
    second = ordered[1] if len(ordered) > 1 else 0
    return (ordered[0] - second) / total
