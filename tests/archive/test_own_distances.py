"""Is there anything like the query? Thresholds worked out by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histokin.archive.calibration import Alike, own_distances
from histokin.archive.records import PatchBatch
from histokin.archive.store import Store

Make = Callable[..., Any]


def placed(source: list[int], values: list[float], x: list[int]) -> PatchBatch:
    count = len(source)
    vectors = np.zeros((count, 4), np.float32)
    vectors[:, 0] = values
    boxes = np.stack([x, [0] * count, [10] * count, [10] * count], axis=1).astype(np.int32)
    return PatchBatch(np.array(source, np.int32), boxes, np.ones(count, np.float32), [""] * count, vectors, None)


def test_threshold_and_percentile_by_hand() -> None:
    own = np.arange(1.0, 102.0)
    alike = Alike.of(51.0, own)
    assert alike.threshold == 96.0
    assert alike.percentile == pytest.approx(100 * 51 / 101)
    assert Alike.of(0.5, own).percentile == 0
    assert Alike.of(1e9, own).percentile == 100
    assert Alike.of(1.0, np.empty(0)) == Alike(1.0, None, None)


def test_a_patch_is_not_compared_with_its_own_source(store: Store, make_source: Make) -> None:
    store.commit([make_source("a"), make_source("b")], [placed([0, 0, 1, 1], [0, 1, 10, 10.5], [0, 0, 0, 0])])
    assert own_distances(store.snapshot()).tolist() == [9, 9, 9.5, 10]


def test_one_slide_leaves_out_its_neighbors(store: Store, make_source: Make) -> None:
    # At x = 0, 10 and 40: the first two touch.
    store.commit([make_source("a")], [placed([0, 0, 0], [0, 1, 5], [0, 10, 40])])
    assert own_distances(store.snapshot()).tolist() == [4, 4, 5]


def test_too_few_to_tell(store: Store, make_source: Make, make_batch: Make) -> None:
    assert own_distances(store.snapshot()).size == 0
    store.commit([make_source("a")], [make_batch([0])])
    assert own_distances(store.snapshot()).size == 0
    store.commit([make_source("b")], [])
    assert own_distances(store.snapshot()).size == 0


def test_measured_once_and_again_where_damaged(
    store: Store, make_source: Make, make_batch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit([make_source("a"), make_source("b")], [make_batch([0, 1])])
    own = own_distances(store.snapshot())
    (kept,) = store.snapshot().folder.glob("own-distances-*.npy")
    kept.write_bytes(b"garbage")
    assert own_distances(store.snapshot()).tolist() == own.tolist()
    monkeypatch.setattr("histokin.archive.calibration.search", None)
    assert own_distances(store.snapshot()).tolist() == own.tolist()


def test_an_archive_that_cannot_be_written_to(
    store: Store, make_source: Make, make_batch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit([make_source("a"), make_source("b")], [make_batch([0, 1])])
    snapshot = store.snapshot()

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "open", refuse)
    assert own_distances(snapshot).tolist() == [1, 1]
