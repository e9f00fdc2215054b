"""Small stores with content that can be told apart."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histokin.archive.records import PatchBatch, Source
from histokin.archive.store import Store

MakeSource = Callable[..., Source]
MakeBatch = Callable[..., PatchBatch]
DIM = 4


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "archive", {"encoder": "e"}, dim=DIM, metric="euclidean")


@pytest.fixture(scope="session")
def make_source() -> MakeSource:
    def make(name: str, *, identity: str | None = None, label: str | None = None) -> Source:
        return Source(
            id=identity or f"id-{name}",
            kind="slide",
            path=f"/data/{name}",
            name=name,
            digest=f"digest-{name}",
            size=10,
            mtime_ns=5,
            width=1000,
            height=800,
            mpp=0.5,
            label=label,
            columns={"organ": "colon"},
            group=name,
            appearance={"method": "none"},
            counts={},
            thumbnail=f"jpeg of {name}".encode(),
        )

    return make


@pytest.fixture(scope="session")
def make_batch() -> MakeBatch:
    """Patches whose vectors hold ``value``, the running number, and zeros."""

    def make(source: Sequence[int], value: float = 1.0, dim: int = DIM) -> PatchBatch:
        count = len(source)
        vectors = np.zeros((count, dim), np.float32)
        vectors[:, 0], vectors[:, 1] = value, np.arange(count)
        boxes = np.stack([np.arange(count), np.arange(count), np.full(count, 9), np.full(count, 9)], axis=1)
        return PatchBatch(
            source=np.array(source, np.int32),
            boxes=boxes.astype(np.int32),
            tissue=np.full(count, 0.75, np.float32),
            flags=["blur" if i % 2 else "" for i in range(count)],
            vectors=vectors,
            crops=[f"crop {value} {i}".encode() for i in range(count)],
        )

    return make


@pytest.fixture(scope="session")
def new_source() -> MakeSource:
    """A slide by the name of its file without the ending; any field may be given."""

    def make(name: str, **fields: Any) -> Source:
        given = {
            "id": name,
            "kind": "slide",
            "path": f"/slides/{name}.svs",
            "name": f"{name}.svs",
            "digest": name,
            "size": 10,
            "mtime_ns": 5,
            "width": 1000,
            "height": 800,
            "mpp": 0.5,
            "label": None,
            "columns": {},
            "group": name,
            "appearance": {},
            "counts": {},
        }
        return Source(**{**given, **fields})

    return make
