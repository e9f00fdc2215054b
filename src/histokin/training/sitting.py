"""One sitting of a training: how many steps there are to be, how long it may take, and what Ctrl-C does. PyTorch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from histokin.errors import UsageError
from histokin.training.loop import Outcome, Task, run, steps_within
from histokin.training.report import Watch

SHARE = 0.9
"""Of the time given, so much is planned with steps: they do not all take the same time."""

LONGEST = 20.0
"""Minutes after which a training sized by time stops, should the machine have slowed down."""

T = TypeVar("T", bound=Task)


def sit(
    make: Callable[[], T],
    out: Path,
    configuration: Mapping[str, Any],
    *,
    steps: int | None,
    epochs_steps: int,
    published: int,
    fit_minutes: float | None,
    minutes: float | None,
    seed: int,
    watch: Watch | None,
) -> tuple[T, Outcome]:
    """Train, or go on.

    Parameters
    ----------
    make : the task at its start.
    steps : how many in all; None for all epochs (``epochs_steps``), or where ``fit_minutes`` is given as many as fit
        into it (into ``minutes``, where those are given), ``published`` at most.
    minutes : stop this sitting after so long.

    Raises
    ------
    UsageError
        for fewer than one step; see also :func:`~histokin.training.loop.run`.
    KeyboardInterrupt
        after Ctrl-C, once the checkpoint is written.
    """
    if steps is not None and steps < 1:
        raise UsageError(f"{steps} steps", remedy="Give at least 1")

    def planned() -> int:
        if steps is not None:
            return steps
        if fit_minutes is None:
            return epochs_steps
        return steps_within(make, SHARE * 60 * (minutes or fit_minutes), published)

    limit = minutes if minutes is not None else None if fit_minutes is None else max(LONGEST, fit_minutes)
    task = make()
    outcome = run(task, planned, out, configuration, seed=seed, minutes=limit, watch=watch)
    if outcome.stopped == "interrupted":
        raise KeyboardInterrupt
    return task, outcome
