"""How fast stain normalization is, beside its peers on the same images in the same run.

    python -m benchmarks.stain [IMAGE] [--json FILE] [--methods macenko,reinhard] [--tiles 10000]

Figures are medians of process CPU time on one thread, in megapixels per second (MP/s): compare ratios within one
run, absolute figures move with the machine. Fit, preparation and transform stand apart, for one 224 px tile, one
image (1024 px by default) and a slide. The slide is 10,000 calls on tiles, from importing LLVM to the last tile,
fit and tables included; its tiles come round again after those of a real slide region, so a real slide meets more
colors: the table of all colors is timed beside it. A table kept on disk (stainnet) is computed by the first slide
only; that one is shown apart. Peers are run the way they are used, fitting every image they
normalize, and stand at the better of their speeds on tile and image. Two threads are timed by the wall clock.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

# ruff: noqa: E402  (thread counts are read when numpy is imported)
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2
import numpy as np
from benchmarks.stain_peers import Peer, Peers, peers
from PIL import Image

from histokin.app.demo_slide import demo_slide
from histokin.errors import HistokinError
from histokin.slides.reading import open_slide
from histokin.stain import fast, table_cache
from histokin.stain.color_map import ColorMap, packed
from histokin.stain.registry import NORMALIZERS, normalizer
from histokin.stain.two_stain import TwoStainMap
from histokin.types import RGB, ImageMap, Region

TILE = 224
SAMPLE = 64
"""Tiles that a slide is fitted on, as in indexing."""

DATA = Path(os.environ.get("HISTOKIN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
STAINNET = DATA / "weights" / "stainnet" / "aligned_histopathology_dataset__StainNet-Public_layer3_ch32.pth"

TARGETS = (
    ("macenko", "macenko-pca", 30),
    ("macenko", "torchstain", 50),
    ("vahadane", "stand-in", 100),
    ("reinhard", "8-bit", 10),
    ("reinhard", "float", 40),
    ("bksvd", "direct", 10),
    ("stainnet", "torch", 20),
)
"""Method, peer (by name or kind; ``direct`` is our own plain form), and how many times faster a slide shall be."""


@dataclass
class Method:
    """What one of our normalizers takes; seconds, or MP/s where the name says ``speed``."""

    name: str
    form: str = ""
    fit_tile: float = 0.0
    fit_image: float = 0.0
    fit_slide: float = 0.0
    whole_table: float | None = None
    loop: float = 0.0
    direct_speed: float = 0.0
    tile_direct: float = 0.0
    tile_prepared: float = 0.0
    image_speed: float = 0.0
    prepared_speed: float = 0.0
    slide_speed: float = 0.0
    first_slide_speed: float | None = None
    two_threads: float = 0.0
    peers: dict[str, float] = field(default_factory=dict)


def seconds(
    work: Callable[[], object], least: float = 0.4, runs: int = 5, clock: Callable[[], float] = process_time
) -> float:
    """Median seconds of a call: at least ``runs`` calls and ``least`` seconds, after one to warm up."""
    begin = clock()
    work()
    slow = clock() - begin > 4
    taken: list[float] = []
    while len(taken) < (1 if slow else runs) or (sum(taken) < least and len(taken) < 2000):
        start = clock()
        work()
        taken.append(clock() - start)
    return median(taken)


def loop_seconds() -> float:
    """CPU seconds to import LLVM and compile the loops, in a fresh process."""
    code = (
        "import numpy, histokin.stain.color_map\nfrom time import process_time\nfrom histokin.stain import fast\n"
        "start = process_time(); assert fast.prepare(); print(process_time() - start)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    return median(float(run.stdout) for run in runs)


def direct_form(fitted: ColorMap) -> Callable[[RGB], RGB]:
    """The map computed pixel by pixel without tables: in 64-bit floats where it has such a definition."""
    if isinstance(fitted, TwoStainMap):
        return fitted.matrix.exact if fitted.lasso is None else fitted.lasso.exact
    return fitted.colors


def measure(name: str, image: RGB, tiles: list[RGB], count: int, loop: float) -> Method | str:
    """Every figure of one method, or why there is none."""
    options = {"weights": STAINNET} if name == "stainnet" else {}
    try:
        appearance = normalizer(name, **options)
        tile, pixels = tiles[0], image.size // 3
        fitted = appearance.fit([image])
    except (HistokinError, ImportError) as error:
        return str(error)
    if not isinstance(fitted, ColorMap):
        return "treats no pixel by its color alone" if fitted.status.ok else fitted.status.reason
    done = Method(name, "product of tables" if fitted.product else "table of colors")
    direct = direct_form(fitted)
    done.fit_tile = seconds(lambda: appearance.fit([tile]))
    done.fit_image = seconds(lambda: appearance.fit([image]))
    done.direct_speed = pixels / 1e6 / seconds(lambda: direct(image))
    done.tile_direct = seconds(lambda: direct(tile))
    if fitted.compiled(TILE * TILE) is fitted and direct == fitted.colors:
        done.tile_prepared = done.tile_direct  # the same code
    else:
        done.tile_prepared = seconds(lambda: fitted.compiled(TILE * TILE)(tile))
    done.image_speed = pixels / 1e6 / seconds(lambda: fitted.compiled(pixels)(image))
    if not fitted.product:
        start = process_time()
        packed(fitted.colors)
        done.whole_table = process_time() - start
    start = process_time()
    slide_map = appearance.fit(tiles[:: max(1, len(tiles) // SAMPLE)][:SAMPLE])
    done.fit_slide = process_time() - start
    done.loop = loop
    slide, once = count * TILE * TILE / 1e6, done.fit_slide + done.loop
    done.slide_speed = slide / (once + slide_seconds(slide_map, tiles, count))
    if fitted.cache_key is not None:
        done.first_slide_speed = done.slide_speed
        done.slide_speed = slide / (once + slide_seconds(slide_map, tiles, count))
    prepared = fitted.compiled(10**9)
    done.prepared_speed = pixels / 1e6 / seconds(lambda: prepared(image))
    big = np.tile(image, (4, 4, 1))
    together = fitted.compiled(10**9, threads=2)
    done.two_threads = big.size / 3e6 / seconds(lambda: together(big), clock=perf_counter)
    return done


def slide_seconds(fitted: ImageMap, tiles: list[RGB], count: int) -> float:
    """CPU seconds to prepare a map and put so many tiles through it (the loop itself was compiled before)."""
    assert isinstance(fitted, ColorMap)
    start = process_time()
    mapped = fitted.compiled(count * TILE * TILE)
    for i in range(count):
        mapped(tiles[i % len(tiles)])
    return process_time() - start


def peer_speed(peer: Peer, image: RGB, tile: RGB) -> float:
    """MP/s at its better size."""
    speeds = [tile.size / 3e6 / seconds(lambda: peer.run(tile))]
    if not peer.small:
        speeds.append(image.size / 3e6 / seconds(lambda: peer.run(image)))
    return max(speeds)


def decoding(image: RGB) -> dict[str, float]:
    """MP/s of reading the image from JPEG (quality 90), and of copying it."""
    encoded = BytesIO()
    Image.fromarray(image).save(encoded, "JPEG", quality=90)
    data, megapixels = encoded.getvalue(), image.size / 3e6
    speeds = {"memcpy": megapixels / seconds(image.copy)}
    speeds["Pillow JPEG"] = megapixels / seconds(lambda: np.asarray(Image.open(BytesIO(data)).convert("RGB")))
    try:
        import simplejpeg
    except ImportError:
        return speeds
    speeds["simplejpeg"] = megapixels / seconds(lambda: simplejpeg.decode_jpeg(data))
    return speeds


def verdicts(methods: list[Method], kinds: dict[str, str], jpeg: float) -> list[tuple[str, float, float, bool]]:
    """What was aimed at: (claim, ratio wanted, ratio found, met)."""
    found = []
    by_name = {method.name: method for method in methods}
    for name, who, wanted in TARGETS:
        method = by_name.get(name)
        if method is None:
            continue
        against = {peer: speed for peer, speed in method.peers.items() if who in peer or kinds[peer] == who}
        if who == "direct":
            against = {"our own direct form": method.direct_speed}
        for peer, speed in sorted(against.items(), key=lambda item: -item[1])[:1]:
            ratio = method.slide_speed / speed
            found.append((f"{name}: a slide against {peer}", float(wanted), ratio, ratio >= wanted))
    for method in methods:
        ratio = method.prepared_speed / jpeg
        found.append((f"{method.name}: transform against Pillow's JPEG decoding", 1.0, ratio, ratio >= 1))
        ratio = method.tile_direct / method.tile_prepared
        found.append((f"{method.name}: one {TILE} px tile against computing it directly", 1.0, ratio, ratio >= 1))
    return found


def show(methods: list[Method], base: dict[str, float], jpeg: float) -> None:
    """The table of figures."""
    print("\n  MP/s of reading and copying:  " + "   ".join(f"{name} {speed:,.0f}" for name, speed in base.items()))
    print("\n  ours (fits and preparations in ms, speeds in MP/s)")
    columns = ("fit tile", "fit image", "fit slide", "compile", "all colors", "tile ms", "direct", "image", "prepared")
    print(f"  {'':<10}" + "".join(f"{column:>11}" for column in (*columns, "slide", "2 threads", "/ JPEG")))
    for m in methods:
        numbers = [m.fit_tile * 1e3, m.fit_image * 1e3, m.fit_slide * 1e3, m.loop * 1e3, (m.whole_table or 0) * 1e3]
        numbers += [m.tile_prepared * 1e3, m.direct_speed, m.image_speed, m.prepared_speed, m.slide_speed]
        numbers += [m.two_threads, m.prepared_speed / jpeg]
        print(f"  {m.name:<10}" + "".join(f"{number:>11,.1f}" for number in numbers))
        if m.first_slide_speed is not None:
            print(f"  {'':<10} the first slide of all, which computes the table: {m.first_slide_speed:.1f}")
    print("\n  peers, source fit included (MP/s), and how many times faster ours is at a slide's scale")
    for m in methods:
        for peer, speed in m.peers.items():
            print(f"  {m.name:<10} {peer:<60}{speed:>9.2f}{m.slide_speed / speed:>9.1f} x")


def images_of(path: Path | None) -> tuple[RGB, list[RGB], str]:
    """The image, the tiles of a slide, and what they are."""
    slide_path = DATA / "wsi" / "CMU-1-Small-Region.svs"
    with open_slide(slide_path if slide_path.exists() else demo_slide()) as slide:
        whole = slide.read(Region(0, 0, slide.width, slide.height), slide.width, slide.height)
    places = [(y, x) for y in range(0, len(whole) - TILE + 1, TILE) for x in range(0, whole.shape[1] - TILE + 1, TILE)]
    tiles = [np.ascontiguousarray(whole[y : y + TILE, x : x + TILE]) for y, x in places]
    tissue = [tile for tile in tiles if tile.mean() < 225]
    image = whole[1300:2324, 900:1924] if path is None else np.asarray(Image.open(path).convert("RGB"))
    name = "CMU-1-Small-Region" if path is None else path.name
    return np.ascontiguousarray(image), tissue, f"{name}, {image.shape[1]} x {image.shape[0]} px; {len(tissue)} tiles"


def main() -> None:
    """Print the table and the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="?", type=Path)
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--methods", default="", help="only these, separated by commas")
    parser.add_argument("--strict", action="store_true", help="leave with 1 when something aimed at was missed")
    parser.add_argument("--tiles", type=int, default=10_000, help="tiles of the slide")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    kept = tempfile.TemporaryDirectory()
    os.environ[table_cache.VARIABLE] = kept.name  # a run starts without tables of earlier ones
    image, tiles, what = images_of(asked.image)
    colors = len(np.unique(image.reshape(-1, 3) @ np.array([1, 256, 65536])))
    print(f"{what}; {colors:,} colors; one thread, CPU time; a slide is {asked.tiles:,} tiles of {TILE} px")
    base = decoding(image)
    loop = loop_seconds() if fast.installed() and fast.prepare() else 0.0
    others: Peers = peers(tiles[len(tiles) // 2], str(STAINNET) if STAINNET.exists() else None)
    names = [name for name in asked.methods.split(",") if name] or [n for n in NORMALIZERS.names() if n != "none"]
    methods: list[Method] = []
    for name in names:
        found = measure(name, image, tiles, asked.tiles, loop)
        if isinstance(found, str):
            print(f"  {name}: not measured: {found}")
            continue
        found.peers = {p.name: peer_speed(p, image, tiles[0]) for p in others.found if p.method == name}
        methods.append(found)
    jpeg = base["Pillow JPEG"]
    show(methods, base, jpeg)
    for missing in others.missing:
        print(f"  not installed: {missing}")
    results = verdicts(methods, {p.name: p.kind for p in others.found}, jpeg)
    print("\n  aimed at")
    for claim, wanted, ratio, met in results:
        print(f"  {'met' if met else 'MISSED':<7} {claim:<90} {ratio:>8.2f} x of {wanted:g} x")
    if asked.json:
        asked.json.write_text(
            json.dumps({"base": base, "methods": [asdict(m) for m in methods], "aims": results}, indent=2) + "\n"
        )
    sys.exit(1 if asked.strict and not all(met for *_, met in results) else 0)


if __name__ == "__main__":
    main()
