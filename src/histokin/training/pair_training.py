"""What trainers on aligned pairs do alike: sit down to the steps, finish, and write the report."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from histokin.modality.folder import FILE
from histokin.training.pairs import PairSet
from histokin.training.report import FILE as REPORT
from histokin.training.report import Trained, Watch, plain, write_report


@runtime_checkable
class PairProfile(Protocol):
    """A frozen dataclass that says how to train."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def steps(self) -> int:
        """How many it takes."""


@runtime_checkable
class PairTraining(Protocol):
    """A training put together: its steps, and what comes out of it."""

    def task(self) -> Any:
        """The steps, from the start."""

    def finish(self, task: Any, outcome: Any, out: Path) -> dict[str, Any]:
        """Measure, draw and write what was trained."""


def train_pairs(
    kind: str,
    training: PairTraining,
    pairs: PairSet,
    out: Path,
    chosen: PairProfile,
    published: int | None,
    *,
    own: Mapping[str, Any],
    fits: bool,
    minutes: float | None,
    steps: int | None,
    seed: int,
    watch: Watch | None,
) -> Trained:
    """Train, or go on with the training that ``out`` holds, and write it with its report; what is finished is returned.

    Parameters
    ----------
    own : settings beside profile, steps, seed and pairs that make it another training.
    fits : plan no more steps than fit into ``minutes``.
    """
    from histokin.training.sitting import sit

    configuration = {
        "trainer": kind,
        "profile": asdict(chosen),
        "steps": steps,
        "seed": seed,
        "pairs": pairs.digest,
        **own,
    }
    done = _finished(out, configuration)
    if done is not None:
        return done
    task, outcome = sit(
        training.task,
        out,
        configuration,
        steps=steps,
        epochs_steps=chosen.steps,
        published=chosen.steps,
        fit_minutes=minutes if fits else None,
        minutes=minutes,
        seed=seed,
        watch=watch,
    )
    report: dict[str, Any] = {
        "kind": kind,
        "modalities": list(pairs.modalities),
        "profile": chosen.name,
        "steps": {"done": outcome.steps, "published": published},
        "configuration": configuration,
        "failed": [{"path": e.path, "reason": e.reason, "remedy": e.remedy} for e in pairs.failed],
    }
    report |= training.finish(task, outcome, out)
    write_report(out, report)
    return Trained(out, out / FILE, report)


def _finished(out: Path, configuration: Mapping[str, Any]) -> Trained | None:
    """The training that ``out`` holds, where it is this one and came to its end."""
    try:
        report = json.loads((out / REPORT).read_text(encoding="utf-8"))
        same = report["configuration"] == plain(configuration) and report["stopped"] == "finished"
    except (OSError, ValueError, KeyError, TypeError):
        return None
    there = all((folder / FILE).is_file() for folder in (out, out / "untrained"))
    return Trained(out, out / FILE, report) if same and there else None
