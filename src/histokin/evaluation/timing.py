"""Frames per second, honestly: warmed up, waited for, the median of several runs, with what it ran on."""

import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, final

from histokin.errors import UsageError

LEAST_REPEATS = 5


@final
@dataclass(frozen=True)
class Speed:
    """Frames per second (the median run), and what it took: device, frames per call, threads, runs."""

    fps: float
    slowest: float
    fastest: float
    repeats: int
    batch: int
    device: str
    threads: int

    @property
    def text(self) -> str:
        """For a table's note."""
        where = f"{self.device}, {self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{where}, {self.batch} image{'s' if self.batch > 1 else ''} a call, median of {self.repeats} runs"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def frames_per_second(
    work: Callable[[], object],
    frames: int,
    *,
    repeats: int = LEAST_REPEATS,
    device: str | None = None,
    threads: int = 1,
    synchronize: Callable[[], object] | None = None,
    legacy_unsynchronized: bool = False,
) -> Speed:
    """Time a call that handles so many frames; reading and writing files is not part of it.

    ``synchronize`` waits for the device and is called before the clock is read; with ``legacy_unsynchronized`` it is
    not, as in published code, which then times how fast work is handed to a GPU. One call goes before the first run.

    Raises
    ------
    UsageError
        for no frames, or fewer than five runs.
    """
    if frames < 1 or repeats < LEAST_REPEATS:
        raise UsageError(
            f"{frames} frames in {repeats} runs give no speed",
            remedy=f"Give at least one frame and {LEAST_REPEATS} runs",
        )
    wait = synchronize if synchronize is not None and not legacy_unsynchronized else lambda: None
    work()
    wait()
    rates = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        wait()
        rates.append(frames / max(time.perf_counter() - began, 1e-9))
    return Speed(median(rates), min(rates), max(rates), repeats, frames, device or cpu_name(), threads)


def cpu_name() -> str:
    """The processor's name, as the system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
