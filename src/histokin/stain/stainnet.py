"""StainNet: a small network that learned to recolor one source style, run without PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

from histokin.errors import UsageError
from histokin.nets.stainnet import StainNetWeights, read_stainnet
from histokin.nets.stainnet_run import StainNetRunner
from histokin.stain.base import Appearance
from histokin.stain.color_map import ColorMap
from histokin.stain.options import space
from histokin.stain.pixels import rgb
from histokin.stain.styles import ANY, UNTOUCHED, StyleSets, file_of
from histokin.stain.unchanged import Unchanged
from histokin.types import RGB, Image, ImageMap, Images, Status

USUAL = {"legacy_truncate": False}


@final
@dataclass(frozen=True, eq=False)
class StainNetMap(ColorMap):
    """A StainNet of 1x1 convolutions: each pixel by its color alone, so all colors fit in one table.

    ``truncate`` cuts the fraction of a grey level off instead of rounding, as the published code does.
    """

    name: str
    weights: StainNetWeights
    truncate: bool = False

    @property
    def space(self) -> str:
        return self.name

    @property
    def cache_key(self) -> str | None:
        """Names the table of all colors: the same numbers give the same bytes on every computer."""
        return f"stainnet-{self.weights.digest}{'-truncated' if self.truncate else ''}"

    @cached_property
    def _runner(self) -> StainNetRunner:
        return StainNetRunner(self.weights)

    def colors(self, image: RGB) -> RGB:
        return self._runner.colors(image, truncate=self.truncate)

    def to_dict(self) -> dict[str, Any]:
        return _described(self.name, self.weights, self.truncate)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> ImageMap:
        """The map that :meth:`to_dict` described, of either kind; same bytes out."""
        return stainnet_map(stored["space"], StainNetWeights.from_dict(stored["weights"]), bool(stored["truncate"]))


@final
@dataclass(frozen=True, eq=False)
class NeighborStainNetMap(ImageMap):
    """A StainNet with a convolution larger than 1x1: a pixel's answer depends on its neighbors, so no table holds it.

    Beyond the edges of the image the network sees mid-grey (zeros), as it did in training.
    """

    name: str
    weights: StainNetWeights
    truncate: bool = False

    @property
    def space(self) -> str:
        return self.name

    @property
    def looks_around(self) -> bool:
        return True

    @cached_property
    def _runner(self) -> StainNetRunner:
        return StainNetRunner(self.weights)

    def apply(self, image: Image) -> tuple[Image, Status]:
        """The mapped image. Raises :class:`UsageError` unless ``uint8``, "h w 3"."""
        return self._runner.colors(rgb(image), truncate=self.truncate), Status()

    def to_dict(self) -> dict[str, Any]:
        return _described(self.name, self.weights, self.truncate)


def stainnet_map(name: str, weights: StainNetWeights, truncate: bool = False) -> ImageMap:
    """The map of a StainNet into the space ``name``: by color where all its convolutions are 1x1."""
    kind = StainNetMap if weights.pointwise else NeighborStainNetMap
    return kind(name, weights, truncate)


def _described(name: str, weights: StainNetWeights, truncate: bool) -> dict[str, Any]:
    return {"method": "stainnet", "space": name, "weights": weights.to_dict(), "truncate": truncate}


@final
class StainNet(Appearance):
    """StainNet with trained weights; what is shown to :meth:`fit` changes nothing.

    One network recolors one source style. Weights of several styles that were trained towards the same target
    lead into one space. The descriptions that an archive keeps hold the numbers themselves: it needs no file.

    Parameters
    ----------
    target : None; the weights hold the target.
    weights : a file (safetensors of ours, or a published checkpoint) or
        :class:`~histokin.nets.stainnet.StainNetWeights` for every source, or a mapping from style (``centre``) to
        one of these, or to "none" for a style that looks like the target and stays as it is.
    style : the style at hand, where there are several; :meth:`for_style` is the usual way to set it.
    legacy_truncate : cut to 8 bits as the published code does, half a grey level darker on average.

    Raises
    ------
    UsageError
        without weights, or with a target.
    UnreadableFile, UnsupportedFormat
        for a weight file that cannot be used.
    MissingStyle
        when ``style`` has no weights; by :meth:`fit`, when there are several and none was chosen.

    Source: H. Kang et al., StainNet: a fast and robust stain normalization network, Frontiers in Medicine 2021.
    """

    name = "stainnet"
    looks_at_source = False

    def __init__(
        self,
        target: object = None,
        *,
        weights: object = None,
        style: str | None = None,
        legacy_truncate: bool = False,
    ) -> None:
        if target is not None:
            raise UsageError(
                "stainnet takes no target: its weights were trained towards one",
                remedy="Leave the target out, or train weights towards it with `histokin train stainnet`",
            )
        self._sets = StyleSets.of(self.name, weights, _read, style)
        self._truncate = bool(legacy_truncate)
        untouched: ImageMap = Unchanged(self.space)
        self._maps = self._sets.each(lambda found: stainnet_map(self.space, found, self._truncate), untouched)

    @property
    def space(self) -> str:
        digests = self._sets.each(lambda found: found.digest, UNTOUCHED)
        return space(self.name, {"weights": digests}, {"legacy_truncate": self._truncate}, USUAL)

    def for_style(self, style: str | None) -> Appearance:
        sets = self._sets.choose(style)
        if sets.style == self._sets.style or ANY in sets.sets:
            return self
        return StainNet(weights=sets.sets, style=sets.style, legacy_truncate=self._truncate)

    def fit(self, images: Images) -> ImageMap:
        for image in images:
            rgb(image)
        return self._maps[self._sets.key]

    def to_dict(self) -> dict[str, Any]:
        return self._dict(self._sets.each(lambda found: found.to_dict(), UNTOUCHED))

    def describe(self) -> dict[str, Any]:
        """As :meth:`to_dict`, with the digest and origin of the weights in place of their numbers."""
        return self._dict(self._sets.each(_origin, UNTOUCHED))

    def _dict(self, weights: Mapping[str, object]) -> dict[str, Any]:
        options = {"weights": dict(weights), "style": self._sets.style, "legacy_truncate": self._truncate}
        return {"name": self.name, "options": options, "target": None}


def _origin(found: StainNetWeights) -> dict[str, Any]:
    return {"digest": found.digest, "parameters": found.parameters, "metadata": dict(found.metadata)}


def _read(source: object) -> StainNetWeights:
    if isinstance(source, StainNetWeights):
        return source
    if isinstance(source, Mapping):
        return StainNetWeights.from_dict(source)
    return read_stainnet(file_of(StainNet.name, source))
