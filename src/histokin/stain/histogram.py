"""Histogram matching: each channel's distribution of grey levels is made the target's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32, Float64

from histokin.errors import UsageError
from histokin.stain.base import Appearance
from histokin.stain.color_map import ColorMap, by_blocks
from histokin.stain.color_spaces import LAB
from histokin.stain.masks import enough, luminosity_mask
from histokin.stain.optical_density import OpticalDensity
from histokin.stain.options import DECIMALS, choice, number, refuse_if, space
from histokin.stain.pixels import Pixels, pool, read_image, rgb
from histokin.stain.reinhard import WHITE_FROM, WHITE_TO
from histokin.stain.two_stain import one_direction
from histokin.stain.unchanged import Unchanged
from histokin.types import RGB, ImageMap, Images, Status

CHANNELS = ("red", "green", "blue")

USUAL = {"statistics": "tissue", "background": "keep"}

DEFAULT_PERCENTILES = (
    (0, 43, 64, 81, 97, 111, 122, 131, 140, 149, 156, 164, 171, 178, 184, 191, 197, 205, 213, 224, 255),
    (0, 20, 32, 44, 53, 60, 66, 72, 77, 82, 88, 94, 100, 106, 113, 121, 131, 141, 154, 169, 219),
    (0, 60, 77, 90, 99, 107, 113, 118, 123, 128, 133, 138, 144, 149, 155, 161, 168, 176, 185, 196, 255),
)
"""Every fifth percentile of red, green and blue, 0 to 100, in the tissue of OpenSlide's public-domain (CC0) test slide
CMU-1-Small-Region.svs, all of level 0 below the luminosity threshold."""

COUNTED = 1_000_000
"""Pixels that the default target stands for."""


@final
@dataclass(frozen=True)
class Histograms:
    """How many pixels have each of the 256 levels, for red, green and blue."""

    counts: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, pixels: Pixels) -> "Histograms":
        return cls(tuple(tuple(np.bincount(channel, minlength=256).tolist()) for channel in pixels.T))

    @classmethod
    def from_percentiles(cls, percentiles: tuple[tuple[int, ...], ...]) -> "Histograms":
        """Histograms with these evenly spaced percentiles, straight between them."""
        counts = []
        for knots in percentiles:
            share = np.interp(np.arange(256), knots, np.linspace(0, 1, len(knots)))
            counts.append(tuple(np.diff(np.rint(COUNTED * share), prepend=0).astype(int).tolist()))
        return cls(tuple(counts))

    def to_dict(self) -> dict[str, Any]:
        return {name: list(counts) for name, counts in zip(CHANNELS, self.counts, strict=True)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Histograms":
        """Raises :class:`UsageError` when a channel is missing, or does not hold 256 counts."""
        counts = []
        for name in CHANNELS:
            levels = stored.get(name)
            if not isinstance(levels, (list, tuple)) or not _are_counts(levels):
                raise UsageError(
                    f"the histograms have no 256 counts for '{name}'",
                    remedy='Give {"red": [...], "green": [...], "blue": [...]}, the number of pixels of each level',
                )
            counts.append(tuple(levels))
        return cls(tuple(counts))


def _are_counts(levels: Sequence[object]) -> bool:
    return len(levels) == 256 and all(type(n) is int and n >= 0 for n in levels) and any(levels)


def matching(source: tuple[int, ...], target: tuple[int, ...]) -> Float64[np.ndarray, "256"]:
    """The level, with a fraction, that each level of one channel goes to.

    That is where the target's cumulative share of pixels, linear between the levels that occur in it, equals the
    source's. scikit-image's ``match_histograms`` gives the same numbers for levels that occur in the source, and
    then cuts the fraction off. Levels that do not occur are set in line with their neighbors, black and white
    standing for themselves at the ends, so that a map fitted on a sample is smooth on the rest.
    """
    levels, onto = np.flatnonzero(source), np.flatnonzero(target)
    shares = np.cumsum(np.array(target)[onto]) / sum(target)
    moved = np.interp(np.cumsum(np.array(source)[levels]) / sum(source), shares, onto)
    black = () if levels[0] == 0 else (0,)
    white = () if levels[-1] == 255 else (255,)
    return np.asarray(np.interp(np.arange(256), [*black, *levels, *white], [*black, *moved, *white]))


@final
@dataclass(frozen=True, eq=False)
class HistogramMap(ColorMap):
    """A table of 256 for each channel (rows red, green, blue), applied to each channel by itself.

    With ``keep_background`` the change fades out between lightness 80 and 90, and brighter pixels stay as they
    are, as in :class:`~histokin.stain.reinhard.ReinhardMap`.
    """

    name: str
    tables: Float64[np.ndarray, "3 256"]
    keep_background: bool = True

    @property
    def space(self) -> str:
        return self.name

    def colors(self, image: RGB) -> RGB:
        return by_blocks(image, self._on_tissue if self.keep_background else self._everywhere)

    @cached_property
    def _changes(self) -> list[Float32[np.ndarray, "256"]]:
        return [np.ascontiguousarray(change.astype(np.float32)) for change in self.tables - np.arange(256)]

    def _everywhere(self, pixels: RGB) -> RGB:
        import cv2

        luts = np.rint(self.tables).astype(np.uint8)
        planes = [cv2.LUT(plane, lut) for plane, lut in zip(cv2.split(pixels), luts, strict=True)]
        merged: RGB = cv2.merge(planes)
        return merged

    def _on_tissue(self, pixels: RGB) -> RGB:
        import cv2

        light = LAB.lightness(pixels)
        share = np.clip((np.float32(WHITE_TO) - light) / np.float32(WHITE_TO - WHITE_FROM), 0, 1)
        levels = []
        for plane, change in zip(cv2.split(pixels), self._changes, strict=True):
            level = plane + share * cv2.LUT(plane, change)
            levels.append(np.clip(np.rint(level), 0, 255).astype(np.uint8))
        merged: RGB = cv2.merge(levels)
        return merged

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": "histogram",
            "space": self.name,
            "tables": dict(zip(CHANNELS, self.tables.tolist(), strict=True)),
            "keep_background": self.keep_background,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "HistogramMap":
        """The map that :meth:`to_dict` described; same bytes out."""
        tables = [[number(name, level, 0, 255) for level in stored["tables"][name]] for name in CHANNELS]
        if any(len(table) != 256 for table in tables):
            raise UsageError(
                "the stored histogram map has not 256 levels a channel",
                remedy="Give what to_dict() of a fitted map returned",
            )
        return cls(stored["space"], np.array(tables), bool(stored["keep_background"]))


@final
class HistogramMatching(Appearance):
    """Histogram matching of each channel, for tissue.

    It follows how much of which tissue a source shows as much as how it is stained: the plainest comparator, not
    a recommendation. ``statistics="all", background="transfer"`` is the plain method, as scikit-image has it.

    Parameters
    ----------
    target : RGB array, image path, list of RGB arrays (counted together), ``{"red", "green", "blue"}`` with 256
        counts each, or None for :data:`DEFAULT_PERCENTILES`.
    statistics : ``tissue`` or ``all`` pixels, of source and target.
    background : ``keep`` or ``transfer``.
    strict : raise :class:`~histokin.errors.DegenerateStain` for a source without color.
    """

    name = "histogram"

    def __init__(
        self, target: object = None, *, statistics: str = "tissue", background: str = "keep", strict: bool = False
    ) -> None:
        self._strict = strict
        self._options = {
            "statistics": choice("statistics", statistics, ("tissue", "all")),
            "background": choice("background", background, ("keep", "transfer")),
        }
        self.target = self._target_of(target)

    def _target_of(self, target: object) -> Histograms:
        if target is None:
            return Histograms.from_percentiles(DEFAULT_PERCENTILES)
        if isinstance(target, Mapping):
            return Histograms.from_dict(target)
        path = Path(target) if isinstance(target, (str, PathLike)) else None
        images = target if isinstance(target, (list, tuple)) else [read_image(path) if path else rgb(target)]
        found = self._histograms_of(images)
        if isinstance(found, Status):
            raise UsageError(
                f"the target image has no colors to take over: {found.reason}",
                path=path,
                remedy="Choose an image full of stained tissue",
            )
        return found

    def _histograms_of(self, images: Images) -> Histograms | Status:
        pixels = pool(images)
        tissue = pixels[luminosity_mask(pixels)]
        status = enough(len(tissue))
        if not status.ok:
            return status
        if one_direction(OpticalDensity("od256").forward(tissue)):
            return Status("unchanged", "all tissue has one color, or no color, so there is nothing to match")
        return Histograms.of(pixels if self._options["statistics"] == "all" else tissue)

    @property
    def space(self) -> str:
        return space(self.name, self.target.to_dict(), self._options, USUAL)

    def fit(self, images: Images) -> ImageMap:
        source = self._histograms_of(images)
        if isinstance(source, Status):
            refuse_if(self._strict, source)
            return Unchanged(self.space, source)
        pairs = zip(source.counts, self.target.counts, strict=True)
        tables = np.array([matching(one, other) for one, other in pairs]).round(DECIMALS)
        return HistogramMap(self.space, tables, self._options["background"] == "keep")

    def to_dict(self) -> dict[str, Any]:
        options = {**self._options, "strict": self._strict}
        return {"name": self.name, "options": options, "target": self.target.to_dict()}

    def describe(self) -> dict[str, Any]:
        """The same with the digest of the target in place of its 768 counts."""
        return {**self.to_dict(), "target": {"histograms": space("target", self.target.to_dict(), {}, {})}}
