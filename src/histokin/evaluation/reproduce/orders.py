"""Does our order agree with the paper's? Said from the numbers."""

import itertools
import math
from collections.abc import Mapping


def order_text(
    what: str,
    ours: Mapping[str, float],
    published: Mapping[str, float | int],
    titles: Mapping[str, str],
    *,
    smaller_is_better: bool = False,
) -> str:
    """One or two sentences: both orders, best first, and the pairs of methods that stand the other way round.

    Only methods that both sides have, with a finite number, are compared; equal numbers agree with any order.
    """
    names = [name for name in published if name in ours and math.isfinite(ours[name])]
    if len(names) < 2:
        return f"{what}: fewer than two methods on both sides, nothing to compare."
    if len({ours[name] for name in names}) == 1:
        return f"{what}: all methods score {ours[names[0]]:.3f} here, so there is no order to compare."
    sign = 1 if smaller_is_better else -1
    mine = sorted(names, key=lambda name: sign * ours[name])
    theirs = sorted(names, key=lambda name: sign * published[name])
    turned = [
        f"{titles[a]} before {titles[b]}"
        for a, b in itertools.combinations(mine, 2)
        if (ours[a] - ours[b]) * (published[a] - published[b]) < 0
    ]
    listed = [" > ".join(titles[name] for name in order) for order in (mine, theirs)]
    if not turned:
        return f"{what}: the same order as in the paper ({listed[0]})."
    return (
        f"{what}: the order DIFFERS. Here, best first: {listed[0]}. In the paper: {listed[1]}. "
        f"Turned round here: {', '.join(turned)}."
    )


def shown(value: float | int | None, digits: int) -> str:
    """A number for a table, ``-`` where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"
