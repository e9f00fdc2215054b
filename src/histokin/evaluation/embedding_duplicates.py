"""Copies that were cropped, found where vectors are near and settled where pixels are.

Near vectors alone cannot tell a copy: a tile lies at a cosine of 0.91 to 0.97 from its crop by 5 % (the shipped
encoder), neighbors on one slide at up to 0.98, slices of one scan above that. So vectors (and colors, and a look from
afar at eight orientations) only propose pairs. Each is then laid one over the other by an affine map (ECC, Evangelidis
& Psarakis 2008), and the fine detail of both is correlated. What is missing to a correlation of 1 is held against what
moving the picture by half a pixel and back costs: measured on 64 px grays, 0.3 to 0.6 of it for 95 % of crops by 5 or
10 % (colon tiles of two laboratories), 20 times and more for different tiles, and 0.84 for the most alike of 1,200
radiographs of six kinds. In all 95 to 99 % of such crops of tiles are found, 83 to 85 % of those of radiographs.
"""

from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from histokin.archive.exact import Metric, search
from histokin.types import Vectors

DETAIL_PX = 64
COARSE_PX = 16

COARSE = 0.7
"""Correlation of 16 px grays from which two are laid over each other; 98 % of crops by 10 %, all by 5 % are above."""

LOST, LEAST_LOSS = 0.75, 1e-4
"""How much of the fine detail may disagree, by what moving the picture half a pixel and back takes from it."""

DISTORTED = 0.025
"""How far the map may be from turning and scaling."""

LARGEST_ZOOM, LARGEST_SHIFT = 1.25, 8.0
"""How far it may zoom, and move the middle, in pixels of 64."""

LEAST_DETAIL = 0.1
"""Share of the pixels that has to differ from its surroundings by a gray level: an empty picture has no copies."""

NEAREST = 3
"""Pairs that vectors propose for each query."""

BORDER_PX = 4
Details = UInt8[np.ndarray, "n 64 64"]
Asked = UInt8[np.ndarray, "q 64 64"]
Apart = tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "q"]]
Pair = tuple[int, int]


def nearest_rows(
    archive: Vectors, queries: Float32[np.ndarray, "q d"], metric: Metric, apart: Apart | None, k: int = NEAREST
) -> Int64[np.ndarray, "q k"]:
    """The rows of the archive nearest to each query, -1 for none; ``apart`` numbers what may not meet."""
    norms = (archive.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)
    rows = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), 512):
        part = slice(start, start + 512)
        exclude = None if apart is None else (apart[0], apart[1][part])
        rows[part] = search(archive, norms, queries[part], k, metric=metric, exclude=exclude).rows
    return rows


def alike_at_sight(archive: Details, queries: Asked, apart: Apart | None) -> Int64[np.ndarray, "q 1"]:
    """The row that looks most like each query from afar, mirrored or turned by quarters; -1 for none."""
    base = _standard(_coarse(archive))
    best, where = np.full(len(queries), -1.0, np.float32), np.full(len(queries), -1, np.int64)
    for turned in _orientations(_coarse(queries)):
        for start in range(0, len(turned), 1024):
            part = slice(start, start + 1024)
            alike = turned[part] @ base.T
            if apart is not None:
                alike[apart[1][part, None] == apart[0][None, :]] = -1
            nearest = alike.argmax(axis=1)
            value = alike[np.arange(len(alike)), nearest]
            better = value > best[part]
            best[part][better], where[part][better] = value[better], nearest[better]
    return where[:, None]


def near_copies(archive: Details, queries: Asked, proposed: Int64[np.ndarray, "q m"]) -> list[Pair]:
    """Which of the proposed pairs (a row of candidates, or -1, for each query) are one picture, perhaps cropped."""
    pairs: list[Pair] = []
    base, turned = _standard(_coarse(archive)), _orientations(_coarse(queries))
    for query, rows in enumerate(proposed.tolist()):
        for row in dict.fromkeys(rows):
            if row >= 0 and _one_picture(archive[row], queries[query], turned[:, query] @ base[row]):
                pairs.append((query, row))
                break
    return pairs


def _orientations(coarse: Float32[np.ndarray, "q 16 16"]) -> Float32[np.ndarray, "8 q 256"]:
    """Each as it is and mirrored, turned by no to three quarters."""
    flips = (coarse, coarse[:, :, ::-1])
    return np.stack([_standard(np.rot90(one, quarter, axes=(1, 2))) for one in flips for quarter in range(4)])


def _one_picture(
    archived: UInt8[np.ndarray, "64 64"], asked: UInt8[np.ndarray, "64 64"], looks: Float32[np.ndarray, "8"]
) -> bool:
    # The right orientation of a crop is not always the best from afar, but close to it.
    for look in np.flatnonzero(looks >= max(COARSE, float(looks.max()) - 0.05)).tolist():
        flip, quarter = divmod(look, 4)
        if _same_detail(archived, np.rot90(asked[:, ::-1] if flip else asked, quarter)):
            return True
    return False


def _same_detail(archived: UInt8[np.ndarray, "64 64"], asked: UInt8[np.ndarray, "64 64"]) -> bool:
    import cv2

    fixed, moving = archived.astype(np.float32), np.ascontiguousarray(asked).astype(np.float32)
    if fixed.std() < 1 or moving.std() < 1:
        return False
    start = np.eye(2, 3, dtype=np.float32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
    mask = np.full(fixed.shape, 255, np.uint8)
    try:
        _, found = cv2.findTransformECC(fixed, moving, start, cv2.MOTION_AFFINE, stop, mask, 5)
    except cv2.error:  # it does not converge: nothing fits
        return False
    if not _plausible(found):
        return False
    laid = _laid(moving, found, cv2.INTER_LINEAR)
    inside = cv2.erode(
        (_laid(np.ones_like(moving), found, cv2.INTER_NEAREST) > 0).astype(np.uint8),
        np.ones((2 * BORDER_PX + 1,) * 2, np.uint8),
        borderValue=0,
    )
    here = inside > 0
    if here.mean() < 0.5:
        return False
    detail = _detail(fixed)[here]
    if (np.abs(detail) >= 1).mean() < LEAST_DETAIL:
        return False
    lost, blurred = (1 - _correlation(detail, _detail(each)[here]) for each in (laid, _moved_and_back(fixed)))
    return lost <= LOST * max(blurred, LEAST_LOSS)


def _correlation(one: Float32[np.ndarray, "p"], other: Float32[np.ndarray, "p"]) -> float:
    spread = float(one.std() * other.std())
    return float(((one - one.mean()) * (other - other.mean())).mean()) / spread if spread > 0 else 0.0


def _moved_and_back(image: Float32[np.ndarray, "64 64"]) -> Float32[np.ndarray, "64 64"]:
    """The image moved by half a pixel and back: what laying a copy over it costs in sharpness."""
    import cv2

    half = np.array([[1, 0, 0.5], [0, 1, 0.5]], np.float32)
    size, edge = (DETAIL_PX, DETAIL_PX), cv2.BORDER_REPLICATE
    moved = cv2.warpAffine(image, half, size, flags=cv2.INTER_LINEAR, borderMode=edge)
    back: Float32[np.ndarray, "64 64"] = cv2.warpAffine(
        moved, half, size, flags=cv2.INTER_LINEAR + cv2.WARP_INVERSE_MAP, borderMode=edge
    )
    return back


def _plausible(found: Float32[np.ndarray, "2 3"]) -> bool:
    """It turns and scales, and no further than a crop does."""
    (a, b), (c, d) = found[:, :2].tolist()
    zoom = float(np.hypot(a + d, c - b)) / 2
    middle = np.full(2, (DETAIL_PX - 1) / 2)
    shift = np.abs(found[:, :2] @ middle + found[:, 2] - middle).max()
    turned = max(abs(a - d), abs(b + c)) <= DISTORTED
    return turned and 1 / LARGEST_ZOOM <= zoom <= LARGEST_ZOOM and float(shift) <= LARGEST_SHIFT


def _laid(image: np.ndarray, found: np.ndarray, how: int) -> Any:
    import cv2

    return cv2.warpAffine(image, found, (DETAIL_PX, DETAIL_PX), flags=how + cv2.WARP_INVERSE_MAP)


def _detail(image: Float32[np.ndarray, "64 64"]) -> Float32[np.ndarray, "64 64"]:
    """What is finer than two pixels, without the finest noise."""
    import cv2

    smooth = cv2.GaussianBlur(image, (0, 0), 0.7)
    fine: Float32[np.ndarray, "64 64"] = smooth - cv2.GaussianBlur(smooth, (0, 0), 2.1)
    return fine


def _coarse(details: UInt8[np.ndarray, "n 64 64"]) -> Float32[np.ndarray, "n 16 16"]:
    import cv2

    small = np.empty((len(details), COARSE_PX, COARSE_PX), np.float32)
    for place, detail in enumerate(details):
        shrunk = cv2.resize(detail, (COARSE_PX, COARSE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
        small[place] = cv2.GaussianBlur(shrunk, (0, 0), 0.8)
    return small


def _standard(small: Float32[np.ndarray, "n 16 16"]) -> Float32[np.ndarray, "n 256"]:
    flat = np.ascontiguousarray(small).reshape(len(small), COARSE_PX * COARSE_PX)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    flat[length[:, 0] < COARSE_PX] = 0
    scaled: Float32[np.ndarray, "n 256"] = flat / np.maximum(length, 1e-6)
    return scaled
