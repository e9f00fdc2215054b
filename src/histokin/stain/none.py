"""No normalization: the space of images as they are."""

from typing import Any, final

from histokin.errors import UsageError
from histokin.stain.base import Appearance
from histokin.stain.pixels import rgb
from histokin.stain.unchanged import Unchanged
from histokin.types import ImageMap, Images


@final
class NoNormalizer(Appearance):
    """Leaves every image as it is. Takes no target."""

    name = "none"
    looks_at_source = False

    def __init__(self, target: object = None) -> None:
        if target is not None:
            raise UsageError("'none' takes no target", remedy="Choose macenko or reinhard, or leave the target out")

    @property
    def space(self) -> str:
        return "raw"

    def fit(self, images: Images) -> ImageMap:
        for image in images:
            rgb(image)
        return Unchanged("raw")

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "options": {}, "target": None}
