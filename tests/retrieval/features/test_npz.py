"""Feature files as NumPy arrays."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histokin.archive.store import Store
from histokin.errors import HistokinError
from histokin.retrieval.features.exporting import export_features
from histokin.retrieval.features.npz_features import NpzFile

MakeArchive = Callable[..., Path]


def test_numpy_reads_it_without_pickles(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive(slides=True, count=3, patches=5, dim=7)
    export_features(archive, tmp_path / "out.npz")
    snapshot = Store.open(archive).snapshot()
    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        assert (int(found["version"]), str(found["model_sha"]), int(found["latent_dim"])) == (1, "0123456789ab", 7)
        assert found["features"].tobytes() == np.asarray(snapshot.vectors).tobytes()
        assert found["boxes"].tolist() == snapshot.boxes.tolist()
        assert found["source"].tolist() == snapshot.source_index.tolist()
        assert found["files"].tolist() == [source.path for source in snapshot.sources]
        assert found["labels"].tolist() == ["", "", ""]
        assert json.loads(str(found["recipe"]))["encoder"]["name"] == "net"
        assert json.loads(found["about"][0])["mpp"] == 0.25


def test_sources_come_back_whole(make_archive: MakeArchive, tmp_path: Path) -> None:
    export_features(make_archive(slides=True, count=2, patches=3), tmp_path / "out.npz")
    file = NpzFile(tmp_path / "out.npz")
    assert [(e.file, e.kind, e.patches, e.mpp, e.side, e.reach) for e in file.entries] == [
        (f"/pictures/S{i}.svs", "slide", 3, 0.25, 448, (10, 14)) for i in range(2)
    ]
    assert file.head.recipe is not None
    assert file.head.recipe["grid"]["patch_px"] == 224


def test_arrays_of_somebody_else(tmp_path: Path) -> None:
    """The members that NumPy users would write by hand are enough."""
    np.savez(
        tmp_path / "own.npz",
        version=1,
        model_sha="0123456789ab",
        latent_dim=2,
        files=np.array(["a.png", "b.png"]),
        labels=np.array(["x", ""]),
        source=np.arange(2),
        boxes=np.zeros((2, 4), int),
        features=np.ones((2, 2), np.float32),
    )
    file = NpzFile(tmp_path / "own.npz")
    assert [(entry.file, entry.label, entry.kind) for entry in file.entries] == [
        ("a.png", "x", "image"),
        ("b.png", None, "image"),
    ]
    assert file.head.recipe is None


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "other version": ({"version": 2}, "version is 2"),
    "double precision": ({"features": np.ones((2, 2))}, "float64"),
    "objects": ({"files": np.array([{}, {}], object)}, "damaged"),
    "one dimension": ({"features": np.ones(2, np.float32)}, r"shape \(2,\)"),
    "other dimension": ({"latent_dim": 3}, "latent_dim 3"),
    "column by column": ({"features": np.asfortranarray(np.eye(2, dtype=np.float32) + 1)}, "column by column"),
    "no rows": ({"features": np.ones((0, 2), np.float32)}, "no features"),
    "no columns": ({"features": np.ones((2, 0), np.float32), "latent_dim": 0}, "0 numbers"),
    "NaN": ({"features": np.full((2, 2), np.nan, np.float32)}, "not finite"),
    "fewer labels": ({"labels": np.array(["x"])}, "do not belong together"),
    "sources out of order": ({"source": np.array([1, 0])}, "do not belong together"),
    "a source too many": ({"source": np.array([0, 5])}, "do not belong together"),
    "the same file twice": ({"files": np.array(["a", "a"])}, "do not belong together"),
    "numbers for names": ({"files": np.array([1, 2])}, "do not belong together"),
    "negative boxes": ({"boxes": np.full((2, 4), -1)}, "do not belong together"),
    "a name of nothing": ({"files": np.array(["", "b"])}, "no name"),
    "damaged about": ({"about": np.array([b"{}", b"{}"])}, "what it says of its slide is damaged"),
    "about is no JSON": ({"about": np.array([b"x", b"y"])}, "damaged"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_members_that_do_not_fit_are_refused(kind: str, tmp_path: Path) -> None:
    members: dict[str, Any] = {
        "version": 1,
        "model_sha": "0123456789ab",
        "latent_dim": 2,
        "files": np.array(["a.png", "b.png"]),
        "labels": np.array(["x", ""]),
        "source": np.arange(2),
        "boxes": np.zeros((2, 4), int),
        "features": np.ones((2, 2), np.float32),
    }
    change, cause = CHANGES[kind]
    np.savez(tmp_path / "f.npz", allow_pickle=True, **{**members, **change})
    with pytest.raises(HistokinError, match=cause) as caught:
        NpzFile(tmp_path / "f.npz")
    assert caught.value.path == str(tmp_path / "f.npz")


@pytest.mark.parametrize("missing", ["version", "features", "files", "boxes", "model_sha"])
def test_a_missing_member_is_named(missing: str, tmp_path: Path) -> None:
    members: dict[str, Any] = {"version": 1, "model_sha": "a", "latent_dim": 1, "features": np.ones((1, 1), np.float32)}
    members |= {"files": np.array(["a"]), "labels": np.array(["b"]), "source": np.zeros(1, int)}
    members |= {"boxes": np.zeros((1, 4), int)}
    del members[missing]
    np.savez(tmp_path / "f.npz", **members)
    with pytest.raises(HistokinError, match=missing):
        NpzFile(tmp_path / "f.npz")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), noise=st.binary(min_size=1, max_size=4), cut=st.booleans())
def test_damage_anywhere_is_refused_or_harmless(
    place: float, noise: bytes, cut: bool, make_archive: MakeArchive, tmp_path: Path
) -> None:
    whole, damaged = tmp_path / "whole.npz", tmp_path / "damaged.npz"
    if not whole.exists():
        export_features(make_archive(count=3, dim=4), whole)
    data = whole.read_bytes()
    at = int(place * len(data))
    damaged.write_bytes(data[:at] if cut else data[:at] + noise + data[at + len(noise) :])
    try:
        file = NpzFile(damaged)
    except HistokinError:
        return
    assert all(np.isfinite(chunk.vectors).all() for chunk in file.chunks())
