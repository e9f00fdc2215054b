"""What placing a query costs: 21 images of 512 px, 13 turns, at a quarter of the size; and what it costs a peer.

    python -m benchmarks.placing [--peer]

Set OMP_NUM_THREADS=1 for one core. CPU seconds a query, the best of several runs: images given as they are, images in
a gallery that has seen a query of that size, and what scikit-image's masked normalized correlation (Padfield's, as
ours) takes for the same turns and images, without choosing among them.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np

from histokin.retrieval.subimage.gallery import Gallery
from histokin.retrieval.subimage.placing import RANKING, place_in_all

COUNT, SIDE, SHRINK = 21, 512, 4


def least(work: Callable[[], Any], repeats: int) -> float:
    """CPU seconds of the fastest of several runs."""
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def textured(channels: int, seed: int) -> np.ndarray:
    """Smooth noise."""
    noise = np.random.default_rng(seed).random((SIDE, SIDE, channels)).astype(np.float32)
    smooth: np.ndarray = cv2.GaussianBlur(noise, (0, 0), 3).reshape(SIDE, SIDE, channels)
    return smooth


def peer(query: np.ndarray, images: list[np.ndarray]) -> None:
    """Every turn of the query in every image by scikit-image; one channel."""
    from skimage.registration import phase_cross_correlation

    small = [
        cv2.resize(image[..., 0], (SIDE // SHRINK, SIDE // SHRINK), interpolation=cv2.INTER_AREA) for image in images
    ]
    asked = cv2.resize(query[..., 0], None, fx=1 / SHRINK, fy=1 / SHRINK, interpolation=cv2.INTER_AREA)
    height, width = asked.shape
    for angle in RANKING.turns:
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
        turned = cv2.warpAffine(asked, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpAffine(np.ones_like(asked), matrix, (width, height)) > 0.99
        for image in small:
            seen = np.ones(image.shape, bool)
            phase_cross_correlation(image, turned, reference_mask=seen, moving_mask=mask, overlap_ratio=0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="store_true", help="scikit-image too (slow)")
    given = parser.parse_args()
    for channels in (1, 3):
        images = [textured(channels, seed) for seed in range(COUNT)]
        for side in (512, 256, 160):
            start = (SIDE - side) // 2
            query = images[3][start : start + side, start : start + side]
            gallery = Gallery(images)
            place_in_all(query, gallery, RANKING)
            once = least(partial(place_in_all, query, images, RANKING), 3)
            kept = least(partial(place_in_all, query, gallery, RANKING), 3)
            line = f"{channels} channels, query of {side} px: {once:.3f} CPU-s, in a gallery {kept:.3f}"
            if given.peer and channels == 1:
                other = least(partial(peer, query, images), 1)
                line += f", scikit-image {other:.2f} ({other / once:.0f} and {other / kept:.0f} times ours)"
            print(line, flush=True)


if __name__ == "__main__":
    main()
