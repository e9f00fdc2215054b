"""Normalized cross-correlation of a turned query with every place of an image, by Fourier transforms (OpenCV).

Only what the query and the image share counts, as in D. Padfield, Masked object registration in the Fourier domain,
IEEE Trans. Image Process. 21(5), 2012. With several channels the correlation is taken over pixels and channels
together, each channel with its own mean.
"""

from dataclasses import dataclass
from typing import final

import cv2
import numpy as np
from jaxtyping import Bool, Float32

Plane = Float32[np.ndarray, "_ _"]
Stack = Float32[np.ndarray, "_ _ _"]

FLAT = 1e-2
"""A window whose variance is below this share of the whole image's is held for flat; its correlation shrinks to 0."""


@final
@dataclass(frozen=True)
class Template:
    """A query turned by ``angle`` degrees (counterclockwise), its anchor pixel in the middle of an odd square.

    ``values`` are 0 outside ``mask``; every channel has mean 0 inside it.
    """

    values: Float32[np.ndarray, "s s c"]
    mask: Float32[np.ndarray, "s s"]
    angle: float

    @property
    def reach(self) -> int:
        """How far the template goes from its anchor."""
        return len(self.mask) // 2

    def spectra(self, size: tuple[int, int]) -> "Spectra":
        """Its planes in the frequencies of fields of ``size``."""
        planes = [np.ascontiguousarray(plane) for plane in np.moveaxis(self.values, 2, 0)]
        layers = [*planes, np.square(self.values).sum(axis=2), self.mask]
        return Spectra(tuple(_spectrum(layer, size) for layer in layers), float(self.mask.sum()))


@final
@dataclass(frozen=True)
class Spectra:
    """Spectra of each channel, of the squares summed over channels and of the mask; ``area`` pixels are in the mask."""

    planes: tuple[Plane, ...]
    area: float


def turned(query: Float32[np.ndarray, "h w c"], mask: Bool[np.ndarray, "h w"], angle: float) -> Template:
    """The query turned counterclockwise about its pixel (w // 2, h // 2)."""
    height, width, channels = query.shape
    half = int(np.ceil(np.hypot(height, width) / 2)) + 1
    side = 2 * half + 1
    matrix = cv2.getRotationMatrix2D((width // 2, height // 2), angle, 1.0)
    matrix[:, 2] += (half - width // 2, half - height // 2)
    values = cv2.warpAffine(query, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(mask.astype(np.float32), matrix, (side, side), flags=cv2.INTER_LINEAR) > 0.99
    values = values.reshape(side, side, channels)
    values = np.where(inside[..., None], values - values[inside].mean(axis=0), 0).astype(np.float32)
    return Template(values, inside.astype(np.float32), angle)


@final
@dataclass(frozen=True)
class Field:
    """The part of an image that a template may cover when its anchor lies in ``height`` x ``width`` places.

    ``planes`` holds the spectra of each channel, of the squares summed over channels, and of the mask; ``variance``
    is that of the whole image over pixels and channels, the measure of flatness.
    """

    planes: tuple[Plane, ...]
    height: int
    width: int
    variance: float

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the spectra."""
        return self.planes[0].shape[0], self.planes[0].shape[1]

    @property
    def nbytes(self) -> int:
        """Of memory."""
        return sum(plane.nbytes for plane in self.planes)


@final
@dataclass(frozen=True, eq=False)
class Usual:
    """Mean of each channel of a whole image, and its variance over pixels and channels."""

    mean: Float32[np.ndarray, "_"]
    variance: float


def usual(image: Float32[np.ndarray, "h w c"], mask: Bool[np.ndarray, "h w"]) -> Usual:
    """Those of the pixels that count."""
    inside = image[mask]
    if not len(inside):
        return Usual(np.zeros(image.shape[2], np.float32), 0.0)
    mean = inside.mean(axis=0)
    return Usual(mean, float(np.square(inside - mean).sum(axis=1).mean()))


def field(
    image: Float32[np.ndarray, "h w c"],
    mask: Bool[np.ndarray, "h w"],
    reach: int,
    places: tuple[int, int, int, int] | None = None,
    known: Usual | None = None,
) -> Field:
    """Spectra of an image.

    Parameters
    ----------
    image, mask : pixels and which of them count.
    reach : how far a template goes from its anchor: half its side, rounded down.
    places : left, top, right, bottom (exclusive) of the pixels where the anchor may lie; None for the whole image.
    known : what :func:`usual` says of the image, where it was asked before.
    """
    left, top, right, bottom = places or (0, 0, image.shape[1], image.shape[0])
    height, width = bottom - top, right - left
    whole = known or usual(image, mask)
    y0, x0 = top - reach, left - reach
    rows, columns = slice(max(0, y0), max(0, bottom + reach)), slice(max(0, x0), max(0, right + reach))
    part, seen = image[rows, columns] - whole.mean, mask[rows, columns].astype(np.float32)
    part = part * seen[..., None]
    at = (max(0, -y0), max(0, -x0))
    size = _side(height, reach, at[0], part.shape[0]), _side(width, reach, at[1], part.shape[1])
    layers = [*np.moveaxis(part, 2, 0), np.square(part).sum(axis=2), seen]
    return Field(tuple(_spectrum(layer, size, at) for layer in layers), height, width, whole.variance)


def _side(places: int, reach: int, at: int, length: int) -> int:
    """Side of the transform of ``length`` pixels from ``at`` on, asked for at so many places.

    The transform goes round. A template may go over its end where it comes upon nothing: in the blank before ``at``.
    """
    return int(cv2.getOptimalDFTSize(max(places + 2 * reach - at, at + length, 2 * reach + 1)))


@final
@dataclass(frozen=True)
class Shared:
    """What is alike at every place for all images of one size.

    ``count``: pixels in common. ``means``: of each of the query's channels over them. ``weight``: what a product is
    multiplied by on the query's side, 0 where the query is flat or too little of it lies on the image.
    """

    count: Plane
    means: tuple[Plane, ...]
    weight: Plane


def shared(query: Spectra, where: Field, least_overlap: float | int) -> Shared:
    """What :func:`correlation` needs of the query and the masks; the same for fields whose images are equally large."""
    *values, squares, mask = query.planes
    seen = where.planes[-1]
    count = np.maximum(_places(_times(seen, mask), where), 1.0)
    sums = [_places(_times(seen, own), where) for own in values]
    in_query = _places(_times(seen, squares), where)
    for total in sums:
        in_query = in_query - total * total / count
    overlap = count / max(query.area, 1.0)
    most = float(in_query.max())
    if most <= 0:
        weight = np.zeros_like(count)
    else:
        weight = np.sqrt(np.clip(overlap, 0, 1) / np.maximum(in_query, 1e-6 * most)) * (overlap >= least_overlap)
    return Shared(count, tuple(total / count for total in sums), weight)


@final
@dataclass(frozen=True)
class Covered:
    """What a mask covers of an image at every place, whatever the query's pixels are.

    ``sums``: of each channel. ``weight``: what a product is multiplied by on the image's side, 0 where it is flat.
    """

    sums: tuple[Plane, ...]
    weight: Plane

    @property
    def nbytes(self) -> int:
        """Of memory."""
        return sum(plane.nbytes for plane in (*self.sums, self.weight))


def covered(query: Spectra, where: Field, common: Shared) -> Covered:
    """What :func:`correlation` needs of the image and the masks; the same for all queries with one mask."""
    *channels, squares, _ = where.planes
    mask = query.planes[-1]
    sums = tuple(_places(_times(image, mask), where).copy() for image in channels)
    if where.variance <= 0:
        return Covered(sums, np.zeros_like(common.count))
    spread = _places(_times(squares, mask), where)
    for total in sums:
        spread = spread - total * total / common.count
    return Covered(sums, 1 / np.sqrt(np.maximum(spread, FLAT * where.variance * common.count)))


def correlation(query: Spectra, where: Field, common: Shared, under: Covered) -> Plane:
    """The masked correlation, -1 to 1, with the template's anchor on every place of the field.

    It is multiplied by the square root of the share of the query that lies on the image, as a match of few pixels
    is worth less; 0 where too little of it does, or where query or image is flat.
    """
    *channels, _, _ = where.planes
    *values, _, _ = query.planes
    score = _places(_sum([_times(image, own) for image, own in zip(channels, values, strict=True)]), where)
    for total, mean in zip(under.sums, common.means, strict=True):
        score = score - total * mean
    score = score * under.weight
    score *= common.weight
    clipped: Plane = np.clip(score, -1, 1, out=score)
    return clipped


def _places(spectrum: Plane, where: Field) -> Plane:
    """Back from frequencies, at the anchor's places."""
    inverse: Plane = cv2.dft(spectrum, flags=cv2.DFT_INVERSE | cv2.DFT_REAL_OUTPUT | cv2.DFT_SCALE)
    return inverse[: where.height, : where.width]


def _sum(planes: list[Plane]) -> Plane:
    """The sum of equally large planes, as a new one."""
    total = planes[0].copy()
    for plane in planes[1:]:
        total += plane
    return total


def _spectrum(plane: Plane, size: tuple[int, int], at: tuple[int, int] = (0, 0)) -> Plane:
    padded = np.zeros(size, np.float32)
    padded[at[0] : at[0] + plane.shape[0], at[1] : at[1] + plane.shape[1]] = plane
    spectrum: Plane = cv2.dft(padded)
    return spectrum


def _times(image: Plane, query: Plane) -> Plane:
    product: Plane = cv2.mulSpectrums(image, query, 0, conjB=True)
    return product
