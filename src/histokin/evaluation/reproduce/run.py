"""What one run of ``histokin reproduce`` was asked for."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from histokin.evaluation.reproduce.records import Record, read_manifest
from histokin.training.report import Moment, Watch

SAY_EVERY_S = 20.0


def silent(message: str) -> None:
    """Say nothing."""


@final
@dataclass(frozen=True)
class Run:
    """Where the page goes, what data there is, and how much work is allowed.

    Parameters
    ----------
    out : folder of the page, of synthetic images and of trained weights (kept for the next run).
    shared : folder of the project's real images, or None where there is none.
    data : the user's own manifest, or None.
    quick : tiny images and a few training steps, to see that everything works.
    minutes : of training, all networks together.
    command : what was typed, to stand beside every table.
    say : is told what is being done.
    """

    out: Path
    shared: Path | None = None
    data: Path | None = None
    quick: bool = False
    minutes: float | int = 15
    command: str = ""
    say: Callable[[str], None] = silent

    @property
    def side(self) -> int:
        """Pixels of a side of synthetic images, and of real ones that are resized."""
        return 64 if self.quick else 256

    def share(self, *parts: str) -> Path | None:
        """A file or folder of the shared data, or None where it is not there."""
        path = self.shared.joinpath(*parts) if self.shared else None
        return path if path and path.exists() else None

    def given(self) -> tuple[Record, ...]:
        """Rows of the user's manifest. Raises :class:`~histokin.errors.UsageError` when it cannot be used."""
        return read_manifest(self.data) if self.data else ()

    def teller(self, name: str) -> Watch:
        """Tells now and then how far the training called ``name`` is."""
        last = time.monotonic()

        def tell(moment: Moment) -> None:
            nonlocal last
            if time.monotonic() - last >= SAY_EVERY_S:
                last = time.monotonic()
                left = (moment.planned - moment.done) * moment.step_seconds / 60
                self.say(f"{name}: step {moment.done} of {moment.planned}, {left:.1f} min left")

        return tell
