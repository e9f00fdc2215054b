"""No representation: images as they are, for comparison."""

from dataclasses import dataclass
from typing import Any, final

from histokin.modality.base import Representation
from histokin.modality.pixels import to_bytes, unit_values
from histokin.types import Image, ImageInput, ImageMap, Mapped, Status

MODALITIES = ("brightfield", "shg")


@final
@dataclass(frozen=True)
class RawMap(ImageMap):
    """Gives back 8-bit images as they are, and others scaled to 8 bits."""

    modality: str

    @property
    def space(self) -> str:
        return "raw"

    @property
    def input(self) -> ImageInput:
        return ImageInput(channels=1 if self.modality == "shg" else 3, modality=self.modality)

    def apply(self, image: Image) -> tuple[Mapped, Status]:
        """The image, 8-bit. Raises :class:`UsageError` for what no representation takes."""
        values = unit_values(image, image.shape[2] if image.ndim == 3 else 1)
        return (image if image.dtype.name == "uint8" else to_bytes(values, 0, 1)), Status()

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": "representation",
            "representation": NoRepresentation((self.modality,)).to_dict(),
            "modality": self.modality,
        }


@final
class NoRepresentation(Representation):
    """Leaves images of any two modalities as they are: what a learned representation has to beat.

    Parameters
    ----------
    modalities : their names.
    """

    name = "none"

    def __init__(self, modalities: tuple[str, ...] | list[str] = MODALITIES) -> None:
        self._modalities = tuple(modalities)

    @property
    def space(self) -> str:
        return "raw"

    @property
    def modalities(self) -> tuple[str, ...]:
        return self._modalities

    def _map(self, modality: str) -> ImageMap:
        return RawMap(modality)

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "options": {"modalities": list(self._modalities)}}
