"""How fast stain normalization is, on one thread: fit, compile and transform apart, beside its peers.

    python benchmarks/stain_transform.py [IMAGE]

Figures are medians of process CPU time on one H&E image (1024 x 1024 by default), in megapixels per second
where they are speeds. Compare ratios within one run: absolute figures move with the machine. Peers are run
the way they are used: torchstain fits every image it normalizes, so its figure holds a fit of the source.
"""

import argparse
import os
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from statistics import median
from time import process_time

# ruff: noqa: E402  (thread counts are read when numpy is imported)
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2
import numpy as np
from PIL import Image

from histokin.app.demo_slide import demo_slide
from histokin.slides.reading import open_slide
from histokin.stain import fast
from histokin.stain.color_map import ColorMap, look_up, packed
from histokin.stain.registry import map_from_dict, normalizer
from histokin.stain.two_stain import TwoStainMap
from histokin.types import RGB, Region

SLIDE = 10_000 * 224 * 224


def seconds(work: Callable[[], object], least: float = 0.6, runs: int = 5) -> float:
    """Median CPU seconds of a call: at least ``runs`` calls and ``least`` seconds, after one to warm up."""
    work()
    taken: list[float] = []
    while len(taken) < runs or sum(taken) < least:
        start = process_time()
        work()
        taken.append(process_time() - start)
    return median(taken)


def once(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = process_time()
    work()
    return process_time() - start


NUMBA_SECONDS = once(fast.prepare) if fast.installed() else 0.0


def row(name: str, megapixels: float, taken: float, jpeg: float) -> None:
    """One line: speed, time, and speed over that of decoding JPEG (``jpeg``, MP/s)."""
    speed = megapixels / taken
    print(f"  {name:<46}{speed:>10.1f} MP/s {taken * 1e3:>10.2f} ms {speed / jpeg:>8.2f}")


def preparation(name: str, taken: float) -> None:
    """One line: a cost paid once."""
    print(f"  {name:<46}{taken * 1e3:>29.2f} ms")


def peers(image: RGB, megapixels: float, jpeg: float) -> None:
    """torchstain's numpy back end, on float64 as it comes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torchstain
    except ImportError:
        print("  torchstain is not installed (extra dev)")
        return
    for name in ("Reinhard", "Macenko"):
        peer = getattr(torchstain.normalizers, f"{name}Normalizer")(backend="numpy")
        peer.fit(image)
        work = (
            (lambda p=peer: p.normalize(image, stains=False))
            if name == "Macenko"
            else (lambda p=peer: p.normalize(image))
        )
        row(f"torchstain numpy {name} (fit and transform)", megapixels, seconds(work, runs=3), jpeg)


def ours(name: str, image: RGB, megapixels: float, jpeg: float) -> None:
    """Fit, compile and transform of one of our normalizers."""
    appearance = normalizer(name)
    fitted = appearance.fit([image])
    if not isinstance(fitted, ColorMap):
        print(f"  {name}: nothing to measure, {fitted.status.reason}")
        return
    tile = np.ascontiguousarray(image[:224, :224])
    row(f"{name} fit", megapixels, seconds(lambda: appearance.fit([image])), jpeg)
    if isinstance(fitted, TwoStainMap):
        matrix = fitted.matrix
        row(f"{name} computed in 64-bit floats", megapixels, seconds(lambda: matrix.exact(image)), jpeg)
    row(f"{name} as it is", megapixels, seconds(lambda: fitted(image)), jpeg)
    tile_mp = tile.size / 3e6
    row(f"{name} one 224 px tile: fit and transform", tile_mp, seconds(lambda: appearance.fit([tile])(tile)), jpeg)
    forms(name, fitted, image, megapixels, jpeg)


def forms(name: str, fitted: ColorMap, image: RGB, megapixels: float, jpeg: float) -> None:
    """The prepared forms, with and without numba: what they cost, and a slide of 10,000 tiles, costs included."""
    product, slide = fitted.product, SLIDE / 1e6
    table = None if product else packed(fitted.colors)
    build = 0.0 if product else once(lambda: packed(fitted.colors))
    if product:
        rebuilt = once(lambda: map_from_dict(fitted.to_dict())(image[:1, :1]))
        preparation(f"{name} tables: build, and one pixel", rebuilt)
    else:
        preparation(f"{name} table of all colors: build", build)

    def plain() -> RGB:
        return fitted(image) if table is None else look_up(image, table)

    def numba() -> RGB:
        if product:
            return fast.product(image, product.tables, product.offset)
        assert table is not None
        return fast.gather(image, table)

    for form, work, cost in (("numpy", plain, build), ("numba", numba, build + NUMBA_SECONDS)):
        if form == "numba" and not fast.ready():
            return
        taken = seconds(work)
        row(f"{name} prepared, {form}", megapixels, taken, jpeg)
        row(f"{name} slide of 10,000 tiles, {form}", slide, cost + taken * slide / megapixels, jpeg)


def demo_region(path: Path) -> RGB:
    """1024 x 1024 pixels of the demo's slide, for those without the reference images."""
    with open_slide(path) as slide:
        return slide.read(Region(900, 1300, 1024, 1024), 1024, 1024)


def main() -> None:
    """Print the table."""
    data = Path(os.environ.get("HISTOKIN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = data / "stain-reference" / "mitkovetta" / "example1.tif"
    parser.add_argument("image", nargs="?", type=Path, default=usual)
    path = parser.parse_args().image
    if path == usual and not path.exists():
        path = demo_slide()
    cv2.setNumThreads(1)
    image = demo_region(path) if path.suffix == ".svs" else np.ascontiguousarray(Image.open(path).convert("RGB"))
    megapixels = image.size / 3e6
    colors = len(np.unique(image.reshape(-1, 3) @ np.array([1, 256, 65536])))
    print(f"{path.name}: {image.shape[1]} x {image.shape[0]} px, {colors:,} colors; one thread, CPU time")
    print(f"  {'':<46}{'speed':>15} {'time':>13} {'/ JPEG':>8}")
    encoded = BytesIO()
    Image.fromarray(image).save(encoded, "JPEG", quality=90)
    jpeg = megapixels / seconds(lambda: np.asarray(Image.open(BytesIO(encoded.getvalue())).convert("RGB")))
    row("Pillow JPEG decoding (quality 90)", megapixels, megapixels / jpeg, jpeg)
    row("memcpy", megapixels, seconds(image.copy), jpeg)
    peers(image, megapixels, jpeg)
    if fast.installed():
        preparation("numba: import and compile, once per process", NUMBA_SECONDS)
    else:
        print("  numba is not installed (extra fast)")
    for name in ("reinhard", "macenko"):
        ours(name, image, megapixels, jpeg)


if __name__ == "__main__":
    main()
