"""What a bag of words costs: describing an image, learning 20,000 words, assigning them, searching 10,000 images.

    python -m benchmarks.bag_of_words [surf|words|search] [--images FOLDER] [--passes 10] [--words 20000]

Set OMP_NUM_THREADS=1 for one core. Wall and CPU seconds are printed, the best of several runs: on a busy computer the
CPU seconds, divided by the number of cores, are what an idle one takes. ``words`` learns from descriptors of real
images, each in four turns; ``search`` from counts drawn like those of 512-pixel images (about 7,500 different words).
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.sparse

from histokin.archive.inverted import InvertedIndex
from histokin.encoders.surf import DenseSurf
from histokin.encoders.vocabulary import PER_WORD, learn_vocabulary, nearest_words
from histokin.types import Image

DATA = Path(os.environ.get("HISTOKIN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def timed(what: str, work: Callable[[], Any], repeats: int = 5) -> Any:
    """Print the least wall and CPU seconds of several runs."""
    walls, cpus, made = [], [], None
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        made = work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    print(f"{what}: {min(walls):.3f} s, {min(cpus):.3f} CPU-s", flush=True)
    return made


def loops(image: Image, xy: np.ndarray, width: int) -> np.ndarray:
    """Upright SURF at some points by plain loops over samples, on an integral image."""
    scale, half = width / 20, round(width / 20)
    margin = 4 * width
    total = np.pad(image[..., 0].astype(np.int64), margin, mode="edge").cumsum(0).cumsum(1)
    total = np.pad(total, ((1, 0), (1, 0)))

    def box(x0: int, y0: int, x1: int, y1: int) -> int:
        return int(total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0])

    out = np.zeros((len(xy), 4, 4, 4))
    for n, (x, y) in enumerate(xy.astype(int).tolist()):
        for i in range(20):
            for j in range(20):
                px, py = margin + x + round((j - 9.5) * scale), margin + y + round((i - 9.5) * scale)
                dx = box(px, py - half, px + half, py + half) - box(px - half, py - half, px, py + half)
                dy = box(px - half, py, px + half, py + half) - box(px - half, py - half, px + half, py)
                weight = np.exp(-((i - 9.5) ** 2 + (j - 9.5) ** 2) / (2 * 3.3**2))
                out[n, i // 5, j // 5] += weight * np.array([dx, dy, abs(dx), abs(dy)])
    flat: np.ndarray = out.reshape(len(xy), 64)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    return flat


def surf() -> None:
    """Dense SURF of an 834 x 834 image, beside plain loops over a few of its points."""
    noise = np.random.default_rng(0).integers(0, 256, (834, 834), dtype=np.uint8)
    image = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)[..., None]
    points = timed("upright SURF, 834 x 834, 44,100 descriptors", lambda: DenseSurf().describe(image))
    timed("oriented SURF, 834 x 834", lambda: DenseSurf(upright=False).describe(image), 2)
    some = np.arange(0, 105**2, 450)
    began = time.process_time()
    plain = loops(image, points.xy[some], 32)
    share = 4 * 105**2 / len(some)
    print(f"plain loops, from {len(some)} points: {share * (time.process_time() - began):.1f} CPU-s for all")
    print(f"largest difference: {np.abs(plain - points.descriptors[some]).max():.1e}")


def words(folder: Path, count: int, passes: int) -> None:
    """Learning the words, and assigning the descriptors of one image to them."""
    descriptors = []
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".png", ".tif", ".tiff", ".jpg"))
    for file in files:
        image = np.asarray(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), np.uint8)[..., None]
        descriptors += [DenseSurf().describe(np.rot90(image, k).copy()).descriptors for k in range(4)]
        if sum(map(len, descriptors)) >= PER_WORD * count:
            break
    pooled = np.concatenate(descriptors)[: PER_WORD * count]
    print(f"{len(pooled)} descriptors of {folder}, {passes} passes")
    vocabulary = timed(f"learning {count} words", lambda: learn_vocabulary(pooled, count, iterations=passes), 1)
    for size in (4096, 44_100):
        timed(f"nearest words of {size} descriptors", partial(nearest_words, pooled[:size], vocabulary), 2)


def search(images: int, count: int) -> None:
    """One query against many images."""
    draws = np.random.default_rng(0)
    shares = draws.lognormal(0, 1, count)
    rates = 13_000 * shares / shares.sum()
    columns, values, ends = [], [], [0]
    for _ in range(images):
        row = draws.poisson(rates)
        held = np.flatnonzero(row)
        columns.append(held.astype(np.int32))
        values.append(row[held].astype(np.float32))
        ends.append(ends[-1] + len(held))
    counts = scipy.sparse.csr_matrix(
        (np.concatenate(values), np.concatenate(columns), np.array(ends)), shape=(images, count)
    )
    print(f"{images} images, {count} words, {counts.nnz / images:.0f} different ones in an image")
    index = timed("building the index", lambda: InvertedIndex(counts), 1)
    for name, part in (("a whole image", 1.0), ("a patch with a tenth of the words", 0.1)):
        asked = counts[5].copy()
        asked.data = np.where(draws.random(asked.nnz) < part, asked.data, 0)
        found = timed(f"query by {name}, best 100", partial(index.search, asked, 100), 9)
        print(f"  first hit: row {found.rows[0, 0]}, similarity {found.similarity[0, 0]:.3f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=("surf", "words", "search"))
    parser.add_argument("--images", type=Path, default=DATA / "bf-shg")
    parser.add_argument("--words", type=int, default=20_000)
    parser.add_argument("--passes", type=int, default=10)
    parser.add_argument("--archive", type=int, default=10_000, help="images to search")
    asked = parser.parse_args()
    if asked.part in (None, "surf"):
        surf()
    if asked.part in (None, "words"):
        words(asked.images, asked.words, asked.passes)
    if asked.part in (None, "search"):
        search(asked.archive, asked.words)


if __name__ == "__main__":
    main()
