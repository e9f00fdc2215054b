"""Reinhard: mean and spread of each axis of a decorrelated color space, moved to the target's."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, final

import numpy as np

from histokin.errors import UsageError
from histokin.stain.base import Appearance
from histokin.stain.color_map import ColorMap, by_blocks
from histokin.stain.color_spaces import LAB, LAB8, SPACES, ColorSpace, Planes
from histokin.stain.masks import enough, luminosity_mask
from histokin.stain.options import DECIMALS, choice, numbers, refuse_if, space
from histokin.stain.pixels import Pixels, pool, read_image, rgb
from histokin.stain.unchanged import Unchanged
from histokin.types import RGB, ImageMap, Images, Status

WHITE_FROM, WHITE_TO = 80.0, 90.0
"""CIELAB lightness from which background fades out of the transfer, and from which it is left alone."""

USUAL = {"color_space": "lab", "statistics": "tissue", "background": "keep", "legacy_uint8_lab": False}

LEGACY = "lab-8bit"
AXES: dict[str, ColorSpace] = {**SPACES, LEGACY: LAB8}


@final
@dataclass(frozen=True)
class ColorStatistics:
    """Mean and population standard deviation of the three axes."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def to_dict(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "ColorStatistics":
        """Raises :class:`UsageError` when a part is missing or impossible."""
        for key in ("mean", "std"):
            if key not in stored:
                raise UsageError(f"the color statistics have no '{key}'", remedy='Give {"mean": [...], "std": [...]}')
        mean, std = numbers("mean", stored["mean"], 3), numbers("std", stored["std"], 3)
        if min(std) < 0:
            raise UsageError(f"std is {list(std)}", remedy="Give three numbers that are not negative")
        return cls((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))


DEFAULT_TARGETS = {
    "lab": ColorStatistics((45.9659, 29.6515, -12.9181), (17.9785, 12.1186, 9.7416)),
    "lalphabeta": ColorStatistics((-0.6731, -0.0723, 0.0263), (0.3780, 0.0838, 0.0205)),
}
"""Tissue of OpenSlide's public-domain (CC0) test slide CMU-1-Small-Region.svs, all of level 0 below the luminosity
threshold, to four decimals."""

LEAST_STD = {"lab": (1.0, 0.5), LEGACY: (1.0, 0.5), "lalphabeta": (0.005, 0.001)}
"""Spread of lightness, and of the two color axes together, below which there is nothing to transfer."""


def color_statistics(pixels: Pixels, color_space: str = "lab") -> ColorStatistics:
    """Statistics of pixels "n 3", accumulated in 64-bit floats."""
    planes = [plane.astype(np.float64) for plane in AXES[color_space].forward(pixels.reshape(-1, 1, 3))]
    mean = [round(float(plane.mean()), DECIMALS) for plane in planes]
    std = [round(float(plane.std()), DECIMALS) for plane in planes]
    return ColorStatistics((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))


@final
@dataclass(frozen=True, eq=False)
class ReinhardMap(ColorMap):
    """``x' = (x - source mean) · target std / source std + target mean`` on each axis.

    With ``keep_background`` the transfer fades out between lightness 80 and 90 and leaves brighter pixels as
    they are: white glass has the color of the lamp, not of the stain, and moved along with the stain it would
    turn green or pink.
    """

    name: str
    color_space: str
    source: ColorStatistics
    target: ColorStatistics
    keep_background: bool = True

    @property
    def space(self) -> str:
        return self.name

    def colors(self, image: RGB) -> RGB:
        return by_blocks(image, self._strip)

    def _strip(self, pixels: RGB) -> RGB:
        axes = AXES[self.color_space]
        before = axes.forward(pixels)
        after = self.transfer(before)
        if self.keep_background:
            light = before[0] if axes is LAB else LAB.lightness(pixels)
            share = np.clip((np.float32(WHITE_TO) - light) / np.float32(WHITE_TO - WHITE_FROM), 0, 1)
            x, y, z = (old + share * (new - old) for old, new in zip(before, after, strict=True))
            return axes.inverse((x, y, z))
        return axes.inverse(after)

    def transfer(self, planes: Planes) -> Planes:
        """The formula itself, before clipping. An axis without spread goes to the target's mean."""
        moved = []
        for plane, m, s, m_to, s_to in zip(
            planes, self.source.mean, self.source.std, self.target.mean, self.target.std, strict=True
        ):
            gain = s_to / s if s > 1e-5 else 0.0
            moved.append(plane * np.float32(gain) + np.float32(m_to - m * gain))
        x, y, z = moved
        return x, y, z

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": "reinhard",
            "space": self.name,
            "color_space": self.color_space,
            "source": self.source.to_dict(),
            "target": self.target.to_dict(),
            "keep_background": self.keep_background,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "ReinhardMap":
        """The map that :meth:`to_dict` described; same bytes out."""
        source, target = (ColorStatistics.from_dict(stored[key]) for key in ("source", "target"))
        axes = choice("color_space", stored["color_space"], tuple(AXES))
        return cls(stored["space"], axes, source, target, bool(stored["keep_background"]))


@final
class Reinhard(Appearance):
    """Reinhard's color transfer, for tissue.

    Patches hold more or less glass; statistics over all pixels would follow how much, not how it is stained.
    So they are taken over tissue pixels, and background is kept. ``statistics="all", background="transfer"``
    is the plain method, as torchstain has it.

    Parameters
    ----------
    target : RGB array, image path, ``{"mean", "std"}`` in the color space, or None for
        :data:`DEFAULT_TARGETS`.
    color_space : ``lab`` (CIELAB) or ``lalphabeta`` (the original paper's).
    statistics : ``tissue`` or ``all`` pixels, of source and target.
    background : ``keep`` or ``transfer``.
    strict : raise :class:`~histokin.errors.DegenerateStain` for a source without color to transfer.
    legacy_uint8_lab : through 8-bit CIELAB, both ways, as StainTools does: one to two grey levels are lost.

    Source: E. Reinhard et al., Color transfer between images, IEEE CG&A 2001, equations 10 and 11.
    """

    name = "reinhard"

    def __init__(
        self,
        target: object = None,
        *,
        color_space: str = "lab",
        statistics: str = "tissue",
        background: str = "keep",
        strict: bool = False,
        legacy_uint8_lab: bool = False,
    ) -> None:
        self._strict = strict
        self._options: dict[str, Any] = {
            "color_space": choice("color_space", color_space, tuple(SPACES)),
            "statistics": choice("statistics", statistics, ("tissue", "all")),
            "background": choice("background", background, ("keep", "transfer")),
            "legacy_uint8_lab": bool(legacy_uint8_lab),
        }
        if legacy_uint8_lab and color_space != "lab":
            raise UsageError("legacy_uint8_lab goes with CIELAB only", remedy="Leave it out, or leave color_space out")
        self._axes = LEGACY if legacy_uint8_lab else color_space
        self.target = self._target_of(target)

    def _target_of(self, target: object) -> ColorStatistics:
        if target is None:
            return DEFAULT_TARGETS[self._options["color_space"]]
        if isinstance(target, Mapping):
            return ColorStatistics.from_dict(target)
        path = Path(target) if isinstance(target, (str, PathLike)) else None
        found = self._statistics_of([read_image(path) if path else rgb(target)])
        if isinstance(found, Status):
            raise UsageError(
                f"the target image has no colors to take over: {found.reason}",
                path=path,
                remedy="Choose an image full of stained tissue",
            )
        return found

    def _statistics_of(self, images: Images) -> ColorStatistics | Status:
        pixels = pool(images)
        tissue = luminosity_mask(pixels)
        status = enough(int(tissue.sum()))
        if not status.ok:
            return status
        color_space = self._axes
        found = color_statistics(pixels if self._options["statistics"] == "all" else pixels[tissue], color_space)
        light, color = LEAST_STD[color_space]
        if found.std[0] < light or np.hypot(*found.std[1:]) < color:
            return Status("unchanged", "all tissue has one color, or no color, so there is nothing to transfer")
        return found

    @property
    def space(self) -> str:
        return space(self.name, self.target.to_dict(), self._options, USUAL)

    def fit(self, images: Images) -> ImageMap:
        source = self._statistics_of(images)
        if isinstance(source, Status):
            refuse_if(self._strict, source)
            return Unchanged(self.space, source)
        keep = self._options["background"] == "keep"
        return ReinhardMap(self.space, self._axes, source, self.target, keep)

    def to_dict(self) -> dict[str, Any]:
        options = {**self._options, "strict": self._strict}
        return {"name": self.name, "options": options, "target": self.target.to_dict()}
