"""How fast exact search is, beside ``faiss.IndexFlatL2`` on the same vectors in the same run.

    python benchmarks/search_latency.py [--rows 100000] [--dim 192] [--sources 1000 100000]

Clustered vectors; medians of wall time in milliseconds, for one and two threads, each in a process of its own.
Then what a fresh process needs to open a store, view it and answer its first query, with the search cache and
without. Absolute figures move with the machine: compare ratios within one run. Needs faiss (``histokin[bench]``).
"""

import argparse
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from histokin.archive.exact import nearest_per_group, search
from histokin.archive.records import PatchBatch, Source
from histokin.archive.store import Store

COMMIT = 512
COLD = """
import sys
from pathlib import Path
from time import perf_counter
import numpy as np
from histokin.archive.exact import search
from histokin.archive.store import Store
began = perf_counter()
snapshot = Store.open(Path(sys.argv[1])).snapshot()
opened = perf_counter()
search(snapshot.vectors, snapshot.norms, np.array(snapshot.vectors[:1]), 10, metric="euclidean")
print(opened - began, perf_counter() - opened)
"""


def clustered(rows: int, dim: int) -> np.ndarray:
    """Rows around 500 centers, as embeddings of tissue lie."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(500, dim)).astype(np.float32)
    vectors = rng.normal(size=(rows, dim)).astype(np.float32)
    vectors *= 0.3
    vectors += centers[rng.integers(0, len(centers), rows)]
    return vectors


def milliseconds(work: Callable[[], object], runs: int) -> float:
    """Median wall time of a call, after one to warm up."""
    work()
    taken = []
    for _ in range(runs):
        began = perf_counter()
        work()
        taken.append(perf_counter() - began)
    return 1e3 * median(taken)


def compare(rows: int, dim: int, threads: int) -> None:
    """One table: ours, faiss, and their ratio."""
    faiss: Any = importlib.import_module("faiss")

    faiss.omp_set_num_threads(threads)
    rng = np.random.default_rng(1)
    vectors = clustered(rows, dim)
    norms = np.einsum("ij,ij->i", vectors, vectors)
    queries = vectors[rng.choice(rows, 64)] + 0.1 * rng.normal(size=(64, dim)).astype(np.float32)
    index = faiss.IndexFlatL2(dim)
    index.add(vectors)
    runs = 15 if rows <= 200_000 else 5
    print(f"\n{rows:,} x {dim}, {threads} thread(s)      ours ms   faiss ms   ours/faiss   same neighbors")
    for count in (1, 64):
        asked = queries[:count]
        for share in (1.0, 0.01, 0.5):
            mask = rng.random(rows) < share
            chosen = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little")))
            params, allowed = (None, None) if share == 1 else (chosen, mask)

            def ours(asked: np.ndarray = asked, allowed: np.ndarray | None = allowed) -> np.ndarray:
                return search(vectors, norms, asked, 10, metric="euclidean", rows=allowed).rows

            def theirs(asked: np.ndarray = asked, params: object = params) -> np.ndarray:
                return np.asarray(index.search(asked, 10, params=params)[1])

            a, b, same = milliseconds(ours, runs), milliseconds(theirs, runs), float((ours() == theirs()).mean())
            name = f"{count} queries, {share:.0%} of rows"
            print(f"  {name:<26}{a:>12.2f}{b:>11.2f}{a / b:>13.2f}{same:>17.4f}")
        for size in (1, 100):
            starts = np.arange(0, rows + 1, size, dtype=np.int64)

            def grouped(asked: np.ndarray = asked, starts: np.ndarray = starts) -> object:
                return nearest_per_group(vectors, norms, asked, starts, metric="euclidean")

            print(f"  {f'{count} queries, slides of {size}':<26}{milliseconds(grouped, 3):>12.2f}")


def fill(path: Path, vectors: np.ndarray, sources: int) -> Store:
    """A store of these vectors: slides one by one, or loose images in batches."""
    store = Store.create(path, {}, dim=vectors.shape[1], metric="euclidean")
    each = len(vectors) // sources
    at_once = COMMIT if each == 1 else 1
    with store.writer():
        for first in range(0, sources, at_once):
            last = min(first + at_once, sources)
            store.commit([source(i) for i in range(first, last)], batches(vectors, first, last, each))
            store.maybe_compact()
    return store


def source(number: int) -> Source:
    """A source with as much about it as an indexed file has."""
    path = f"/data/slides/centre-{number % 7}/{number:06d}.svs"
    columns = {"patient": f"P{number // 3}", "centre": str(number % 7)}
    stain = {"method": "macenko", "matrix": [[0.56, 0.72, 0.41], [0.22, 0.8, 0.55]], "maxima": [1.9, 1.0]}
    counts = {"kept": 100, "background": 40}
    group = str(number // COMMIT)
    return Source(
        f"{number:016x}", "slide", path, path[-10:], "d" * 32, 9, 9, 9, 9, 0.5, "tumor", columns, group, stain, counts
    )


def batches(vectors: np.ndarray, first: int, last: int, each: int) -> Iterator[PatchBatch]:
    """The patches of some sources."""
    mine = vectors[first * each : last * each]
    count = len(mine)
    boxes = np.zeros((count, 4), np.int32)
    which = np.repeat(np.arange(last - first, dtype=np.int32), each)
    yield PatchBatch(which, boxes, np.ones(count, np.float32), [""] * count, mine, None)


def cold(rows: int, dim: int, sources: int) -> None:
    """What a fresh process needs before its first answer."""
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        store = fill(Path(folder) / "archive", clustered(rows, dim), sources)
        print(f"\n{rows:,} x {dim} from {sources:,} sources, written in {perf_counter() - began:.1f} s")
        shutil.rmtree(store.path / "cache", ignore_errors=True)
        for name in ("no cache", "cache", "cache"):
            began = perf_counter()
            run = subprocess.run(
                [sys.executable, "-c", COLD, str(store.path)], capture_output=True, text=True, check=True
            )
            whole = perf_counter() - began
            opened, searched = (1e3 * float(word) for word in run.stdout.split())
            print(
                f"  {name:<9} open and view {opened:>8.0f} ms, search {searched:>5.0f} ms, process {1e3 * whole:.0f} ms"
            )


def main() -> None:
    """Both parts, the first once per number of threads."""
    parser = argparse.ArgumentParser(description="Exact search beside faiss, and a first answer from a fresh process.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--sources", type=int, nargs="*", default=[1_000, 100_000])
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.threads:
        compare(given.rows, given.dim, given.threads)
        return
    for threads in (1, 2):
        limits = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        command = [sys.executable, __file__, "--rows", str(given.rows), "--dim", str(given.dim)]
        subprocess.run([*command, "--threads", str(threads)], env={**os.environ, **limits}, check=True)
    for sources in given.sources:
        cold(given.rows, given.dim, sources)


if __name__ == "__main__":
    main()
