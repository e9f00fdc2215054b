"""StainGAN: a CycleGAN generator that learned to give one source style the look of another, run by onnxruntime."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from histokin.errors import UsageError
from histokin.nets.generator import MULTIPLE, Generator, load_generator
from histokin.stain.base import Appearance
from histokin.stain.options import space
from histokin.stain.pixels import rgb
from histokin.stain.styles import ANY, UNTOUCHED, StyleSets, file_of
from histokin.stain.unchanged import Unchanged
from histokin.types import RGB, Image, ImageMap, Images, Status

TILE = 512
"""Side in pixels up to which an image is mapped as a whole; beyond it, of the tiles it is cut into."""

OVERLAP = 64
"""Pixels that neighboring tiles share at least; their answers are blended there."""

LEAST = 16
"""Smaller images are mirrored up to this side."""

KIND = "stain-gan"
USUAL = {"legacy_truncate": False}

Colors = Float32[np.ndarray, "h w 3"]


@final
@dataclass(frozen=True, eq=False)
class StainGANMap(ImageMap):
    """A trained generator. Instance normalization makes each pixel's answer depend on the whole input.

    So the extent of one input matters: images up to 512 x 512 pixels are mapped as a whole, mirrored at the
    right and bottom to a multiple of 4; larger ones in overlapping tiles of 512, blended linearly where they
    overlap. Memory for the network is that of one tile. The same tissue in another image may come out in
    slightly other colors: that is StainGAN, not an error.

    ``file`` and ``digest`` (SHA-256) name the weights; the file is opened when it is first needed, once per process.
    """

    name: str
    file: str
    digest: str
    truncate: bool = False

    @property
    def space(self) -> str:
        return self.name

    def apply(self, image: Image) -> tuple[Image, Status]:
        """The mapped image. Raises :class:`UsageError` unless ``uint8``, "h w 3"; see also :func:`load_generator`."""
        checked = rgb(image)
        if not checked.size:
            return checked.copy(), Status()
        generator = load_generator(Path(self.file), KIND, self.digest)
        return tiled(checked, lambda tile: _run(generator, tile), self.truncate), Status()

    @property
    def looks_around(self) -> bool:
        return True

    def to_dict(self) -> dict[str, Any]:
        weights = {"path": self.file, "sha256": self.digest}
        return {"method": "stain-gan", "space": self.name, "weights": weights, "truncate": self.truncate}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "StainGANMap":
        """The map that :meth:`to_dict` described; raises when its file is missing or has changed."""
        found = _read(stored["weights"])
        return cls(stored["space"], str(found.path), found.digest, bool(stored["truncate"]))


def tiled(image: RGB, run: Callable[[RGB], Colors], truncate: bool = False) -> RGB:
    """``run`` on an image, or on its tiles, blended; ``run`` gives colors from -1 to 1 for a tile."""
    height, width = image.shape[:2]
    rows, columns = _starts(height), _starts(width)
    down, across = _shares(height, rows), _shares(width, columns)
    out = np.empty_like(image)
    band = np.zeros((min(TILE, height), width, 3), np.float32)
    for j, top in enumerate(rows):
        for i, left in enumerate(columns):
            tile = run(image[top : top + TILE, left : left + TILE])
            share = down[j][:, None, None] * across[i][None, :, None]
            band[:, left : left + TILE] += tile * share.astype(np.float32)
        done = (rows[j + 1] if j + 1 < len(rows) else height) - top
        out[top : top + done] = _levels(band[:done], truncate)
        band = np.concatenate([band[done:], np.zeros((done, width, 3), np.float32)])
    return out


def _starts(length: int) -> list[int]:
    """Where tiles begin along one side: evenly spread, so that all have the full extent."""
    if length <= TILE:
        return [0]
    count = -(-(length - OVERLAP) // (TILE - OVERLAP))
    return [int(start) for start in np.linspace(0, length - TILE, count).round()]


def _shares(length: int, starts: list[int]) -> Float64[np.ndarray, "n t"]:
    """How much each tile counts at each of its pixels along one side: 1 in all, fading out towards its ends."""
    extent = min(TILE, length)
    ramp = np.minimum(np.arange(extent) + 1, np.arange(extent, 0, -1)).clip(max=OVERLAP).astype(np.float64)
    total = np.zeros(length)
    for start in starts:
        total[start : start + extent] += ramp
    return np.stack([ramp / total[start : start + extent] for start in starts])


def _run(generator: Generator, tile: RGB) -> Colors:
    """One pass of the network: mirrored to sides it can take, and cut back."""
    import cv2

    height, width = tile.shape[:2]
    below, beside = (-(-max(side, LEAST) // MULTIPLE) * MULTIPLE - side for side in (height, width))
    padded = cv2.copyMakeBorder(np.ascontiguousarray(tile), 0, below, 0, beside, cv2.BORDER_REFLECT_101)
    planes = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32) / np.float32(127.5) - np.float32(1)
    made: Colors = generator.run(planes)[0].transpose(1, 2, 0)[:height, :width]
    return made


def _levels(colors: Float32[np.ndarray, "h w 3"], truncate: bool) -> UInt8[np.ndarray, "h w 3"]:
    levels = np.clip(colors * np.float32(0.5) + np.float32(0.5), 0, 1) * np.float32(255)
    return np.asarray(levels if truncate else np.rint(levels), np.uint8)


@final
class StainGAN(Appearance):
    """StainGAN with trained weights; what is shown to :meth:`fit` changes nothing.

    The generators of several styles that were trained towards the same target lead into one space. Descriptions
    hold the path and the SHA-256 of each file: keep the files where they are.

    Parameters
    ----------
    target : None; the weights hold the target.
    weights : an ONNX file for every source, or a mapping from style (``centre``) to file, or to "none" for a style
        that looks like the target and stays as it is. The network takes and
        gives float32 "n 3 h w" in -1 to 1, RGB, for any h and w that are multiples of 4.
    style : the style at hand, where there are several; :meth:`for_style` is the usual way to set it.
    legacy_truncate : cut to 8 bits as the published code does.

    Raises
    ------
    UsageError
        without weights, or with a target.
    UnreadableFile, UnsupportedFormat
        for a weight file that cannot be used.
    NotComparable
        for a file that has changed since its description was made.
    MissingStyle
        when ``style`` has no weights; by :meth:`fit`, when there are several and none was chosen.

    Source: M. T. Shaban et al., StainGAN: stain style transfer for digital histological images, ISBI 2019.
    """

    name = "stain-gan"
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
                "stain-gan takes no target: its weights were trained towards one",
                remedy="Leave the target out, or train weights towards it with `histokin train stain-gan`",
            )
        self._sets = StyleSets.of(self.name, weights, _read, style)
        self._truncate = bool(legacy_truncate)

    @property
    def space(self) -> str:
        digests = self._sets.each(lambda found: found.digest, UNTOUCHED)
        return space(self.name, {"weights": digests}, {"legacy_truncate": self._truncate}, USUAL)

    def for_style(self, style: str | None) -> Appearance:
        sets = self._sets.choose(style)
        if sets.style == self._sets.style or ANY in sets.sets:
            return self
        return StainGAN(weights=sets.sets, style=sets.style, legacy_truncate=self._truncate)

    def fit(self, images: Images) -> ImageMap:
        for image in images:
            rgb(image)
        found = self._sets.sets[self._sets.key]
        if found is None:
            return Unchanged(self.space)
        return StainGANMap(self.space, str(found.path), found.digest, self._truncate)

    def to_dict(self) -> dict[str, Any]:
        untouched: object = UNTOUCHED
        weights = self._sets.each(_file, untouched)
        options = {"weights": weights, "style": self._sets.style, "legacy_truncate": self._truncate}
        return {"name": self.name, "options": options, "target": None}


def _file(found: Generator) -> object:
    return {"path": str(found.path), "sha256": found.digest}


def _read(source: object) -> Generator:
    if isinstance(source, Generator):
        return source
    if isinstance(source, Mapping):
        path, digest = source.get("path"), source.get("sha256")
        if not isinstance(path, str) or not isinstance(digest, str):
            raise UsageError(
                "the stored weights of stain-gan are damaged", remedy="Restore the archive, or index into a new one"
            )
        return load_generator(Path(path), KIND, digest)
    return load_generator(Path(file_of(StainGAN.name, source)), KIND)
