"""CycleGAN's networks: published sizes and shapes."""

import pytest
import torch

from histokin.errors import UsageError
from histokin.nets.cyclegan import PatchDiscriminator, ResnetGenerator, initialize, parameter_count


def small(seed: int = 0) -> ResnetGenerator:
    network = ResnetGenerator(width=8, blocks=2)
    initialize(network, torch.Generator().manual_seed(seed))
    return network


def test_published_parameter_counts() -> None:
    assert parameter_count(ResnetGenerator()) == 11_378_179
    assert parameter_count(PatchDiscriminator()) == 2_764_737


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 64), (32, 48), (36, 20)])
def test_generator_keeps_the_size(height: int, width: int) -> None:
    made = small()(torch.randn(2, 3, height, width))
    assert made.shape == (2, 3, height, width)
    assert float(made.detach().abs().max()) <= 1.0


def test_channels_are_free() -> None:
    assert ResnetGenerator(3, 1, width=4, blocks=1)(torch.zeros(1, 3, 16, 16)).shape == (1, 1, 16, 16)
    assert PatchDiscriminator(1, width=4)(torch.zeros(1, 1, 64, 64)).shape == (1, 1, 6, 6)


def test_discriminator_sees_seventy_pixels() -> None:
    """Without normalization (which looks at the whole image), an answer changes within 70 x 70 pixels only."""
    judge = PatchDiscriminator(width=4)
    layers = [layer for layer in judge.layers if not isinstance(layer, torch.nn.InstanceNorm2d)]
    image = torch.randn(1, 3, 256, 256, requires_grad=True)
    answers = torch.nn.Sequential(*layers)(image)
    assert answers.shape == (1, 1, 30, 30)
    answers[0, 0, 15, 15].backward()
    assert image.grad is not None
    touched = image.grad[0].abs().sum(0).nonzero()
    extent = touched.max(0).values - touched.min(0).values + 1
    assert extent.tolist() == [70, 70]


def test_instance_norm_has_no_weights_and_dropout_is_an_option() -> None:
    plain, dropped = small(), ResnetGenerator(width=8, blocks=2, dropout=0.5)
    assert not any(isinstance(module, torch.nn.Dropout) for module in plain.modules())
    assert sum(isinstance(module, torch.nn.Dropout) for module in dropped.modules()) == 2
    assert parameter_count(plain) == parameter_count(dropped)
    kinds = {type(m) for m in plain.modules() if list(m.parameters(recurse=False))}
    assert kinds == {torch.nn.Conv2d, torch.nn.ConvTranspose2d}


def test_start_is_drawn_from_the_seed() -> None:
    network = ResnetGenerator(width=32, blocks=2)
    initialize(network, torch.Generator().manual_seed(3))
    weights = torch.cat([p.detach().flatten() for p in network.parameters() if p.ndim == 4])
    biases = torch.cat([p.detach().flatten() for p in network.parameters() if p.ndim == 1])
    assert float(weights.std()) == pytest.approx(0.02, rel=0.02)
    assert not biases.any()
    same, other = small(1), small(2)
    assert torch.equal(next(same.parameters()), next(small(1).parameters()))
    assert not torch.equal(next(same.parameters()), next(other.parameters()))


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="width 0"):
        ResnetGenerator(width=0)
    with pytest.raises(UsageError, match="0 channels"):
        PatchDiscriminator(0)
