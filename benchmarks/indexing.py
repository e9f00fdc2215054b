"""Where the time of indexing goes: CPU-seconds per 1000 patches, stage by stage, on one slide.

    python benchmarks/indexing.py SLIDE [--normalizer macenko] [--encoder NAME] [--patches 1000]

The stages run one after another on one thread, so their CPU-seconds add up to the whole.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from histokin.app.demo_slide import demo_slide
from histokin.encoders.registry import DEFAULT_ENCODER
from histokin.retrieval.archive import Archive
from histokin.retrieval.index_slide import find_tissue, make_batch
from histokin.retrieval.preparing import Ready, fast_form, fit_slide, jpeg
from histokin.retrieval.recipe import DEFAULT_NORMALIZER, Recipe
from histokin.retrieval.sources import Described, make_source
from histokin.slides.fingerprint import fingerprint
from histokin.slides.quality import is_blurred
from histokin.slides.reading import open_slide

T = TypeVar("T")


class Clock:
    """CPU-seconds by stage."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def __call__(self, stage: str, work: Callable[[], T]) -> T:
        began = time.process_time()
        result = work()
        self.spent[stage] = self.spent.get(stage, 0.0) + time.process_time() - began
        return result


def measure(path: Path, recipe: Recipe, most: int) -> tuple[dict[str, float], int]:
    """CPU-seconds of each stage and the number of patches they were spent on."""
    clock = Clock()
    prepared = recipe.prepare()
    px = prepared.grid.patch_px
    prepared.encoder.encode([np.zeros((px, px, 3), np.uint8)])  # the first call allocates
    with tempfile.TemporaryDirectory() as folder, open_slide(path) as slide:
        store = Archive.create(Path(folder) / "archive", recipe).store
        tissue = clock("tissue mask", lambda: find_tissue(slide, prepared.grid))
        patches = tissue.patches[:most]
        fitted = clock(
            "stain fit", lambda: fit_slide(slide, [p.region for p in tissue.patches], prepared.appearance, px)
        )
        mapped = clock("color tables", lambda: fast_form(fitted, len(patches) * px * px))
        images = clock("read", lambda: [slide.read(p.region, px, px) for p in patches])
        clock("blur check", lambda: [is_blurred(image, prepared.grid.mpp) for image in images])
        crops = clock("crops", lambda: [jpeg(image) for image in images])
        comparable = clock("normalize", lambda: [mapped(image) for image in images])
        vectors = clock("encode", lambda: prepared.encoder.encode(comparable))
        ready = [Ready(p.region, i, c, p.tissue, ()) for p, i, c in zip(patches, images, crops, strict=True)]
        batch = make_batch(ready, vectors, np.zeros(len(ready), np.int32), crops=True)
        row = make_source(
            slide,
            path,
            fingerprint(path),
            Described(None, {}, None),
            mpp=slide.mpp,
            group=None,
            appearance=fitted.to_dict(),
            counts=dict(tissue.counts),
            thumbnail=None,
        )

        def commit() -> None:
            with store.writer():
                store.commit([row], [batch])

        clock("store", commit)
    return clock.spent, len(patches)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path, nargs="?", help="default: the demo's slide")
    parser.add_argument("--normalizer", default=DEFAULT_NORMALIZER)
    parser.add_argument("--encoder", default=DEFAULT_ENCODER)
    parser.add_argument("--patches", type=int, default=1000)
    given = parser.parse_args()
    options = {"threads": 1} if given.encoder != "color-histogram" else {}
    recipe = Recipe(normalizer=given.normalizer, encoder=given.encoder, encoder_options=options)
    slide = (given.slide or demo_slide()).absolute()
    spent, patches = measure(slide, recipe, given.patches)
    total = sum(spent.values())
    print(f"{slide.name}: {patches} patches, {given.normalizer}, {given.encoder}, one thread")
    print(f"{'stage':<14}{'CPU-s per 1000 patches':>24}{'share':>8}")
    for stage, seconds in spent.items():
        print(f"{stage:<14}{1000 * seconds / patches:>24.2f}{seconds / total:>8.1%}")
    print(f"{'all':<14}{1000 * total / patches:>24.2f}")


if __name__ == "__main__":
    main()
