"""What goes into a representation and what comes out: checked pixels as numbers, and numbers as 8-bit pixels."""

import numpy as np
from jaxtyping import Float32, UInt8

from histokin.errors import UsageError

LEAST_PX = 32
"""Both sides of an image must have so many pixels."""

FULL = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}

Values = Float32[np.ndarray, "h w c"]


def unit_values(image: object, channels: int) -> Values:
    """The image as a new float32 array in 0 to 1 with 1 or 3 channels: gray is repeated, color averaged.

    Raises
    ------
    UsageError
        for anything but ``uint8``, ``uint16`` or ``float32`` "h w 1|3" of at least 32 x 32 pixels, and for floats
        outside of 0 to 1 or not finite.
    """
    checked = _checked(image)
    values = checked.astype(np.float32) / np.float32(FULL[checked.dtype.name])
    if checked.dtype == np.float32 and not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise UsageError("the float image has values outside of 0 to 1", remedy="Divide it by its full scale first")
    if values.shape[2] == channels:
        return np.ascontiguousarray(values)
    if channels == 1:
        return np.ascontiguousarray(values.mean(axis=2, keepdims=True, dtype=np.float32))
    return np.repeat(values, channels, axis=2)


def to_bytes(values: Values, low: float | int, high: float | int) -> UInt8[np.ndarray, "h w c"]:
    """8-bit pixels: ``low`` becomes 0, ``high`` 255, rounded, cut off beyond."""
    share = (values - np.float32(low)) / np.float32(high - low)
    levels: UInt8[np.ndarray, "h w c"] = np.rint(np.clip(share, 0, 1) * np.float32(255)).astype(np.uint8)
    return levels


def _checked(image: object) -> np.ndarray:
    if not isinstance(image, np.ndarray):
        found = f"a {type(image).__name__}"
    elif image.dtype.name not in FULL or image.ndim != 3 or image.shape[2] not in (1, 3):
        found = f"an array of {image.dtype}, shape {'x'.join(map(str, image.shape))}"
    elif min(image.shape[:2]) < LEAST_PX:
        found = f"one of {image.shape[1]} x {image.shape[0]} pixels"
    else:
        return image
    raise UsageError(
        f"representations take images of 1 or 3 channels and at least {LEAST_PX} x {LEAST_PX} pixels, and were "
        f"given {found}",
        remedy="Give uint8, uint16 or float32 (0 to 1), height x width x 1 or 3",
    )
