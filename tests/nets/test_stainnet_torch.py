"""StainNet as a module: the published size, the published checkpoints, the ablation's mixes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from histokin.errors import UsageError
from histokin.nets.cyclegan import parameter_count
from histokin.nets.stainnet import Layer, StainNetWeights, read_stainnet, write_stainnet
from histokin.nets.stainnet_run import StainNetRunner
from histokin.nets.stainnet_torch import StainNetModule, from_weights, initialize, kernel_sides, to_weights
from histokin.testing.appearance import synthetic_he
from histokin.training.batches import to_images, to_planes


def module(wide: int = 0, seed: int = 0) -> StainNetModule:
    network = StainNetModule(kernel_sides(3, wide))
    initialize(network, torch.Generator().manual_seed(seed))
    return network


def test_published_parameter_count() -> None:
    assert parameter_count(StainNetModule()) == 1283


def test_wide_layers_come_first() -> None:
    assert [kernel_sides(3, wide) for wide in range(4)] == [(1, 1, 1), (3, 1, 1), (3, 3, 1), (3, 3, 3)]
    assert [parameter_count(module(wide)) for wide in range(4)] == [1283, 2051, 10243, 11011]
    with pytest.raises(UsageError, match="4 of 3 layers"):
        kernel_sides(3, 4)


def test_each_pixel_by_its_color_alone() -> None:
    network = module()
    pixels = torch.rand(1, 3, 8, 8) * 2 - 1
    order = torch.randperm(64)
    shuffled = pixels.flatten(2)[..., order].reshape(pixels.shape)
    with torch.no_grad():
        assert torch.equal(network(pixels).flatten(2)[..., order].reshape(pixels.shape), network(shuffled))
        assert torch.equal(network(pixels)[..., 2:5, 3:7], network(pixels[..., 2:5, 3:7]))


@pytest.mark.parametrize("wide", range(4))
def test_weights_run_the_same_without_torch(wide: int, tmp_path: Path) -> None:
    network = module(wide, seed=wide)
    file = write_stainnet(to_weights(network, {"style": "a"}), tmp_path / "net.safetensors")
    read = read_stainnet(file)
    assert read.metadata == {"style": "a", "kind": "stainnet"}
    image = synthetic_he(px=40, seed=1)
    with torch.no_grad():
        theirs = to_images(network(torch.from_numpy(to_planes([image]))).numpy())[0]
    ours = StainNetRunner(read).colors(image)
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    again = from_weights(read)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))


def test_published_checkpoints_are_a_start(shared_data: Path) -> None:
    files = sorted((shared_data / "weights" / "stainnet").glob("*.pth"))
    assert len(files) == 3
    for file in files:
        assert parameter_count(from_weights(read_stainnet(file))) == 1283


def test_uneven_widths_are_no_start() -> None:
    sizes = [(3, 4), (4, 5), (5, 3)]
    layers = [Layer(np.zeros((o, i, 1, 1), np.float32), np.zeros(o, np.float32)) for i, o in sizes]
    with pytest.raises(UsageError, match="4, 5"):
        from_weights(StainNetWeights(tuple(layers)))


def test_impossible_sizes_are_refused() -> None:
    for kernels in ((), (2, 1), (0,)):
        with pytest.raises(UsageError, match="kernels"):
            StainNetModule(kernels)
