"""The contract of every cross-modality representation: a map for each modality into one space."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from histokin.errors import UsageError
from histokin.types import ImageMap


class Representation(ABC):
    """A named space and, for each of its modalities, the map of that modality's images into it.

    The constructor takes the trained folder and options only. Maps take ``uint8``, ``uint16`` (0 to 65535) or
    ``float32`` (0 to 1) images "h w 1" or "h w 3", both sides at least 32 pixels, and return ``uint8`` "h w c" of the
    same height and width, c 1 or 3. Color is averaged where a modality has one channel, gray repeated where it has
    three. Maps may be shared between threads.
    """

    name: str

    @property
    @abstractmethod
    def space(self) -> str:
        """The space that all maps lead to; it holds the method and the digest of all that was trained."""

    @property
    @abstractmethod
    def modalities(self) -> tuple[str, ...]:
        """The modalities there are maps for, such as ("brightfield", "shg")."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is known about the training: profile, seed, ``steps`` done and published; empty where nothing is."""
        return {}

    def map(self, modality: str) -> ImageMap:
        """The map of one modality. Raises :class:`UsageError` for one it does not have; names those it has."""
        if modality not in self.modalities:
            raise UsageError(
                f"{self.name} has no map for images of modality '{modality}'",
                remedy=f"Choose one of: {', '.join(self.modalities)}",
            )
        return self._map(modality)

    @abstractmethod
    def _map(self, modality: str) -> ImageMap:
        """The map of one of :attr:`modalities`."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: ``{"name": ..., "options": {...}}``."""
