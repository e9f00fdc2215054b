"""What a training tells: while it runs, and in the file beside its weights. No PyTorch."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from histokin.extras import needed
from histokin.training.files import write_whole

FILE = "report.json"


@final
@dataclass(frozen=True)
class Moment:
    """Where a training is: steps done and planned, the losses of the last one, seconds a step so far.

    In the phase "teacher" a step is one image that the teacher maps, and there are no losses.
    """

    done: int
    planned: int
    losses: Mapping[str, float]
    step_seconds: float
    phase: str = "training"


Watch = Callable[[Moment], None]


@final
@dataclass(frozen=True)
class Trained:
    """A finished (or stopped) training: the weight file and the content of ``report.json``."""

    folder: Path
    weights: Path
    report: Mapping[str, Any]

    @property
    def better_than_untrained(self) -> bool:
        """True when the trained network beats its untrained copy on every figure of the held-out images."""
        return bool(self.report["better_than_untrained"])


def require_torch() -> None:
    """Raises :class:`UsageError` with the command to type when PyTorch is not installed."""
    needed("training", "torch", "onnx", extra="torch")


def write_report(folder: Path, report: Mapping[str, Any]) -> Path:
    """Write ``report.json``; numbers that are not finite become null. Raises :class:`UsageError`."""
    text = json.dumps(plain(report), indent=2, allow_nan=False) + "\n"
    return write_whole(folder / FILE, lambda stream: stream.write(text.encode()))


def plain(value: Any) -> Any:
    """``value`` with tuples as lists and floats rounded to six digits, null where not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
