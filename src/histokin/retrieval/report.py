"""What an indexing run did: every input accounted for."""

from dataclasses import dataclass, field
from typing import Any, Protocol, final, runtime_checkable

from histokin.errors import HistokinError


@final
@dataclass(frozen=True)
class Failure:
    """An input that was not indexed, why, and what to do about it."""

    path: str
    reason: str
    remedy: str

    @classmethod
    def of(cls, error: HistokinError, path: str) -> "Failure":
        """The failure that an error tells of."""
        return cls(error.path or path, error.reason, error.remedy)

    def to_dict(self) -> dict[str, str]:
        """JSON-ready: path, reason and remedy."""
        return {"path": self.path, "reason": self.reason, "remedy": self.remedy}


@final
@dataclass
class IndexReport:
    """Counts of one run. ``slides`` and ``patches`` were added by it; a loose image counts as one slide."""

    slides: int = 0
    patches: int = 0
    failed: list[Failure] = field(default_factory=list)
    unchanged: int = 0
    relinked: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def fail(self, error: HistokinError, path: str) -> None:
        """Record an input that could not be used; one that is both named and found in a folder, once."""
        failure = Failure.of(error, path)
        if failure not in self.failed:
            self.failed.append(failure)

    def count(self, counts: dict[str, int]) -> None:
        """Add per-slide counts (grid places, background, pen, fold, blur, bad, kept)."""
        for key, value in counts.items():
            self.counts[key] = self.counts.get(key, 0) + value

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON form."""
        return {
            "slides": self.slides,
            "patches": self.patches,
            "failed": [f.to_dict() for f in self.failed],
            "unchanged": self.unchanged,
            "relinked": self.relinked,
            "changed": self.changed,
            "ignored": self.ignored,
            "warnings": self.warnings,
            "counts": self.counts,
            "seconds": round(self.seconds, 2),
        }


@runtime_checkable
class Progress(Protocol):
    """Told how a run goes on."""

    def start(self, items: int) -> None:
        """So many slides and images lie ahead."""

    def begin(self, name: str, patches: int) -> None:
        """A slide or a batch of images starts."""

    def advance(self, patches: int) -> None:
        """So many patches are encoded."""

    def finish(self, name: str, items: int, outcome: str) -> None:
        """A slide, or so many images, are done."""


@final
class Silent:
    """Progress for those who do not watch."""

    def start(self, items: int) -> None:
        """Say nothing."""

    def begin(self, name: str, patches: int) -> None:
        """Say nothing."""

    def advance(self, patches: int) -> None:
        """Say nothing."""

    def finish(self, name: str, items: int, outcome: str) -> None:
        """Say nothing."""
