"""CycleGAN: two networks that learned from unpaired images to draw either modality as the other.

Source: J.-Y. Zhu et al., Unpaired image-to-image translation using cycle-consistent adversarial networks, ICCV 2017.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from histokin.modality.base import Representation
from histokin.modality.folder import TrainedFolder, read_folder
from histokin.modality.translation import direction, translation_map
from histokin.types import ImageMap


@final
class CycleGAN(Representation):
    """The other modality translated to ``towards``, whose own images only take the scale of the training images.

    Parameters
    ----------
    path : the folder that ``histokin train cyclegan`` wrote.
    towards : the modality whose look is given to the other one's images.
    digest : what the folder's digest must be; None takes it as it is.

    Raises
    ------
    UsageError
        when the folder has no network towards that modality.
    UnreadableFile, UnsupportedFormat, NotComparable
        for a folder that cannot be used, or has changed.
    """

    name = "cyclegan"

    def __init__(self, path: str | Path, towards: str, digest: str | None = None) -> None:
        self.path = Path(path).expanduser().absolute()
        self.trained: TrainedFolder = read_folder(self.path, self.name, digest)
        self.towards = direction(self.trained, towards, self.path)

    @property
    def space(self) -> str:
        return f"{self.name}-{self.towards}@{self.trained.digest(self.towards)}"

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.trained.modalities

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.trained.facts

    def _map(self, modality: str) -> ImageMap:
        return translation_map(self.space, self.trained, self.towards, modality, self.path, self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        options = {"path": str(self.path), "towards": self.towards, "digest": self.trained.digest()}
        return {"name": self.name, "options": options}
