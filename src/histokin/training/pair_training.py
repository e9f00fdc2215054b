"""What trainers on aligned pairs of images do alike."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from histokin.modality.folder import FILE
from histokin.training.course import Training, train
from histokin.training.length import Length
from histokin.training.pairs import PairSet
from histokin.training.report import Trained, Watch


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


def train_pairs(
    kind: str,
    training: Training,
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
    configuration = {
        "trainer": kind,
        "profile": asdict(chosen),
        "steps": steps,
        "seed": seed,
        "pairs": pairs.digest,
        **own,
    }
    about = {
        "kind": kind,
        "modalities": list(pairs.modalities),
        "profile": chosen.name,
        "failed": [e.to_dict() for e in pairs.failed],
    }
    return train(
        training,
        out,
        configuration,
        Length(steps, chosen.steps, chosen.steps, minutes if fits else None, minutes),
        about,
        published=published,
        products=(FILE, f"untrained/{FILE}"),
        seed=seed,
        watch=watch,
    )
