"""One loop for all trainings: resumable, stoppable, the same by seed."""

import math
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import torch

from histokin.errors import HistokinError
from histokin.training.checkpoint import load_checkpoint, save_checkpoint
from histokin.training.report import Moment, Watch

SAVE_EVERY_S = 60.0
POINTS = 400
"""At most so many points in a loss curve; between them losses are averaged."""

Stopped = Literal["finished", "enough", "time", "interrupted"]


class Task(ABC):
    """What a training does at each step.

    Everything random is drawn from the seed and the number of the step, or from PyTorch's own generator, which
    the loop stores; so a resumed training makes the same numbers as one that was never stopped (on the CPU with
    as many threads; a GPU may add in another order).
    """

    modules: Mapping[str, torch.nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]

    @abstractmethod
    def plan(self, steps: int) -> None:
        """The training will have so many steps; called before the first, also after a resumption."""

    @abstractmethod
    def step(self, number: int) -> dict[str, float]:
        """Take step ``number`` (from 0). Returns its losses by name."""

    def after(self, done: int) -> dict[str, float]:
        """Called when ``done`` steps are done; what was measured now, mostly nothing."""
        return {}

    def enough(self) -> bool:
        """True when more steps are not worth taking; asked after every step."""
        return False

    def extra(self) -> dict[str, Any]:
        """State beside modules and optimizers: tensors, numbers, texts, lists and dictionaries of them."""
        return {}

    def restore(self, extra: Mapping[str, Any]) -> None:
        """Take back what :meth:`extra` gave."""
        return


@final
@dataclass(frozen=True)
class Outcome:
    """How a training ended. Times are in seconds and count earlier sessions; ``history`` has one row per point."""

    steps: int
    planned: int
    seconds: float
    cpu_seconds: float
    stopped: Stopped
    history: tuple[dict[str, float], ...]

    @property
    def course(self) -> dict[str, Any]:
        """How it went, for a report."""
        return {
            "planned_steps": self.planned,
            "stopped": self.stopped,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
        }

    @property
    def curve(self) -> dict[str, Any]:
        """The last losses and all points of the loss curve, for a report."""
        return {"losses": self.history[-1] if self.history else {}, "history": list(self.history)}


def run(
    task: Task,
    steps: int | Callable[[], int],
    folder: Path,
    configuration: Mapping[str, Any],
    *,
    seed: int = 0,
    minutes: float | None = None,
    save_every_s: float = SAVE_EVERY_S,
    watch: Watch | None = None,
) -> Outcome:
    """Train, or go on where the checkpoint in ``folder`` stopped.

    Parameters
    ----------
    steps : how many in all, or what finds that out; asked only at the very start, then kept in the checkpoint.
    configuration : JSON-ready; all that makes this training another than the next one.
    minutes : stop after so many minutes of this session, with a checkpoint.
    save_every_s : seconds between checkpoints. One more is written at the end, also after Ctrl-C, which lets the
        step at hand finish (a second one does not).
    watch : told after every step.

    Raises
    ------
    UsageError
        when the checkpoint belongs to another configuration, or the folder cannot be written.
    UnreadableFile
        when the checkpoint is damaged.
    HistokinError
        when a loss is not finite.
    """
    stored = load_checkpoint(folder, configuration)
    with torch.random.fork_rng(), _interrupts() as interrupted:
        torch.manual_seed(seed)
        session = _Session(task, folder, configuration)
        if stored is None:
            session.begin(steps if isinstance(steps, int) else steps())
        else:
            session.resume(stored)
        limit = math.inf if minutes is None else 60 * minutes
        while session.done < session.planned:
            if interrupted.is_set() or session.elapsed >= limit or task.enough():
                break
            session.step()
            if watch is not None:
                watch(session.moment)
            if session.unsaved >= save_every_s:
                session.save()
        session.save()
        return session.outcome(_why(session, interrupted.is_set(), task.enough()))


def _why(session: "_Session", interrupted: bool, enough: bool) -> Stopped:
    if session.done >= session.planned:
        return "finished"
    return "enough" if enough else "interrupted" if interrupted else "time"


@final
class _Session:
    """One sitting of a training."""

    def __init__(self, task: Task, folder: Path, configuration: Mapping[str, Any]) -> None:
        self._task, self._folder, self._configuration = task, folder, configuration
        self._began = self._saved = time.monotonic()
        self._cpu_began = time.process_time()
        self._seconds_before = self._cpu_before = 0.0
        self.done = self._first = self.planned = 0
        self._history: list[dict[str, float]] = []
        self._sums: dict[str, float] = {}
        self._counted = 0
        self._losses: dict[str, float] = {}

    def begin(self, steps: int) -> None:
        self.planned = steps
        self._task.plan(steps)

    def resume(self, stored: Mapping[str, Any]) -> None:
        for name, module in self._task.modules.items():
            module.load_state_dict(stored["modules"][name])
        for name, optimizer in self._task.optimizers.items():
            optimizer.load_state_dict(stored["optimizers"][name])
        torch.set_rng_state(stored["rng"])
        if stored["rng_cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(stored["rng_cuda"])
        self.planned = stored["planned"]
        self.done = self._first = stored["done"]
        self._seconds_before, self._cpu_before = stored["seconds"], stored["cpu_seconds"]
        self._history, self._sums, self._counted = stored["history"], stored["sums"], stored["counted"]
        self._task.plan(self.planned)
        self._task.restore(stored["extra"])

    def step(self) -> None:
        self._losses = self._task.step(self.done)
        bad = [name for name, value in self._losses.items() if not math.isfinite(value)]
        if bad:
            raise HistokinError(
                f"the training diverged: {bad[0]} is not finite at step {self.done}",
                remedy="Start again with a smaller learning rate or another --seed",
                path=self._folder,
            )
        self.done += 1
        for name, value in self._losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._counted += 1
        measured = self._task.after(self.done)
        if measured or self.done % max(1, self.planned // POINTS) == 0 or self.done == self.planned:
            means = {name: value / self._counted for name, value in self._sums.items()}
            self._history.append({"step": float(self.done), **means, **measured})
            self._sums, self._counted = {}, 0

    def save(self) -> None:
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        save_checkpoint(
            self._folder,
            {
                "modules": {name: module.state_dict() for name, module in self._task.modules.items()},
                "optimizers": {name: optimizer.state_dict() for name, optimizer in self._task.optimizers.items()},
                "extra": self._task.extra(),
                "rng": torch.get_rng_state(),
                "rng_cuda": cuda,
                "done": self.done,
                "planned": self.planned,
                "seconds": self._seconds_before + self.elapsed,
                "cpu_seconds": self._cpu_before + self._cpu,
                "history": self._history,
                "sums": self._sums,
                "counted": self._counted,
            },
            self._configuration,
        )
        self._saved = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    @property
    def unsaved(self) -> float:
        return time.monotonic() - self._saved

    @property
    def _cpu(self) -> float:
        return time.process_time() - self._cpu_began

    @property
    def moment(self) -> Moment:
        return Moment(self.done, self.planned, self._losses, self.elapsed / max(1, self.done - self._first))

    def outcome(self, stopped: Stopped) -> Outcome:
        return Outcome(
            self.done,
            self.planned,
            self._seconds_before + self.elapsed,
            self._cpu_before + self._cpu,
            stopped,
            tuple(self._history),
        )


def steps_within(make: Callable[[], Task], seconds: float, most: int, *, probe: int = 5) -> int:
    """How many steps fit into so many seconds here: a few are taken on a task of their own and timed."""
    task = make()
    task.plan(most)
    with torch.random.fork_rng():
        task.step(0)
        began = time.monotonic()
        for number in range(probe):
            task.step(number)
        each = (time.monotonic() - began) / probe
    return max(1, min(most, int(seconds / max(each, 1e-6))))


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Ctrl-C sets the event; the second one interrupts as usual."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(*_: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
