"""Scanner formats through OpenSlide: Aperio, Hamamatsu, Leica, MIRAX, Ventana, Philips, Zeiss, DICOM."""

import threading
from pathlib import Path
from typing import final

import cv2
import numpy as np
from openslide import OpenSlide, OpenSlideError

from histokin.errors import BadPixels, ImplausibleDimensions, UnreadableFile, UsageError
from histokin.slides.base import Slide
from histokin.slides.scale import file_mpp
from histokin.types import RGB

MOST_PX = 10**12
"""More level-0 pixels than any scanner makes."""

_KEPT = {
    "openslide.vendor": "vendor",
    "openslide.objective-power": "objective-power",
    "openslide.level-count": "levels",
    "aperio.AppMag": "aperio.AppMag",
    "dicom.Manufacturer": "manufacturer",
    "dicom.ManufacturerModelName": "model",
    "dicom.SeriesInstanceUID": "dicom.SeriesInstanceUID",
}
"""Only these leave the file: everything else may hold names, dates and accession numbers."""


def open_vendor(path: Path, mpp: float | None) -> Slide:
    """Open with OpenSlide; raises :class:`UnreadableFile` or :class:`ImplausibleDimensions`."""
    handle = _open(path)
    properties = dict(handle.properties)
    width, height = handle.dimensions
    if width < 1 or height < 1 or width * height > MOST_PX or not _frames_suffice(properties):
        raise ImplausibleDimensions(
            f"the header claims {width} x {height} pixels, which the file cannot hold",
            remedy="The file is damaged; copy it again from its source",
            path=path,
        )
    own = file_mpp(properties.get("openslide.mpp-x"), properties.get("openslide.mpp-y"))
    return VendorSlide(path, handle, mpp or own)


@final
class VendorSlide(Slide):
    """A slide that OpenSlide reads. One bad tile makes its handle useless; it is then replaced."""

    def __init__(self, path: Path, handle: OpenSlide, mpp: float | None) -> None:
        properties = handle.properties
        super().__init__(
            path,
            format=f"openslide:{properties['openslide.vendor']}",
            levels=tuple(handle.level_dimensions),
            mpp=mpp,
            kind="slide",
            properties={new: properties[old] for old, new in _KEPT.items() if old in properties},
        )
        self._handle: OpenSlide | None = handle
        self._lock = threading.Lock()

    def _pixels(self, level: int, x: int, y: int, width: int, height: int) -> RGB:
        handle = self._handle
        if handle is None:
            raise UsageError("the slide has been closed", remedy="Open it again", path=self.path)
        try:
            return _read(handle, level, x, y, width, height)
        except OpenSlideError:
            return self._again(handle, level, x, y, width, height)

    def _again(self, poisoned: OpenSlide, level: int, x: int, y: int, width: int, height: int) -> RGB:
        """The handle may have been poisoned by another thread's bad tile, so try once on a fresh one.

        The old handle is only dropped, not closed: a thread still inside it holds the last reference.
        """
        with self._lock:
            fresh = _open(self.path)
            try:
                pixels = _read(fresh, level, x, y, width, height)
            except OpenSlideError as error:
                if self._handle is poisoned:
                    self._handle = _open(self.path)
                shrink = self._shrinks[level]
                where = f"{x},{y},{round(width * shrink)},{round(height * shrink)}"
                raise BadPixels(
                    f"the region {where} does not decode ({_cause(error)})",
                    remedy="Copy the file again from its source, or leave this region out",
                    path=self.path,
                ) from None
            if self._handle is poisoned:
                self._handle = fresh
            return pixels

    def close(self) -> None:
        self._handle = None


def vendor_of(path: Path) -> str | None:
    """OpenSlide's name for the format; None where it does not know the file."""
    try:
        found = OpenSlide.detect_format(str(path))
    except OpenSlideError:
        return None
    return None if found is None else str(found)


def _open(path: Path) -> OpenSlide:
    try:
        return OpenSlide(str(path))
    except OpenSlideError as error:
        raise UnreadableFile(
            f"OpenSlide cannot open it ({_cause(error)})",
            remedy="The file is damaged, incomplete or of an unknown variant; copy it again from its source",
            path=path,
        ) from None


def _read(handle: OpenSlide, level: int, x: int, y: int, width: int, height: int) -> RGB:
    rgba = np.asarray(handle.read_region((x, y), level, (width, height)))
    rgb = np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.uint8)
    alpha = rgba[..., 3:].astype(np.uint16)
    if alpha.min() == 255:
        return rgb
    return ((rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _frames_suffice(properties: dict[str, str]) -> bool:
    """A DICOM file that says it is fully tiled must have a frame for every tile of its pixel matrix."""
    if properties.get("dicom.DimensionOrganizationType") != "TILED_FULL":
        return True
    names = ("TotalPixelMatrixColumns", "TotalPixelMatrixRows", "Columns", "Rows", "NumberOfFrames")
    try:
        columns, rows, width, height, frames = (int(properties[f"dicom.{name}"]) for name in names)
    except (KeyError, ValueError):
        return True
    return width > 0 and height > 0 and -(-columns // width) * -(-rows // height) <= frames


def _cause(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:160] or type(error).__name__
