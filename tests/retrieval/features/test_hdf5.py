"""HDF5 files of one slide each, as TRIDENT and CLAM write them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histokin.archive.store import Store
from histokin.errors import HistokinError, UsageError
from histokin.retrieval.features.base import Asked
from histokin.retrieval.features.exporting import export_features
from histokin.retrieval.features.hdf5_file import require_h5py
from histokin.retrieval.features.registry import feature_format
from histokin.retrieval.features.trident_features import magnification

h5py = pytest.importorskip("h5py")
MakeArchive = Callable[..., Path]


def write(path: Path, features: Any, coords: Any, attributes: dict[str, Any] | None = None, **more: Any) -> Path:
    """As both programs do: resizable, in chunks, attributes on ``coords``."""
    with h5py.File(path, "w") as file:
        for name, values in {"features": features, "coords": coords, **more}.items():
            if values is not None:
                values = np.asarray(values)
                resizable = (
                    {"maxshape": (None, *values.shape[1:]), "chunks": (1, *values.shape[1:])}
                    if values.ndim and values.size
                    else {}
                )
                file.create_dataset(name, data=values, **resizable)
        for key, value in (attributes or {}).items():
            file["coords"].attrs[key] = value
    return path


def trident(path: Path, features: Any = None, **changes: Any) -> Path:
    features = np.ones((3, 4), np.float32) if features is None else features
    attributes = {
        "patch_size": 256,
        "patch_size_level0": 512,
        "level0_magnification": 40,
        "target_magnification": 20,
        "overlap": 0,
        "name": "S1",
        "savetodir": "/elsewhere",
        "level0_width": 9000,
        "level0_height": 7000,
    }
    coords = np.array([[0, 0], [512, 0], [512, 1024]])[: len(features)]
    return write(path, features, coords, {**attributes, **changes})


def clam(path: Path, **changes: Any) -> Path:
    attributes = {
        "patch_size": 256,
        "patch_level": 1,
        "downsample": (4.0, 4.0),
        "downsampled_level_dim": (2250, 1750),
        "level_dim": (2250, 1750),
        "name": "S1",
        "save_path": "/elsewhere",
    }
    coords = np.array([[0, 0], [1024, 0]], np.int32)
    return write(
        path, np.ones((2, 4), np.float32), coords, {k: v for k, v in (attributes | changes).items() if v is not None}
    )


def read(path: Path, name: str = "hdf5", **asked: Any) -> Any:
    return feature_format(name).read(path, Asked(**asked))


def test_trident_attributes_are_read(tmp_path: Path) -> None:
    file = read(trident(tmp_path / "S1.h5"))
    (entry,) = file.entries
    assert (entry.file, entry.kind, entry.patches, entry.patch_px, entry.side) == ("S1", "slide", 3, 256, 512)
    assert (entry.mpp, entry.nominal, entry.size, entry.reach) == (0.25, True, (9000, 7000), (512, 1024))
    (chunk,) = file.chunks()
    assert chunk.boxes.tolist() == [[0, 0, 512, 512], [512, 0, 512, 512], [512, 1024, 512, 512]]
    assert chunk.vectors.tolist() == np.ones((3, 4)).tolist()


def test_what_the_user_says_of_the_scale_wins_over_a_magnification(tmp_path: Path) -> None:
    (entry,) = read(trident(tmp_path / "S1.h5"), mpp=0.2265).entries
    assert (entry.mpp, entry.nominal) == (0.2265, False)


def test_a_side_follows_from_magnifications(tmp_path: Path) -> None:
    path = trident(tmp_path / "S1.h5")
    with h5py.File(path, "a") as file:
        del file["coords"].attrs["patch_size_level0"]
    assert read(path).entries[0].side == 512


@pytest.mark.parametrize(
    ("changes", "side"), [({}, 1024), ({"custom_downsample": 2}, 2048), ({"patch_level": 0, "downsample": None}, 256)]
)
def test_clam_attributes_are_read(changes: dict[str, Any], side: int, tmp_path: Path) -> None:
    (entry,) = read(clam(tmp_path / "S1.h5", **changes)).entries
    assert (entry.patch_px, entry.side, entry.mpp) == (256, side, None)


def test_clam_without_attributes_asks_for_the_size(tmp_path: Path) -> None:
    path = write(tmp_path / "S1.h5", np.ones((3, 4), np.float32), [[0, 0], [256, 0], [256, 512]])
    with pytest.raises(HistokinError, match=r"how large its patches are \(they lie 256 pixels apart\)") as caught:
        read(path)
    assert "--patch-size" in caught.value.remedy
    (entry,) = read(path, patch_size=256).entries
    assert (entry.file, entry.side) == ("S1", 256)
    (named,) = read(write(tmp_path / "a.ome.h5", np.ones((1, 4), np.float32), [[0, 0]]), patch_size=9).entries
    assert named.file == "a.ome"


def test_a_reduced_level_of_unknown_factor_asks_for_the_size(tmp_path: Path) -> None:
    with pytest.raises(HistokinError, match="pixels of level 1"):
        read(clam(tmp_path / "S1.h5", downsample=None))
    assert read(clam(tmp_path / "S1.h5", downsample=None), patch_size=1024).entries[0].side == 1024


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_any_float_becomes_float32(kind: type, tmp_path: Path) -> None:
    values: np.ndarray = np.array([[0.5, -1.25]], kind)
    (chunk,) = read(trident(tmp_path / "S1.h5", values)).chunks()
    assert chunk.vectors.dtype == np.float32
    assert chunk.vectors.tolist() == [[0.5, -1.25]]


def test_a_leading_axis_of_one_is_passed_over(tmp_path: Path) -> None:
    path = write(
        tmp_path / "S.h5", np.ones((1, 2, 4), np.float32), np.zeros((1, 2, 2), int), {"patch_size": 9, "patch_level": 0}
    )
    assert read(path).entries[0].patches == 2
    assert sum(len(chunk.entry) for chunk in read(path).chunks()) == 2


def test_trident_layout_is_written(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive(slides=True, count=2, patches=5)
    report = export_features(archive, tmp_path / "features")
    assert (report.format, report.files, report.patches) == ("trident", 2, 10)
    with h5py.File(tmp_path / "features" / "S1.h5") as file:
        features, coords = file["features"], file["coords"]
        assert (features.dtype, coords.dtype, features.shape, coords.shape) == (np.float32, np.int64, (5, 48), (5, 2))
        assert coords[:].tolist() == [[5 * i, 7 * i] for i in range(5)]
        assert dict(features.attrs) == {"name": "S1", "savetodir": str(tmp_path / "features")}
        assert dict(coords.attrs) == {
            "patch_size": 224,
            "patch_size_level0": 448,
            "level0_magnification": 40,
            "target_magnification": 20,
            "overlap": 0,
            "name": "S1",
            "savetodir": str(tmp_path / "features"),
            "level0_width": 900,
            "level0_height": 700,
        }
        assert features[:].tobytes() == np.asarray(Store.open(archive).snapshot().vectors[5:]).tobytes()


def test_clam_layout_is_written(make_archive: MakeArchive, tmp_path: Path) -> None:
    export_features(make_archive(slides=True, count=1, patches=2), tmp_path / "features", format="clam")
    with h5py.File(tmp_path / "features" / "S0.h5") as file:
        coords = file["coords"]
        assert coords.dtype == np.int32
        attributes = {key: np.asarray(value).tolist() for key, value in coords.attrs.items()}
        assert attributes == {
            "patch_size": 448,
            "patch_level": 0,
            "downsample": [1.0, 1.0],
            "downsampled_level_dim": [900, 700],
            "level_dim": [900, 700],
            "name": "S0",
            "save_path": str(tmp_path / "features"),
        }
        assert file["features"].maxshape == (None, 48)


def test_slides_of_one_name_get_files_of_their_own(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive(count=2)
    store = Store.open(archive)
    with store.writer():
        for source in store.sources():
            store.relink(source.id, f"/other/{source.label}/same.png", 1)
    report = export_features(archive, tmp_path / "features")
    names = sorted(path.name for path in (tmp_path / "features").iterdir())
    assert (report.files, len(names)) == (2, 2)
    assert all(name.startswith("same-id-") for name in names)


@pytest.mark.parametrize(
    ("mpp", "name"), [(0.1, 80), (0.16, 60), (0.25, 40), (0.5, 20), (1.0, 10), (2.0, 5), (4.0, None), (None, None)]
)
def test_magnifications(mpp: float | None, name: int | None) -> None:
    assert magnification(mpp) == name


ONES = np.ones((2, 4), np.float32)
CORNERS = np.zeros((2, 2), int)
BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no HDF5": (lambda p: p.write_bytes(b"\x89PNG nothing" * 99), "no whole HDF5 file"),
    "empty": (lambda p: p.write_bytes(b""), "no whole HDF5 file"),
    "cut off": (
        lambda p: trident(p, np.ones((900, 4), np.float32)[:3]) and p.write_bytes(p.read_bytes()[:700]),
        "HDF5",
    ),
    "no features": (lambda p: write(p, None, CORNERS), "no dataset 'features'.*coords"),
    "no coords": (lambda p: write(p, ONES, None), "no dataset 'coords'"),
    "a group": (lambda p: h5py.File(p, "w").create_group("features"), "is not a dataset"),
    "one vector": (lambda p: write(p, np.ones(4, np.float32), CORNERS), "one vector of 4 numbers for the whole slide"),
    "whole numbers": (lambda p: write(p, np.ones((2, 4), int), CORNERS), "of type int64"),
    "four axes": (lambda p: write(p, np.ones((2, 4, 1, 1), np.float32), CORNERS), "have the shape"),
    "no patches": (lambda p: write(p, np.ones((0, 4), np.float32), np.zeros((0, 2), int)), "no features"),
    "no numbers": (lambda p: write(p, np.ones((2, 0), np.float32), CORNERS), "0 numbers"),
    "fewer coords": (lambda p: write(p, ONES, np.zeros((1, 2), int)), "for 2 features"),
    "coords of three": (lambda p: write(p, ONES, np.zeros((2, 3), int)), "for 2 features"),
    "coords left of the slide": (lambda p: write(p, ONES, CORNERS - 1), "outside every slide"),
    "coords far away": (lambda p: write(p, ONES, CORNERS + (1 << 40)), "outside every slide"),
    "NaN coords": (lambda p: write(p, ONES, CORNERS * np.nan), "outside every slide"),
    "NaN": (lambda p: trident(p, np.full((2, 4), np.nan, np.float32)), "not finite"),
    "too large": (lambda p: trident(p, np.full((2, 4), 1e300)), "too large for float32"),
    "size in words": (lambda p: trident(p, patch_size="large"), "'patch_size' is 'large'"),
    "size of nothing": (lambda p: trident(p, patch_size_level0=0), "'patch_size_level0' is 0"),
    "a name that is no text": (lambda p: trident(p, name=np.bytes_(b"S\xff1")), "not valid UTF-8"),
    "damaged description": (
        lambda p: write(p, ONES, CORNERS, {"patch_size": 9, "patch_level": 0}, histokin=b"{}x"),
        "damaged",
    ),
    "boxes of others": (
        lambda p: write(p, ONES, CORNERS, {"patch_size": 9, "patch_level": 0}, boxes=np.ones((1, 4), int)),
        "'boxes' do not belong",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_named_with_the_cause(kind: str, tmp_path: Path) -> None:
    make, cause = BROKEN[kind]
    made = make(tmp_path / "S1.h5")
    if hasattr(made, "file"):
        made.file.close()
    with pytest.raises(HistokinError, match=cause) as caught:
        read(tmp_path / "S1.h5")
    assert caught.value.path == str(tmp_path / "S1.h5")
    assert caught.value.remedy


def test_ragged_features_are_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "S1.h5", "w") as file:
        ragged = file.create_dataset("features", (2,), h5py.vlen_dtype(np.float32))
        ragged[0], ragged[1] = [1.0], [1.0, 2.0]
        file["coords"] = CORNERS
    with pytest.raises(HistokinError, match="lists of different lengths"):
        read(tmp_path / "S1.h5")


def test_values_outside_the_file_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(32))
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("features", (2, 4), np.float32, external=[(str(tmp_path / "secret"), 0, 32)])
    trident(tmp_path / "other.h5")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["features"] = h5py.ExternalLink("other.h5", "/features")
    for name in ("raw", "link"):
        with pytest.raises(HistokinError, match="not a dataset in this file"):
            read(tmp_path / f"{name}.h5")


def test_a_file_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "S1.h5", "w") as file:
        file.create_dataset("features", (1 << 40, 1024), np.float32, chunks=(32, 1024))
    with pytest.raises(HistokinError, match="a file of this size cannot hold"):
        read(tmp_path / "S1.h5")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HistokinError, match="no such file"):
        read(tmp_path / "absent.h5")


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), noise=st.binary(min_size=1, max_size=4), cut=st.booleans())
def test_damage_anywhere_is_refused_or_harmless(place: float, noise: bytes, cut: bool, tmp_path: Path) -> None:
    whole = tmp_path / "whole.h5"
    data = (whole if whole.exists() else trident(whole)).read_bytes()
    at = int(place * len(data))
    (tmp_path / "damaged.h5").write_bytes(data[:at] if cut else data[:at] + noise + data[at + len(noise) :])
    try:
        file = read(tmp_path / "damaged.h5")
    except HistokinError:
        return
    assert all(np.isfinite(chunk.vectors).all() for chunk in file.chunks())


def test_without_h5py_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(UsageError, match=r"pip install 'histokin\[features\]'"):
        require_h5py()
