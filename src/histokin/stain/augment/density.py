"""An affine change of optical density, which every stain augmentation is."""

import numpy as np
from jaxtyping import Float64

from histokin.stain.optical_density import OpticalDensity
from histokin.types import RGB

DENSITY = OpticalDensity("od256")
_TABLE = DENSITY.table.astype(np.float32)


def change_density(image: RGB, matrix: Float64[np.ndarray, "3 3"], shift: Float64[np.ndarray, "3"]) -> RGB:
    """``inverse(matrix · forward(I) + shift)`` in 32-bit floats, rounded and clipped: a new array."""
    import cv2

    if not image.size:
        return image.copy()
    density = cv2.LUT(np.ascontiguousarray(image), _TABLE)
    moved = cv2.transform(density, -np.column_stack([matrix, shift]))
    # Beyond this a level is far above white, and the exponential would overflow.
    light = cv2.exp(np.minimum(moved, np.float32(9)))
    levels = np.clip(np.rint(light * np.float32(DENSITY.white) + np.float32(DENSITY.offset)), 0, 255)
    return np.asarray(levels, np.uint8).reshape(image.shape)
