"""From whatever samples a file holds to 8-bit RGB, by fixed rules that never look at the content.

A rule that stretched each image (or worse, each tile) by its own minimum and maximum would make equal tissue
look different, so: n bits are scaled by their full range, unless the file declares a maximum.
"""

import numpy as np
from jaxtyping import UInt8, UInt16

from histokin.types import RGB


def to_8bit(samples: UInt16[np.ndarray, "h w c"], bits: int, maximum: int | None = None) -> UInt8[np.ndarray, "h w c"]:
    """Scale 0..2^bits-1 (or 0..maximum, where the file declares one) to 0..255, rounded; above is clipped."""
    top = maximum if maximum else (1 << bits) - 1
    table = np.minimum(np.arange(65536, dtype=np.uint32) * 255 + top // 2, 255 * top + top // 2) // top
    return np.asarray(table.astype(np.uint8)[samples])


def flatten_alpha(rgba: UInt8[np.ndarray, "h w 4"], *, premultiplied: bool = False) -> RGB:
    """Lay a transparent picture over white."""
    alpha = rgba[..., 3:].astype(np.uint16)
    color = rgba[..., :3].astype(np.uint16)
    if premultiplied:
        return np.asarray(np.minimum(color + (255 - alpha), 255), np.uint8)
    return np.asarray((color * alpha + 255 * (255 - alpha) + 127) // 255, np.uint8)


def to_rgb(samples: UInt8[np.ndarray, "h w c"], alpha: int | None, *, invert: bool = False) -> RGB:
    """Grey, grey + alpha, RGB, RGB + alpha or more channels to RGB.

    ``alpha`` is the TIFF kind of the first extra sample: 1 premultiplied, 2 straight, anything else ignored.
    ``invert`` is for grey where zero is white.
    """
    channels = samples.shape[2]
    if channels < 3:
        grey = samples[..., :1]
        color = np.repeat(255 - grey if invert else grey, 3, axis=2)
        extra = samples[..., 1:2]
    else:
        color, extra = samples[..., :3], samples[..., 3:4]
    if alpha in (1, 2) and extra.shape[2]:
        return flatten_alpha(np.concatenate([color, extra], axis=2), premultiplied=alpha == 1)
    return np.ascontiguousarray(color)
