"""Archives of vectors that nobody had to encode."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from histokin.archive.records import PatchBatch, Source
from histokin.archive.store import Store
from histokin.encoders.imported import IMPORTED, Imported
from histokin.retrieval.recipe import Prepared
from histokin.slides.grid import Grid
from histokin.stain.registry import normalizer

MakeArchive = Callable[..., Path]
SPACE = "net/0123456789ab/fp32"


def prepared(dim: int, metric: str = "euclidean", space: str = SPACE) -> Prepared:
    """A recipe around an encoder that this installation does not have."""
    made = Imported(called="net", space=space, dim=dim, metric="cosine" if metric == "cosine" else "euclidean")
    return Prepared(Grid(), normalizer("none"), made, IMPORTED, made.options, False)


def a_source(name: str, *, kind: str = "image", mpp: float | None = None, patches: int = 1) -> Source:
    return Source(
        id=f"id-{name.replace('/', '-')}",
        kind=kind,
        path=f"/pictures/{name}",
        name=Path(name).name,
        digest=f"digest-{name}",
        size=10,
        mtime_ns=5,
        width=900,
        height=700,
        mpp=mpp,
        label=name.split("/", maxsplit=1)[0] if "/" in name else None,
        columns={"organ": "colon"} if mpp else {},
        group=name,
        appearance={"method": "unchanged", "space": "raw", "code": "ok", "reason": ""},
        counts={"grid": patches, "kept": patches},
    )


def rows(count: int, patches: int, vectors: np.ndarray, side: int) -> Iterator[PatchBatch]:
    source = np.repeat(np.arange(count, dtype=np.int32), patches)
    step = np.tile(np.arange(patches, dtype=np.int32), count)
    boxes = np.stack([step * 5, step * 7, np.full_like(step, side), np.full_like(step, side)], axis=1)
    for start in range(0, len(source), 1000):
        part = slice(start, start + 1000)
        size = len(source[part])
        tissue = np.full(size, 0.5, np.float32)
        yield PatchBatch(source[part], boxes[part], tissue, [""] * size, vectors[part], None)


@pytest.fixture
def make_archive(tmp_path: Path) -> MakeArchive:
    """An archive of images in classes, or of slides with several patches each; vectors are given or random."""

    def make(
        name: str = "archive",
        *,
        count: int = 12,
        patches: int = 1,
        dim: int = 48,
        vectors: np.ndarray | None = None,
        slides: bool = False,
        metric: str = "euclidean",
        space: str = SPACE,
    ) -> Path:
        made = prepared(dim, metric, space)
        store = Store.create(tmp_path / name, made.to_dict(), dim=dim, metric=metric)
        if vectors is None:
            vectors = np.random.default_rng(3).normal(size=(count * patches, dim)).astype(np.float32)
        if slides:
            sources = [a_source(f"S{i}.svs", kind="slide", mpp=0.25, patches=patches) for i in range(count)]
        else:
            sources = [a_source(f"{'ab'[i % 2]}/{i}.png", patches=patches) for i in range(count)]
        store.commit(sources, rows(count, patches, vectors, 448 if slides else 224))
        return tmp_path / name

    return make
