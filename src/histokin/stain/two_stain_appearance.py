"""What every two-stain normalizer does alike: its target, its space, its fit and its description."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

from histokin.errors import UsageError
from histokin.stain.base import Appearance
from histokin.stain.options import refuse_if, space
from histokin.stain.pixels import pool, read_image, rgb
from histokin.stain.two_stain import StainModel, TwoStainFit
from histokin.types import ImageMap, Images, Status


class TwoStainAppearance(Appearance):
    """A method that finds two stains. A subclass checks its options and says how to look (:class:`TwoStainFit`).

    Parameters
    ----------
    target : RGB array, image path, list of RGB arrays (fitted together), ``{"hematoxylin", "eosin", "p99"}``, or
        None for :attr:`DEFAULT`.
    fit : how the method looks at a source, and at a target image.
    options : every option by name, as :meth:`to_dict` shall give it; ``strict`` apart.
    """

    USUAL: ClassVar[Mapping[str, Any]]
    """The options' defaults: what equals them stays out of the digest."""

    DEFAULT: ClassVar[StainModel]
    """The target where none is given."""

    def __init__(self, target: object, fit: TwoStainFit, options: Mapping[str, Any], *, strict: bool) -> None:
        self._fit, self._options, self._strict = fit, dict(options), strict
        self.target = self._model_of(target)

    def _model_of(self, target: object) -> StainModel:
        if target is None:
            return self.DEFAULT
        if isinstance(target, Mapping):
            return StainModel.from_dict(target)
        path = Path(target) if isinstance(target, (str, PathLike)) else None
        images = target if isinstance(target, (list, tuple)) else [read_image(path) if path else rgb(target)]
        model = self._fit.model(pool(images))
        if isinstance(model, Status):
            raise UsageError(
                f"the target image has no two stains to take over: {model.reason}",
                path=path,
                remedy="Choose an image full of tissue that shows both stains",
            )
        return model

    @property
    def space(self) -> str:
        return space(self.name, self.target.to_dict(), self._options, self.USUAL)

    def fit(self, images: Images) -> ImageMap:
        fitted = self._fit.fit(images, self.space, self.target)
        refuse_if(self._strict, fitted.status)
        return fitted

    def to_dict(self) -> dict[str, Any]:
        options = {**self._options, "strict": self._strict}
        return {"name": self.name, "options": options, "target": self.target.to_dict()}
