"""StainGAN as a normalizer: generators in ONNX form, small and random ones made here."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histokin.errors import MissingStyle, NotComparable, UnreadableFile, UnsupportedFormat, UsageError
from histokin.nets import generator
from histokin.nets.generator import load_generator
from histokin.stain import stain_gan
from histokin.stain.base import Appearance
from histokin.stain.color_map import ColorMap
from histokin.stain.registry import appearance_from_dict, map_from_dict, normalizer
from histokin.stain.stain_gan import OVERLAP, TILE, StainGAN, tiled
from histokin.testing.appearance import AppearanceContract, hostile_images, synthetic_he

onnx = pytest.importorskip("onnx")


def write_generator(
    path: Path,
    *,
    seed: int = 0,
    side: int = 1,
    norm: bool = False,
    said: dict[str, str] | str | None = None,
    shape: tuple[Any, ...] = ("n", 3, "h", "w"),
    outputs: int = 3,
    scale: float = 1.0,
) -> Path:
    """A generator of one convolution, near the identity before its tanh, with instance normalization if asked."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 0.05, (outputs, 3, side, side)).astype(np.float32)
    weight[range(min(3, outputs)), range(min(3, outputs)), side // 2, side // 2] += 1.5
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    tensors = {"w": weight * np.float32(scale), "b": np.zeros(outputs, np.float32)}
    nodes = [helper.make_node("Conv", ["image", "w", "b"], ["made"], pads=[side // 2] * 4)]
    if norm:
        tensors |= {"one": np.ones(outputs, np.float32), "zero": np.zeros(outputs, np.float32)}
        nodes.append(helper.make_node("InstanceNormalization", ["made", "one", "zero"], ["normed"]))
    nodes.append(helper.make_node("Tanh", ["normed" if norm else "made"], ["out"]))
    graph = helper.make_graph(
        nodes,
        "generator",
        [helper.make_tensor_value_info("image", floats, shape)],
        [helper.make_tensor_value_info("out", floats, (shape[0], outputs, *shape[2:]))],
        [onnx.numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if said is not None:
        helper.set_model_props(model, {"histokin": said if isinstance(said, str) else json.dumps(said)})
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    said = {"kind": "stain-gan", "style": "A", "target": "B", "profile": "reduced", "steps": "3/100"}
    return write_generator(tmp_path_factory.mktemp("gan") / "a.onnx", said=said)


class TestStainGAN(AppearanceContract):
    degenerate = ()

    @pytest.fixture(autouse=True)
    def _weights(self, weights: Path) -> None:
        self.weights = weights

    def build(self, *, strict: bool = False) -> Appearance:
        return StainGAN(weights=self.weights)


class TestStainGANTruncating(TestStainGAN):
    def build(self, *, strict: bool = False) -> Appearance:
        return StainGAN(weights={"A": str(self.weights)}, style="A", legacy_truncate=True)


def direct(path: Path, image: np.ndarray) -> np.ndarray:
    """The network on an image whose sides suit it, without this package."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    planes = (image.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
    made = session.run(None, {"image": planes})[0][0].transpose(1, 2, 0)
    return np.asarray(np.rint((np.clip(made, -1, 1) * 0.5 + 0.5) * 255), np.uint8)


@pytest.mark.parametrize("norm", [False, True])
def test_a_whole_image_is_the_network_itself(tmp_path: Path, norm: bool) -> None:
    path = write_generator(tmp_path / "g.onnx", side=3, norm=norm)
    image = synthetic_he(px=64)[:48]
    mapped = StainGAN(weights=path).fit([])(image)
    assert np.abs(mapped.astype(int) - direct(path, image)).max() <= 1
    assert not np.array_equal(mapped, image)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 50), (17, 18), (61, 67), (16, 512), (509, 9)])
def test_any_size_is_mirrored_to_what_the_network_takes(tmp_path: Path, height: int, width: int) -> None:
    path = write_generator(tmp_path / "g.onnx", side=3)
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    mapped = StainGAN(weights=path).fit([])(image)
    assert mapped.shape == image.shape
    tall, wide = (-(-max(side, 16) // 4) * 4 for side in (height, width))
    mirrored = image[np.ix_(_mirror(tall, height), _mirror(wide, width))]
    assert np.abs(mapped.astype(int) - direct(path, mirrored)[:height, :width]).max() <= 1


def _mirror(count: int, length: int) -> np.ndarray:
    """0, 1, ..., length-1, length-2, ..., 0, 1, ... as far as count."""
    if length == 1:
        return np.zeros(count, int)
    back = np.arange(count) % (2 * length - 2)
    return np.minimum(back, 2 * length - 2 - back)


def test_what_the_network_sees_is_bounded_and_even(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []

    def run(tile: np.ndarray) -> np.ndarray:
        seen.append(tile.shape)
        return tile.astype(np.float32) / 127.5 - 1

    image = np.random.default_rng(0).integers(0, 256, (TILE + 300, 3 * TILE + 1, 3), np.uint8)
    assert np.array_equal(tiled(image, run), image)
    assert set(seen) == {(TILE, TILE, 3)}
    starts = stain_gan._starts(3 * TILE + 1)
    assert starts[0] == 0
    assert starts[-1] == 2 * TILE + 1
    assert max(np.diff(starts)) <= TILE - OVERLAP
    assert len(seen) == 2 * len(starts)


def test_tiles_are_blended_without_a_step() -> None:
    """Tiles that come out in different greys pass into each other by at most a few levels per pixel."""
    greys = iter(np.linspace(-0.8, 0.8, 6).astype(np.float32))

    def run(tile: np.ndarray) -> np.ndarray:
        return np.full(tile.shape, next(greys), np.float32)

    image = np.zeros((TILE + 200, 2 * TILE + 77, 3), np.uint8)
    made = tiled(image, run).astype(int)
    assert made.max() - made.min() > 100
    assert np.abs(np.diff(made, axis=0)).max() <= 4
    assert np.abs(np.diff(made, axis=1)).max() <= 4


def test_shares_of_tiles_add_up_to_one() -> None:
    for length in (1, 40, TILE, TILE + 1, TILE + OVERLAP, 2 * TILE, 5 * TILE + 3):
        starts = stain_gan._starts(length)
        total = np.zeros(length)
        for start, share in zip(starts, stain_gan._shares(length, starts), strict=True):
            assert share.min() > 0
            total[start : start + len(share)] += share
        assert np.allclose(total, 1, atol=1e-12)


def test_tiled_and_whole_agree_where_only_near_pixels_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_generator(tmp_path / "g.onnx", side=3)
    fitted = StainGAN(weights=path).fit([])
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    whole = fitted(image)
    monkeypatch.setattr(stain_gan, "TILE", 96)
    monkeypatch.setattr(stain_gan, "OVERLAP", 32)
    assert np.abs(fitted(image).astype(int) - whole)[1:-1, 1:-1].max() <= 30
    far = np.abs(fitted(image).astype(int) - whole)
    assert np.mean(far <= 1) > 0.97


def test_hostile_images_come_out_defined(tmp_path: Path) -> None:
    path = write_generator(tmp_path / "g.onnx", side=3, norm=True)
    fitted = StainGAN(weights=path).fit([])
    for name, image in hostile_images().items():
        mapped, status = fitted.apply(image)
        assert mapped.shape == image.shape, name
        assert status.ok
    assert not isinstance(fitted, ColorMap)


def test_files_are_opened_once_and_known_by_their_digest(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_generator(weights, "stain-gan")

    def never(*_: object) -> object:
        raise AssertionError("opened again")

    monkeypatch.setattr(generator, "open_session", never)
    monkeypatch.setattr(generator, "file_digest", never)
    assert load_generator(weights, "stain-gan", first.digest) is first
    assert first.metadata["target"] == "B"
    image = synthetic_he(px=32)
    StainGAN(weights=weights).fit([])(image)
    map_from_dict(StainGAN(weights=str(weights)).fit([]).to_dict())(image)


def test_a_changed_or_missing_file_is_refused(tmp_path: Path) -> None:
    path = write_generator(tmp_path / "g.onnx")
    appearance = StainGAN(weights=path)
    fitted = appearance.fit([])
    image = synthetic_he(px=32)
    fitted(image)
    rebuild: list[Callable[[], Any]] = [
        partial(fitted.apply, image),
        partial(map_from_dict, fitted.to_dict()),
        partial(appearance_from_dict, appearance.to_dict()),
    ]
    write_generator(path, seed=1)
    for use in rebuild:
        with pytest.raises(NotComparable, match="have changed") as caught:
            use()
        assert caught.value.path == str(path)
        assert caught.value.remedy
    path.unlink()
    for use in rebuild:
        with pytest.raises(UnreadableFile, match="No such file") as missing:
            use()
        assert missing.value.remedy
    write_generator(path)
    for use in rebuild:
        use()


def test_files_that_hold_no_generator(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    write: list[Callable[[], object]] = [
        partial(path.write_bytes, b""),
        partial(path.write_bytes, b"rubbish" * 100),
        lambda: path.write_bytes(write_generator(tmp_path / "whole.onnx").read_bytes()[:-40]),
        partial(write_generator, path, shape=("n", 3, 64, 64)),
        partial(write_generator, path, shape=("n", 3, "h", "w"), outputs=1),
        partial(write_generator, path, said={"kind": "stainnet"}),
        partial(write_generator, path, said="no json"),
        partial(write_generator, path, said="[1]"),
        partial(write_generator, path, scale=float("nan")),
    ]
    for make in write:
        make()
        with pytest.raises(UnsupportedFormat) as caught:
            StainGAN(weights=path)
        assert caught.value.path == str(path)
        assert caught.value.remedy
    with pytest.raises(UnreadableFile):
        StainGAN(weights=tmp_path)


def test_a_file_without_metadata_is_taken(tmp_path: Path) -> None:
    path = write_generator(tmp_path / "g.onnx")
    assert load_generator(path, "stain-gan").metadata == {}


def test_without_weights_it_tells_how_to_come_by_them(weights: Path) -> None:
    with pytest.raises(UsageError, match="needs trained weights") as caught:
        normalizer("stain-gan")
    assert "histokin train stain-gan" in caught.value.remedy
    with pytest.raises(UsageError, match="takes no target"):
        normalizer("stain-gan", target={}, weights=weights)
    for wrong in ({"": {"path": str(weights)}}, {"": {"sha256": "0" * 64, "path": 3}}, 7):
        with pytest.raises(UsageError):
            StainGAN(weights=wrong)


def test_styles(tmp_path: Path) -> None:
    paths = {style: write_generator(tmp_path / f"{style}.onnx", seed=seed) for seed, style in enumerate("AB")}
    both = StainGAN(weights=paths)
    a, b = both.for_style("A"), both.for_style("B")
    image = synthetic_he(px=32)
    assert a.fit([]).space == b.fit([]).space == both.space
    assert not np.array_equal(a.fit([])(image), b.fit([])(image))
    assert np.array_equal(b.fit([])(image), StainGAN(weights=paths["B"]).fit([])(image))
    with pytest.raises(MissingStyle, match="stain-gan has no weights for centre 'C'"):
        both.for_style("C")
    with pytest.raises(MissingStyle, match="not known"):
        both.fit([])
    one = StainGAN(weights=paths["A"])
    assert one.for_style("anything") is one
    assert a.describe()["options"]["weights"]["A"]["path"] == str(paths["A"])


def test_truncation_is_rounding_or_one_level_darker(weights: Path) -> None:
    image = synthetic_he(px=64)
    rounded = StainGAN(weights=weights).fit([])(image).astype(int)
    cut = StainGAN(weights=weights, legacy_truncate=True).fit([])(image).astype(int)
    assert set(np.unique(rounded - cut)) == {0, 1}
