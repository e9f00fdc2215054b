"""Khan: stains from classified pixels, a smooth curve for the strength of each. Fitting needs the extra ``khan``."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float32, Float64

from histokin.errors import UsageError
from histokin.stain.base import Appearance
from histokin.stain.color_map import ColorMap, by_blocks
from histokin.stain.deconvolution import Stains3
from histokin.stain.khan_model import DENSITY, MOST_LIGHT, KhanModel, Levels, model_of
from histokin.stain.khan_spline import KhanSpline, fit_spline
from histokin.stain.options import refuse_if, space
from histokin.stain.pixels import pool, read_image, rgb
from histokin.stain.unchanged import Unchanged
from histokin.types import RGB, ImageMap, Images, Status

DEFAULT_TARGET = KhanModel(
    (0.483, 0.7691, 0.4185),
    (0.2767, 0.8351, 0.4754),
    (8.4, 46.1, 126.0, 174.9, 261.3, 352.1, 247.4, 254.3, 258.7),
    (60.5, 100.5, 173.7, 119.2, 229.2, 440.1, 246.4, 253.1, 258.8),
)
"""What it finds in the reference image of BKSVD's authors (see :data:`histokin.stain.bksvd.DEFAULT_TARGET`)."""

SAMPLE = 1 << 17
"""Pixels that a fit looks at: each of their colors goes through the forest."""

FINE = 16
"""Entries of a curve's table per level of light."""

LEAST_LIGHT = 1.0
"""Levels of light behind a stain, at least, after the curve: what logarithms can be taken of."""

USUAL = {"legacy_nan_and": False}


@final
@dataclass(frozen=True, eq=False)
class KhanMap(ColorMap):
    """Light behind each stain through its curve, recomposed with the target's stains; the residual stays.

    ``hematoxylin``, ``eosin`` are the curves; ``source``, ``target`` 3x3 matrices of unit columns.
    """

    name: str
    source: Stains3
    target: Stains3
    hematoxylin: KhanSpline
    eosin: KhanSpline

    @property
    def space(self) -> str:
        return self.name

    @cached_property
    def _inverse(self) -> Float64[np.ndarray, "3 3"]:
        return np.asarray(np.linalg.inv(self.source))

    @cached_property
    def _residual(self) -> Float64[np.ndarray, "3 3"]:
        """Density that the residual adds, output channel by input channel."""
        outer: Float64[np.ndarray, "3 3"] = np.outer(self.target[:, 2], self._inverse[2])
        return outer

    @cached_property
    def _light(self) -> Float32[np.ndarray, "2 3 256"]:
        """Logarithm of the light behind a stain, in steps of a curve's table: the sum of ``[stain, channel, level]``.

        Sums of logarithms, as products would overflow where the two stains are alike.
        """
        tables = -self._inverse[:2, :, None] * DENSITY.table[None, None]
        tables[:, 0] += np.log(255 * FINE)
        light: Float32[np.ndarray, "2 3 256"] = tables.astype(np.float32)
        return light

    @cached_property
    def _curves(self) -> list[list[Float32[np.ndarray, "_"]]]:
        """What each stain lets through in each output channel, by its light before the curve."""
        light = np.arange(int(MOST_LIGHT * FINE) + 1) / FINE
        found = []
        for stain, curve in enumerate((self.hematoxylin, self.eosin)):
            share = np.clip(curve(light), LEAST_LIGHT, 255) / 255
            found.append([(share ** self.target[c, stain]).astype(np.float32) for c in range(3)])
        return found

    @cached_property
    def _rest(self) -> Float32[np.ndarray, "3 3 256"]:
        """Logarithm of what the residual lets through: the sum over input channels of ``[output, input, level]``."""
        tables = -self._residual[:, :, None] * DENSITY.table[None, None]
        tables[:, 0] += np.log(DENSITY.white)
        rest: Float32[np.ndarray, "3 3 256"] = tables.astype(np.float32)
        return rest

    def colors(self, image: RGB) -> RGB:
        return by_blocks(image, self._strip)

    def _strip(self, pixels: RGB) -> RGB:
        import cv2

        planes = cv2.split(pixels)

        def light(tables: Float32[np.ndarray, "3 256"], most: float) -> Any:
            r, g, b = (cv2.LUT(plane, table) for plane, table in zip(planes, tables, strict=True))
            return cv2.exp(np.minimum(r + g + b, np.float32(np.log(most))))

        places = [np.rint(light(tables, MOST_LIGHT * FINE)).astype(np.int32) for tables in self._light]
        levels = []
        for c in range(3):
            through = self._curves[0][c][places[0]] * self._curves[1][c][places[1]] * light(self._rest[c], 1e9)
            level = np.rint(through + np.float32(DENSITY.offset))
            levels.append(np.clip(level, 0, 255).astype(np.uint8))
        merged: RGB = cv2.merge(levels)
        return merged

    def exact(self, image: RGB) -> RGB:
        """Computed in 64-bit floats from the formula: slow, the definition."""
        density = DENSITY.forward(image) @ self._inverse.T
        light = np.minimum(255 * np.exp(-density[..., :2]), MOST_LIGHT)
        for stain, curve in enumerate((self.hematoxylin, self.eosin)):
            moved = np.clip(curve(light[..., stain].reshape(-1)), LEAST_LIGHT, 255)
            density[..., stain] = -np.log(moved / 255).reshape(light.shape[:-1])
        return DENSITY.inverse(density @ self.target.T)

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": "khan",
            "space": self.name,
            "source": self.source.tolist(),
            "target": self.target.tolist(),
            "hematoxylin": self.hematoxylin.to_dict(),
            "eosin": self.eosin.to_dict(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "KhanMap":
        """The map that :meth:`to_dict` described; same bytes out. Needs neither scikit-learn nor scipy."""
        source, target = (np.array(stored[key], np.float64) for key in ("source", "target"))
        if source.shape != (3, 3) or target.shape != (3, 3):
            raise UsageError("the stored khan map is damaged", remedy="Give what to_dict() of a fitted map returned")
        curves = (KhanSpline.from_dict(stored[key]) for key in ("hematoxylin", "eosin"))
        return cls(stored["space"], source, target, *curves)


@final
class Khan(Appearance):
    """Khan's normalizer: a classifier finds pixels of either stain, curves match how strong they are.

    The published classifier cannot be had; this one, a random forest on color and on the image's stain color
    descriptor, learns from synthetic tissue of imagined laboratories at its first use in a process (seconds). It was
    never shown a labeled image, and is less sure on stains unlike those.

    Parameters
    ----------
    target : RGB array, image path, list of RGB arrays, what ``to_dict()["target"]`` gave, or None for
        :data:`DEFAULT_TARGET`.
    strict : raise :class:`~histokin.errors.DegenerateStain` for a source without two stains.
    legacy_nan_and : keep statistics that only one side has, as the published toolbox does; the curve is then
        undefined, and the source stays as it is.

    Raises
    ------
    UsageError
        by the constructor (with an image as the target) and by :meth:`fit`, where the extra is not installed.

    Source: A. Khan et al., A nonlinear mapping approach to stain normalization in digital histopathology images
    using image-specific color deconvolution, IEEE Trans Biomed Eng 2014.
    """

    name = "khan"

    def __init__(self, target: object = None, *, strict: bool = False, legacy_nan_and: bool = False) -> None:
        self._strict, self._legacy = strict, bool(legacy_nan_and)
        self.target = self._target_of(target)

    def _target_of(self, target: object) -> KhanModel:
        if target is None:
            return DEFAULT_TARGET
        if isinstance(target, Mapping):
            return KhanModel.from_dict(target)
        path = Path(target) if isinstance(target, (str, PathLike)) else None
        images = target if isinstance(target, (list, tuple)) else [read_image(path) if path else rgb(target)]
        model = model_of(pool(images, SAMPLE))
        if isinstance(model, Status):
            raise UsageError(
                f"the target image has no two stains to take over: {model.reason}",
                path=path,
                remedy="Choose an image full of tissue that shows both stains",
            )
        return model

    @property
    def space(self) -> str:
        return space(self.name, self.target.to_dict(), {"legacy_nan_and": self._legacy}, USUAL)

    def fit(self, images: Images) -> ImageMap:
        source = model_of(pool(images, SAMPLE))
        found = source if isinstance(source, Status) else self._map(source)
        if isinstance(found, Status):
            refuse_if(self._strict, found)
            return Unchanged(self.space, found)
        return found

    def _map(self, source: KhanModel) -> KhanMap | Status:
        pairs = (
            (source.hematoxylin_levels, self.target.hematoxylin_levels),
            (source.eosin_levels, self.target.eosin_levels),
        )
        h, e = (curve(*pair, legacy_nan_and=self._legacy) for pair in pairs)
        if h is None or e is None:
            return Status("unchanged", "too little is known of one stain's strength for a curve")
        return KhanMap(self.space, source.stains, self.target.stains, h, e)

    def to_dict(self) -> dict[str, Any]:
        options = {"strict": self._strict, "legacy_nan_and": self._legacy}
        return {"name": self.name, "options": options, "target": self.target.to_dict()}


def curve(source: Levels, target: Levels, *, legacy_nan_and: bool = False) -> KhanSpline | None:
    """The curve from one stain's levels to the target's; None where it is undefined.

    A level that either side lacks is left out. ``legacy_nan_and`` leaves out those that both lack, only.
    """
    x, y = np.array(source), np.array(target)
    lacking: Bool[np.ndarray, "9"] = np.isnan(x) & np.isnan(y) if legacy_nan_and else np.isnan(x) | np.isnan(y)
    x, y = x[~lacking], y[~lacking]
    return fit_spline(x, y) if np.isfinite(x).all() else None
