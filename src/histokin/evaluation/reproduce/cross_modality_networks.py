"""The trained models of the cross-modality page: per fold, each beside its untrained copy, within the minutes given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, final

from histokin.errors import HistokinError, UsageError
from histokin.evaluation.cross_modality.folds import Fold
from histokin.evaluation.cross_modality.subjects import Subjects
from histokin.evaluation.reproduce.cross_modality_pool import each, processes_for
from histokin.evaluation.reproduce.run import Run
from histokin.nets.comir_shape import DenseUnetShape
from histokin.training.report import Trained, require_torch

WEIGHT = {"comir": 5.0, "placenet": 5.0, "pix2pix": 3.0, "cyclegan": 3.0, "tc-net": 3.0}
"""How the minutes are shared among trainings of one set."""

LONGEST = 20.0
"""Minutes of one training at most."""

SEEDS = (0, 1, 2)
MANY = ("comir", "placenet")
"""These are trained with all seeds on the first fold; other folds and methods have the first seed."""

QUICK_STEPS = 2
TINY: dict[str, dict[str, Any]] = {
    "comir": {
        "shape": DenseUnetShape(4, 2, (1, 1), 1, (1, 1), 0.75, 0.0),
        "shrink": 2,
        "crop": 32,
        "pairs": 2,
        "together": 1,
    },
    "placenet": {"crop": 64, "pairs": 2, "parts": (8, 12), "width": 4},
    "pix2pix": {"width": 4, "depth": 5, "crop": 32, "batch": 1},
    "cyclegan": {"width": 4, "depth": 1, "crop": 32, "batch": 1},
    "tc-net": {"side": 32, "features": 8, "batch": 2},
}
"""Changes to the reduced profiles that make them tiny."""

AERIAL = {"rgb", "nir"}
"""Modalities of the aerial photographs."""

Key = tuple[str, str, int]
"""Method, fold, seed."""


@final
@dataclass(frozen=True)
class Model:
    """A trained model: its folder, which holds an ``untrained`` copy, and the report of its training."""

    method: str
    fold: str
    seed: int
    folder: Path
    report: Mapping[str, Any]

    @property
    def untrained(self) -> Path:
        """Folder of the copy that was never trained."""
        return self.folder / "untrained"

    @property
    def steps(self) -> str:
        """Steps done / published, and the profile."""
        steps = self.report["steps"]
        published = f"{steps['published']:,}" if steps.get("published") else "?"
        return f"{steps['done']:,} / {published} ({self.profile})"

    @property
    def profile(self) -> str:
        """Name of the profile."""
        given = self.report.get("profile") or self.report.get("configuration", {}).get("profile", {})
        return str(given.get("name", "?") if isinstance(given, Mapping) else given)


@final
@dataclass(frozen=True)
class Models:
    """All trained models by (method, fold, seed); ``absent`` says of those that are not there why."""

    found: Mapping[Key, Model]
    absent: Mapping[str, str]

    def of(self, method: str, fold: Fold, seed: int = 0) -> Model | None:
        """One of them."""
        return self.found.get((method, fold.name, seed))


def wanted(subjects: Subjects, methods: Sequence[str], seeds: Sequence[int] = SEEDS) -> list[tuple[str, Fold, int]]:
    """Every training: CoMIR and PlaceNet on the first fold with all seeds, everything else with one."""
    jobs = [(method, fold, 0) for method in methods for fold in subjects.folds]
    jobs += [(name, subjects.folds[0], seed) for seed in seeds[1:] for name in MANY if name in methods]
    return jobs


def minutes_of(jobs: Sequence[tuple[str, Fold, int]], minutes: float | int) -> dict[str, float]:
    """Minutes of one training of each method, so that all together take ``minutes``."""
    whole = sum(WEIGHT[_base(method)] for method, _, _ in jobs)
    return {method: min(LONGEST, minutes * WEIGHT[_base(method)] / whole) for method, _, _ in jobs} if whole else {}


def train_models(
    run: Run, subjects: Subjects, methods: Sequence[str], minutes: float | int, seeds: Sequence[int] = SEEDS
) -> Models:
    """Train all of them on all processors, or go on; a training that is done is taken as it is.

    Weights go to ``out/networks/SET/fold-N/METHOD-seed-S``. What cannot be trained is left out, with the reason.
    """
    try:
        require_torch()
    except UsageError as error:
        return Models({}, dict.fromkeys(methods, error.reason))
    jobs = wanted(subjects, methods, seeds)
    processes = 1 if _gpu() else processes_for(run, len(jobs))
    own = minutes_of(jobs, minutes * processes)
    shared = [(method, fold, seed, own[method]) for method, fold, seed in jobs]
    found: dict[Key, Model] = {}
    absent: dict[str, str] = {}
    for (method, fold, seed, _), made in each(run, subjects, shared, train_one, processes):
        if isinstance(made, Model):
            found[method, fold.name, seed] = made
        else:
            absent[f"{method}, fold {fold.name}"] = made
            run.say(f"{subjects.name}, fold {fold.name}: {method} is left out: {made}")
    order = {(method, fold.name, seed): place for place, (method, fold, seed) in enumerate(jobs)}
    return Models(dict(sorted(found.items(), key=lambda item: order[item[0]])), absent)


def train_one(run: Run, subjects: Subjects, job: tuple[str, Fold, int, float]) -> Model | str:
    """One training on the pairs of a fold, within its minutes: the model, or why there is none."""
    method, fold, seed, minutes = job
    title = f"{subjects.name}, fold {fold.name}: {method}" + (f" (seed {seed})" if seed else "")
    run.say(f"{title}, {minutes:.1f} min at most")
    options: dict[str, Any] = {
        "profile": profile_of(run, subjects, method),
        "minutes": None if run.quick else float(minutes),
        "steps": QUICK_STEPS if run.quick else None,
        "seed": seed,
        "watch": run.teller(title),
    }
    name = _base(method).replace("-", "_")
    if name == "tc_net":
        options["anchor"] = method.removeprefix("tc-net-")
    folder = run.out / "networks" / subjects.slug / f"fold-{fold.name}" / f"{method}-seed-{seed}"
    train = getattr(import_module(f"histokin.training.{name}"), f"train_{name}")
    try:
        trained: Trained = train(subjects.training(fold), folder, **options)
    except HistokinError as error:
        return str(error)
    return Model(method, fold.name, seed, folder, trained.report)


def profile_of(run: Run, subjects: Subjects, method: str) -> Any:
    """Tiny where the run is quick; the paper's on a GPU, or for aerial photographs; reduced otherwise."""
    kind = _base(method)
    module = import_module(f"histokin.training.{kind.replace('-', '_')}")
    if run.quick:
        return replace(module.PROFILES["reduced"], **TINY[kind])
    if kind == "comir" and set(subjects.modalities) == AERIAL:
        return "aerial"
    return "paper" if _gpu() and "paper" in module.PROFILES else "reduced"


def _gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def tc_nets(subjects: Subjects) -> tuple[str, str]:
    """Both TC-Nets by name, with anchors of the first and of the second modality."""
    first, second = subjects.modalities
    return f"tc-net-{first}", f"tc-net-{second}"


def _base(method: str) -> str:
    return "tc-net" if method.startswith("tc-net") else method
