"""One sitting of a training: how many steps there are to be, how long it may take, and what Ctrl-C does. PyTorch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from histokin.training.length import Length
from histokin.training.loop import Outcome, Task, run, steps_within
from histokin.training.report import Watch

SHARE = 0.9
"""Of the time given, so much is planned with steps: they do not all take the same time."""

T = TypeVar("T", bound=Task)


def sit(
    make: Callable[[], T],
    out: Path,
    configuration: Mapping[str, Any],
    length: Length,
    *,
    seed: int,
    watch: Watch | None,
) -> tuple[T, Outcome]:
    """Train, or go on; ``make`` gives the task at its start.

    Raises
    ------
    KeyboardInterrupt
        after Ctrl-C, once the checkpoint is written; see also :func:`~histokin.training.loop.run`.
    """

    def planned() -> int:
        if length.fits_s is None:
            return length.exactly
        return steps_within(make, SHARE * length.fits_s, length.most)

    task = make()
    outcome = run(task, planned, out, configuration, seed=seed, minutes=length.limit_minutes, watch=watch)
    if outcome.stopped == "interrupted":
        raise KeyboardInterrupt
    return task, outcome
