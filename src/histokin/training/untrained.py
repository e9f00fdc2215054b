"""Networks as they are before training, as files: what a trained one has to beat. Needs PyTorch when called."""

from pathlib import Path

from histokin.training.report import require_torch
from histokin.training.stain_gan import KIND as GAN
from histokin.training.stain_gan import GanProfile
from histokin.training.stainnet import KIND as NET
from histokin.training.stainnet import NetShape


def untrained_stain_gan(profile: GanProfile, path: Path, *, seed: int = 0) -> Path:
    """Write the generator that :func:`~histokin.training.stain_gan.train_stain_gan` of this seed begins with.

    Raises
    ------
    UsageError
        without PyTorch, or when the file cannot be written.
    """
    require_torch()
    import torch

    from histokin.nets.cyclegan import ResnetGenerator, initialize
    from histokin.training.generator_file import write_generator

    network = ResnetGenerator(3, 3, width=profile.width, blocks=profile.blocks)
    initialize(network, torch.Generator().manual_seed(seed))
    write_generator(network, path, {"kind": GAN, "profile": profile.name, "steps": "0"})
    return path


def untrained_stainnet(shape: NetShape, path: Path, *, seed: int = 0) -> Path:
    """Write the network that :func:`~histokin.training.stainnet.train_stainnet` of this seed begins with.

    Raises
    ------
    UsageError
        without PyTorch, or when the file cannot be written.
    """
    require_torch()
    import torch

    from histokin.nets.stainnet import write_stainnet
    from histokin.nets.stainnet_torch import StainNetModule, initialize, kernel_sides, to_weights

    network = StainNetModule(kernel_sides(shape.layers, shape.wide), shape.channels)
    initialize(network, torch.Generator().manual_seed(seed))
    return write_stainnet(to_weights(network, {"kind": NET, "steps": "0"}), path)
