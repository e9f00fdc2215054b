"""CoMIR's and pix2pix's networks: published parameter counts, shapes, refusals."""

import pytest
import torch

from histokin.errors import UsageError
from histokin.nets.comir import DenseUnet
from histokin.nets.comir_shape import AERIAL, PUBLISHED, DenseUnetShape
from histokin.nets.cyclegan import parameter_count
from histokin.nets.pix2pix import PairDiscriminator, UnetGenerator, initialize

SMALL = DenseUnetShape(4, 2, (1, 2), 2, (2, 1), 0.5, 0.0)


@pytest.mark.parametrize(("inputs", "latent", "count"), [(1, 1, 1_053_244), (3, 1, 1_053_820), (1, 3, 1_053_596)])
def test_published_dense_unet(inputs: int, latent: int, count: int) -> None:
    assert parameter_count(DenseUnet(inputs, latent)) == count


def test_channels_of_the_published_dense_unet() -> None:
    network = DenseUnet(1)
    assert [block.outputs for block in network.down] == [80, 108, 129, 144, 156, 165]
    assert [stage[2].out_channels for stage in network.shrink] == [60, 81, 96, 108, 117, 123]
    assert network.middle.outputs == 48
    assert [block.outputs for block in network.up] == [48] * 5 + [176]
    assert PUBLISHED.multiple == 64
    assert network.last.bias is None


@pytest.mark.parametrize(("shape", "size"), [(PUBLISHED, (64, 128)), (AERIAL, (8, 24)), (SMALL, (4, 12))])
def test_dense_unet_answers_at_the_size_it_is_asked(shape: DenseUnetShape, size: tuple[int, int]) -> None:
    network = DenseUnet(3, 2, shape).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, *size)).shape == (2, 2, *size)


def test_a_place_may_see_all_levels() -> None:
    """The middle of the output depends on a far corner of the input: the bottleneck is wired in."""
    seen = torch.zeros(16, 16, dtype=torch.bool)
    for seed in range(5):  # of one random network, rectifiers may hide most of the input
        torch.manual_seed(seed)
        network = DenseUnet(1, 1, SMALL).eval()
        image = torch.rand(1, 1, 16, 16, requires_grad=True)
        network(image)[0, 0, 8, 8].backward()
        assert image.grad is not None
        seen |= image.grad[0, 0].abs() > 0
    assert seen[1:15, 1:15].float().mean() > 0.5


@pytest.mark.parametrize(
    "shape",
    [
        DenseUnetShape(first=0),
        DenseUnetShape(up=(4, 4)),
        DenseUnetShape(blocks=(), up=()),
        DenseUnetShape(compression=0.0),
    ],
)
def test_sizes_that_make_no_network(shape: DenseUnetShape) -> None:
    with pytest.raises(UsageError):
        DenseUnet(1, 1, shape)


@pytest.mark.parametrize(("outputs", "count"), [(3, 54_413_955), (1, 54_409_857)])
def test_published_unet_generator(outputs: int, count: int) -> None:
    generator = UnetGenerator(3, outputs)
    assert parameter_count(generator) == count
    dropped = [i for i, stage in enumerate(generator.up) if any(isinstance(m, torch.nn.Dropout) for m in stage)]
    assert dropped == [1, 2, 3]


@pytest.mark.parametrize(("inputs", "count"), [(6, 2_768_705), (4, 2_766_657)])
def test_published_pair_discriminator(inputs: int, count: int) -> None:
    judge = PairDiscriminator(inputs)
    assert parameter_count(judge) == count
    with torch.no_grad():
        assert judge(torch.zeros(1, inputs, 256, 256)).shape == (1, 1, 30, 30)


def test_unet_generator_shapes_and_range() -> None:
    generator = UnetGenerator(3, 1, width=4, downs=3).eval()
    initialize(generator, torch.Generator().manual_seed(0))
    with torch.no_grad():
        made = generator(torch.rand(2, 3, 16, 40) * 2 - 1)
    assert made.shape == (2, 1, 16, 40)
    assert float(made.abs().max()) <= 1
    full = UnetGenerator(3, 3, width=2).eval()
    with torch.no_grad():
        assert full(torch.zeros(1, 3, 256, 256)).shape == (1, 3, 256, 256)


def test_initialization_is_the_same_for_the_same_draws() -> None:
    one, other = (UnetGenerator(width=4, downs=3) for _ in range(2))
    for network in (one, other):
        initialize(network, torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    weights = torch.cat([m.weight.detach().flatten() for m in one.modules() if isinstance(m, torch.nn.Conv2d)])
    assert float(weights.std()) == pytest.approx(0.02, rel=0.1)


def test_generators_that_make_no_network() -> None:
    with pytest.raises(UsageError):
        UnetGenerator(downs=1)
    with pytest.raises(UsageError):
        PairDiscriminator(0)
