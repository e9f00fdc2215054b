"""How long a training is to be. No PyTorch."""

from dataclasses import dataclass
from typing import final

from histokin.errors import UsageError

LONGEST = 20.0
"""Minutes after which a training sized by time stops, should the machine have slowed down."""


@final
@dataclass(frozen=True)
class Length:
    """How many steps a training has, and how long a sitting of it may take.

    Parameters
    ----------
    steps : how many in all; None for all epochs (``epochs_steps``), or where ``fit_minutes`` is given as many as fit
        into it (into ``minutes``, where those are given), ``most`` at most.
    minutes : stop this sitting after so long.

    Raises
    ------
    UsageError
        for fewer than one step.
    """

    steps: int | None
    epochs_steps: int
    most: int
    fit_minutes: float | None
    minutes: float | None

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"{self.steps} steps", remedy="Give at least 1")

    @property
    def exactly(self) -> int:
        """The steps of a training that is not sized by time."""
        return self.epochs_steps if self.steps is None else self.steps

    @property
    def fits_s(self) -> float | None:
        """Seconds that the steps are to fit into; None where their number is given."""
        if self.steps is not None or self.fit_minutes is None:
            return None
        return 60 * (self.minutes or self.fit_minutes)

    @property
    def limit_minutes(self) -> float | None:
        """When a sitting stops; None for never."""
        if self.minutes is not None:
            return self.minutes
        return None if self.fit_minutes is None else max(LONGEST, self.fit_minutes)
