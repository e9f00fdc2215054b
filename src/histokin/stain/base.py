"""The contract of every stain normalizer: ``Appearance.fit(images) -> ImageMap``."""

from abc import ABC, abstractmethod
from typing import Any

from histokin.types import ImageMap, Images


class Appearance(ABC):
    """Takes out a difference that does not matter (stain, scanner, microscope).

    The constructor takes the target (or weights) and hyper-parameters only. :meth:`fit` sees the SOURCE: a
    sample of one slide, of one folder, or one image. What it returns maps that source into :attr:`space`.
    """

    name: str

    looks_at_source: bool = True
    """False where :meth:`fit` gives the same map whatever it is shown: nobody need read a sample for it."""

    @property
    @abstractmethod
    def space(self) -> str:
        """Name of the space all fitted maps lead to; it holds the method and the digest of the target."""

    def for_style(self, style: str | None) -> "Appearance":
        """The appearance for sources of one style (the laboratory or scanner of the ``centre`` column; None: unknown).

        Methods that learn everything from the source are one for all styles: themselves. Trained ones choose
        their weights; the space stays the same.

        Raises
        ------
        MissingStyle
            when there are no weights for this style; names those there are.
        """
        return self

    @abstractmethod
    def fit(self, images: Images) -> ImageMap:
        """The map for this source. Degenerate sources give a map that returns its input with a status.

        Parameters
        ----------
        images : sequence of ``uint8`` RGB arrays, "h w 3"; sizes may differ. Never written to.

        Raises
        ------
        DegenerateStain
            only when constructed with ``strict=True``.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: ``{"name": ..., "options": {...}, "target": {...}}``."""

    def describe(self) -> dict[str, Any]:
        """:meth:`to_dict` for people to read: long numbers may be given by their digest."""
        return self.to_dict()
