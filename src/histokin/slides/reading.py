"""The one door to pixels: ``open_slide``."""

from pathlib import Path

from histokin.slides.base import Slide, require_mpp
from histokin.slides.content import READERS, identify
from histokin.slides.scale import given_mpp

__all__ = ["open_slide", "require_mpp"]


def open_slide(path: str | Path, *, mpp: float | None = None) -> Slide:
    """Open a slide or an image.

    Parameters
    ----------
    path : a slide (Aperio, Hamamatsu, Leica, MIRAX, Ventana, Philips, Zeiss, DICOM, OME-TIFF, TIFF) or a
        PNG or JPEG image.
    mpp : microns per pixel, where the file does not know better; it overrides the file. A missing scale is
        no error here: see :func:`require_mpp`.

    Raises
    ------
    UnreadableFile
        missing, not a regular file, no permission, empty, truncated or damaged.
    UnsupportedFormat
        nothing reads it, or its name belies its content.
    ImplausibleDimensions
        the header claims a size that the file cannot hold.
    UsageError
        ``mpp`` is not a positive number.
    """
    path = Path(path)
    scale = given_mpp(mpp)
    content = identify(path)
    slide: Slide = READERS.load(content)(path, scale)
    return slide
