"""The map that gives back what it is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from histokin.stain.pixels import rgb
from histokin.types import Image, ImageMap, Status

OK = Status()


@final
@dataclass(frozen=True)
class Unchanged(ImageMap):
    """Returns the image itself: the map of ``none``, and of a source that has no stain to estimate.

    ``outcome`` is ``ok`` for ``none`` and ``unchanged`` with the reason otherwise.
    """

    name: str
    outcome: Status = OK

    @property
    def space(self) -> str:
        return self.name

    @property
    def status(self) -> Status:
        return self.outcome

    def apply(self, image: Image) -> tuple[Image, Status]:
        return rgb(image), self.outcome

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": "unchanged",
            "space": self.name,
            "code": self.outcome.code,
            "reason": self.outcome.reason,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Unchanged":
        """The map that :meth:`to_dict` described."""
        return cls(stored["space"], Status(stored["code"], stored["reason"]))
