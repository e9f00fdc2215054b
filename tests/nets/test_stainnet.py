"""StainNet's weights and its exact forward pass."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from histokin.errors import HistokinError, UnreadableFile, UnsupportedFormat, UsageError
from histokin.nets.stainnet import Layer, StainNetWeights, read_stainnet, write_stainnet
from histokin.nets.stainnet_run import StainNetRunner

PUBLISHED = (
    "aligned_cytopathology_dataset__StainNet-3x0_best_psnr_layer3_ch32.pth",
    "aligned_histopathology_dataset__StainNet-Public_layer3_ch32.pth",
    "camelyon16_dataset__StainNet-Public-centerUni_layer3_ch32.pth",
)


def weights(sides: Sequence[int] = (1, 1, 1), channels: int = 32, seed: int = 0, scale: float = 1.0) -> StainNetWeights:
    """A network with PyTorch's usual initialization."""
    rng = np.random.default_rng(seed)
    widths = [3, *[channels] * (len(sides) - 1), 3]
    layers = []
    for inputs, outputs, side in zip(widths, widths[1:], sides, strict=False):
        bound = scale / np.sqrt(inputs * side**2)
        weight = rng.uniform(-bound, bound, (outputs, inputs, side, side))
        bias = rng.uniform(-bound, bound, outputs)
        layers.append(Layer(weight.astype(np.float32), bias.astype(np.float32)))
    return StainNetWeights(tuple(layers))


def as_torch(given: StainNetWeights) -> Any:
    torch = pytest.importorskip("torch")
    parts: list[Any] = []
    for layer in given.layers:
        outputs, inputs, side, _ = layer.weight.shape
        convolution = torch.nn.Conv2d(inputs, outputs, side, padding=side // 2)
        with torch.no_grad():
            convolution.weight.copy_(torch.from_numpy(layer.weight))
            convolution.bias.copy_(torch.from_numpy(layer.bias))
        parts += [convolution, torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1])


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_the_published_shape_has_1283_parameters() -> None:
    net = weights()
    assert net.parameters == 1283
    assert net.pointwise
    assert net.reach == 0
    assert weights((3, 1, 1)).parameters == 1283 + 8 * 96
    assert not weights((3, 1, 1)).pointwise
    assert weights((3, 3, 5)).reach == 4


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_checkpoints_are_read_as_pytorch_reads_them(shared_data: Path, name: str) -> None:
    torch = pytest.importorskip("torch")
    path = shared_data / "weights" / "stainnet" / name
    read = read_stainnet(path)
    assert read.parameters == 1283
    state = torch.load(path, map_location="cpu", weights_only=True)
    parts = [part for layer in read.layers for part in (layer.weight, layer.bias)]
    for mine, theirs in zip(parts, state.values(), strict=True):
        assert np.array_equal(mine, theirs.numpy())


@pytest.mark.parametrize(
    ("sides", "channels"),
    [
        ((1, 1, 1), 32),
        ((3, 1, 1), 32),
        ((3, 3, 1), 32),
        ((3, 3, 3), 32),
        ((1, 3, 5), 7),
        ((1,), 1),
        ((3,), 1),
        ((1, 1), 1),
        ((1,) * 8, 64),
        ((3,) * 6, 16),
    ],
)
def test_the_same_as_pytorch(sides: tuple[int, ...], channels: int) -> None:
    torch = pytest.importorskip("torch")
    net, image = weights(sides, channels, seed=len(sides)), noise(37, 53)
    with torch.no_grad():
        planes = torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float64))
        expected = as_torch(net).double()((planes / 255 - 0.5) / 0.5)[0].numpy().transpose(1, 2, 0)
    assert np.abs(StainNetRunner(net).run(image) - expected).max() < 2e-5


def test_closer_to_the_exact_answer_than_single_precision(shared_data: Path) -> None:
    torch = pytest.importorskip("torch")
    net = read_stainnet(shared_data / "weights" / "stainnet" / PUBLISHED[0])
    image = noise(64, 64)
    with torch.no_grad():
        planes = (torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float64)) / 255 - 0.5) / 0.5
        module = as_torch(net)
        single = module(planes.float()).double()
        exact = module.double()(planes)
    mine = np.abs(StainNetRunner(net).run(image) - exact[0].numpy().transpose(1, 2, 0)).max()
    assert mine < 1e-6
    assert mine < 2 * float((single - exact).abs().max())


@pytest.mark.parametrize("sides", [(1, 1, 1), (1, 1, 1, 1, 1)])
def test_shuffled_pixels_give_shuffled_answers_to_the_last_bit(sides: tuple[int, ...]) -> None:
    runner, image = StainNetRunner(weights(sides)), noise(71, 83)
    whole = runner.run(image)
    order = np.random.default_rng(1).permutation(71 * 83)
    shuffled = image.reshape(-1, 3)[order].reshape(71, 83, 3)
    assert np.array_equal(runner.run(shuffled).reshape(-1, 3), whole.reshape(-1, 3)[order])
    for y, x in ((0, 0), (70, 82), (35, 12)):
        assert np.array_equal(runner.run(image[y : y + 1, x : x + 1])[0, 0], whole[y, x])


@pytest.mark.parametrize("sides", [(1, 1, 1), (3, 1, 1), (3, 3, 3), (5, 1, 3)])
def test_a_crop_is_the_whole_to_the_last_bit_beyond_its_margin(sides: tuple[int, ...]) -> None:
    net = weights(sides)
    runner, image, margin = StainNetRunner(net), noise(90, 110), net.reach
    whole = runner.run(image)
    crop = runner.run(image[13:61, 22:99])
    inner = slice(margin, None if not margin else -margin)
    assert np.array_equal(crop[inner, inner], whole[13:61, 22:99][inner, inner])
    assert np.array_equal(runner.run(image[:40])[: 40 - margin], whole[: 40 - margin])


def test_strips_of_a_large_image_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    from histokin.nets import stainnet_run

    runner, image = StainNetRunner(weights((3, 1, 5))), noise(97, 61)
    whole = runner.run(image)
    for strip in (1, 61 * 13, 61 * 40):
        monkeypatch.setattr(stainnet_run, "STRIP", strip)
        assert np.array_equal(runner.run(image), whole)
    for parts, product in ((1, 1), (3, 1 << 13), (64, 1 << 20)):
        monkeypatch.setattr(stainnet_run, "PARTS", parts)
        monkeypatch.setattr(stainnet_run, "PRODUCT", product)
        assert np.array_equal(StainNetRunner(weights((3, 1, 5))).run(image), whole)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([1, 1, 3, 5]), min_size=1, max_size=5),
    st.integers(1, 40),
    st.integers(0, 1000),
    st.floats(0.01, 8),
)
def test_every_sum_is_exact(sides: list[int], channels: int, seed: int, scale: float) -> None:
    """In another order of channels and pixels the sums have other partial sums, and the answers are the same."""
    net, image = weights(sides, channels, seed, scale), noise(9, 14, seed)
    order = [np.arange(3)]
    rng = np.random.default_rng(seed)
    layers = []
    for i, layer in enumerate(net.layers):
        after = np.arange(3) if i + 1 == len(net.layers) else rng.permutation(channels)
        layers.append(Layer(layer.weight[after][:, order[-1]].copy(), layer.bias[after].copy()))
        order.append(after)
    try:
        expected = StainNetRunner(net).run(image)
    except UsageError:
        assume(False)
    assert np.isfinite(expected).all()
    assert np.array_equal(StainNetRunner(StainNetWeights(tuple(layers))).run(image), expected)


def test_all_partial_sums_stay_below_two_to_the_53() -> None:
    for net in (weights(), weights((3, 3, 3)), weights((1, 1), 200, scale=30.0)):
        steps = StainNetRunner(net)._steps
        high = np.full(3, 255.0)
        low = -high
        for step in steps:
            up = (np.maximum(step.matrices, 0) @ high + np.minimum(step.matrices, 0) @ low).sum(axis=0)
            down = (np.minimum(step.matrices, 0) @ high + np.maximum(step.matrices, 0) @ low).sum(axis=0)
            assert (np.maximum(up, -down) + np.abs(step.bias[:, 0])).max() < 2.0**53
            high = np.rint(np.maximum(up + step.bias[:, 0], 0) * 2.0 ** (step.digits_out - step.digits)) + 1
            low = np.zeros_like(high)


def test_rounding_and_the_published_truncation() -> None:
    keep = Layer(np.eye(3, dtype=np.float32)[..., None, None], np.zeros(3, np.float32))
    net = StainNetWeights((keep,))
    image = noise(16, 16)
    assert np.array_equal(StainNetRunner(net).colors(image), image)
    up = StainNetWeights((Layer(keep.weight, np.full(3, 0.7 / 127.5, np.float32)),))
    dim = image // 2
    assert np.array_equal(StainNetRunner(up).colors(dim), dim + 1)
    assert np.array_equal(StainNetRunner(up).colors(dim, truncate=True), dim)
    bright = StainNetWeights((Layer(keep.weight * 9, np.full(3, 5.0, np.float32)),))
    assert StainNetRunner(bright).colors(image).max() == 255
    assert StainNetRunner(bright).colors(np.zeros((2, 2, 3), np.uint8)).min() == 0


def test_images_without_pixels_and_read_only_ones() -> None:
    for runner in (StainNetRunner(weights()), StainNetRunner(weights((3, 1)))):
        for shape in ((0, 7, 3), (7, 0, 3)):
            assert runner.colors(np.zeros(shape, np.uint8)).shape == shape
        image = noise(20, 30)
        image.flags.writeable = False
        assert np.array_equal(runner.colors(image[::-1, ::2]), runner.colors(image[::-1, ::2].copy()))


def test_threads_share_a_runner() -> None:
    runner = StainNetRunner(weights((3, 1, 1)))
    images = [noise(40, 40, seed) for seed in range(8)]
    alone = [runner.colors(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(a, b) for a, b in zip(alone, pool.map(runner.colors, images), strict=True))


def test_written_and_read_again(tmp_path: Path) -> None:
    net = weights((3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), 8)  # more than ten layers: numbers, not texts, are sorted
    said = {"style": "A", "target": "B", "teacher": "stain-gan", "profile": "reduced", "steps": "10/300"}
    path = write_stainnet(net, tmp_path / "net.safetensors", said)
    read = read_stainnet(path)
    assert read.digest == net.digest
    assert read.metadata == {**said, "kind": "stainnet"}
    for mine, theirs in zip(read.layers, net.layers, strict=True):
        assert np.array_equal(mine.weight, theirs.weight)
        assert np.array_equal(mine.bias, theirs.bias)
    assert [file.name for file in tmp_path.iterdir()] == ["net.safetensors"]
    again = StainNetWeights.from_dict(read.to_dict())
    assert again.digest == read.digest
    assert again.to_dict() == read.to_dict()
    from safetensors.numpy import load_file

    assert set(load_file(path)) == {f"layers.{i}.{part}" for i in range(11) for part in ("weight", "bias")}
    with pytest.raises(UsageError, match="cannot be written"):
        write_stainnet(net, tmp_path / "no" / "net.safetensors")


def test_the_digest_is_of_the_numbers(tmp_path: Path) -> None:
    net = weights()
    assert StainNetWeights(net.layers, {"style": "A"}).digest == net.digest
    changed = net.layers[1].weight.copy()
    changed[3, 4, 0, 0] = np.nextafter(changed[3, 4, 0, 0], np.float32(1))
    other = StainNetWeights((net.layers[0], Layer(changed, net.layers[1].bias), net.layers[2]))
    assert other.digest != net.digest


def test_files_that_hold_no_stainnet(tmp_path: Path) -> None:
    from safetensors.numpy import save

    good = weights().layers
    first = {"layers.0.weight": good[0].weight, "layers.0.bias": good[0].bias}
    nan = good[0].weight.copy()
    nan[0, 0, 0, 0] = np.nan
    wrong: list[tuple[dict[str, np.ndarray], dict[str, str]]] = [
        (first, {}),
        ({**first, "layers.1.weight": good[2].weight}, {}),
        ({**first, "extra": np.zeros(3, np.float32)}, {}),
        ({"layers.0.weight": np.zeros((3, 3, 2, 2), np.float32), "layers.0.bias": np.zeros(3, np.float32)}, {}),
        ({"layers.0.weight": np.zeros((3, 3, 1, 1), np.int32), "layers.0.bias": np.zeros(3, np.int32)}, {}),
        ({"layers.0.weight": np.zeros((3, 3), np.float32), "layers.0.bias": np.zeros(3, np.float32)}, {}),
        ({"layers.0.weight": nan[:3, :3], "layers.0.bias": np.zeros(3, np.float32)}, {}),
        ({"layers.0.weight": np.zeros((3, 3, 1, 1), np.float32), "layers.0.bias": np.zeros(2, np.float32)}, {}),
        (
            {"layers.0.weight": np.ones((3, 3, 1, 1), np.float32), "layers.0.bias": np.zeros(3, np.float32)},
            {"kind": "x"},
        ),
    ]
    for tensors, metadata in wrong:
        path = tmp_path / "wrong.safetensors"
        path.write_bytes(save(tensors, metadata))
        with pytest.raises(UnsupportedFormat) as caught:
            read_stainnet(path)
        assert caught.value.remedy
        assert caught.value.path == str(path)


def test_damaged_files(tmp_path: Path) -> None:
    path = write_stainnet(weights(), tmp_path / "net.safetensors")
    data = path.read_bytes()
    for broken in (b"", data[:7], data[:-1], data + b"\0", b"\xff" * 100, b"PK\x03\x04" + data):
        path.write_bytes(broken)
        with pytest.raises(UnreadableFile) as caught:
            read_stainnet(path)
        assert caught.value.remedy
    with pytest.raises(UnreadableFile):
        read_stainnet(tmp_path / "missing")
    with pytest.raises(UnreadableFile):
        read_stainnet(tmp_path)


def test_damaged_descriptions() -> None:
    stored = weights().to_dict()
    layer = stored["layers"][0]
    damaged: list[dict[str, Any]] = [
        {},
        {"layers": []},
        {"layers": [{**layer, "shape": [32, 3, 1]}]},
        {"layers": [{**layer, "weight": layer["weight"][:-4]}]},
        {"layers": [{**layer, "bias": "no base64!"}]},
        {"layers": [{**layer, "shape": None}]},
        {"layers": "x"},
        {"layers": [layer]},
        {**stored, "metadata": 3},
    ]
    for broken in damaged:
        with pytest.raises(UsageError):
            StainNetWeights.from_dict(broken)


def test_weights_too_large_to_compute_with_are_refused() -> None:
    with pytest.raises(HistokinError, match="too large"):
        StainNetRunner(weights(scale=1e9))
    layer = Layer(np.full((3, 3, 1, 1), 3e38, np.float32), np.zeros(3, np.float32))
    with pytest.raises(HistokinError, match="too large"):
        StainNetRunner(StainNetWeights((layer, layer)))
