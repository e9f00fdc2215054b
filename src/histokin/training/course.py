"""A training from its configuration to its report: what trainers do alike."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from histokin.training.length import Length
from histokin.training.report import FILE, Trained, Watch, plain, write_report


@runtime_checkable
class Training(Protocol):
    """A training put together: its steps, and what comes out of it."""

    def task(self) -> Any:
        """The steps, from the start."""

    def finish(self, task: Any, outcome: Any, out: Path) -> dict[str, Any]:
        """Measure, draw and write what was trained, and its untrained copy."""


def train(
    training: Training,
    out: Path,
    configuration: Mapping[str, Any],
    length: Length,
    about: Mapping[str, Any],
    *,
    published: int | None,
    products: Sequence[str],
    seed: int,
    watch: Watch | None,
) -> Trained:
    """Train, or go on with the training that ``out`` holds, and write it with its report; what is finished is returned.

    Parameters
    ----------
    configuration : JSON-ready; all that makes this training another than the next one.
    about : what the report says beside the steps and what :meth:`Training.finish` returns.
    published : steps of the published training.
    products : files of ``out`` that a finished training has, the trained one first.

    Raises
    ------
    UsageError
        when ``out`` holds another training.
    KeyboardInterrupt
        after Ctrl-C, once the checkpoint is written.
    """
    from histokin.training.sitting import sit

    done = _finished(out, configuration, products)
    if done is not None:
        return done
    task, outcome = sit(training.task, out, configuration, length, seed=seed, watch=watch)
    report: dict[str, Any] = {
        **about,
        "steps": {"done": outcome.steps, "published": published},
        "configuration": dict(configuration),
        **training.finish(task, outcome, out),
    }
    write_report(out, report)
    return Trained(out, out / products[0], report)


def _finished(out: Path, configuration: Mapping[str, Any], products: Sequence[str]) -> Trained | None:
    """The training that ``out`` holds, where it is this one and came to its end."""
    try:
        report = json.loads((out / FILE).read_text(encoding="utf-8"))
        same = report["configuration"] == plain(configuration) and report["stopped"] == "finished"
    except (OSError, ValueError, KeyError, TypeError):
        return None
    there = all((out / name).is_file() for name in products)
    return Trained(out, out / products[0], report) if same and there else None
