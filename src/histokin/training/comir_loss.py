"""CoMIR's loss: maps of the same place close to each other, of other places far. PyTorch.

Source: N. Pielawski et al., CoMIR: Contrastive multimodal image representation for registration, NeurIPS 2020.
"""

from typing import Literal

import torch
from jaxtyping import Float

Critic = Literal["mse", "standardized", "both"]
"""``mse`` as published; ``standardized`` compares maps whose mean is 0 and variance 1, so that their brightness and
contrast alone tell no place from another (the distance is then 2 - 2r, r being Pearson's correlation); ``both`` is the
mean of the two losses."""

ACTIVATION = 1e-4
"""Weight of either activation penalty."""

Maps = Float[torch.Tensor, "n c h w"]
Scalar = Float[torch.Tensor, ""]


def similarities(maps: Maps, tau: float, critic: Critic = "mse") -> Float[torch.Tensor, "n n"]:
    """Minus the mean squared difference of every two maps, divided by ``tau``; from one Gram matrix."""
    flat = maps.flatten(1)
    if critic == "standardized":
        flat = flat - flat.mean(dim=1, keepdim=True)
        flat = flat / (flat.square().mean(dim=1, keepdim=True) + 1e-6).sqrt()
    else:
        # Distances do not change with the common mean; without it the Gram matrix loses fewer digits.
        flat = flat - flat.mean(dim=0, keepdim=True)
    squares = flat.square().sum(dim=1)
    distances = squares[:, None] + squares[None, :] - 2 * flat @ flat.T
    return -distances.clamp_min(0) / (flat.shape[1] * tau)


def contrastive_loss(one: Maps, other: Maps, tau: float, critic: Critic = "mse") -> Scalar:
    """Mean over all 2n maps of -s(i, partner) + log of the sum of exp s(i, j) over all j but i.

    ``one[k]`` and ``other[k]`` show the same place. Equal maps everywhere give ln(2n - 1).
    """
    if critic == "both":
        return (contrastive_loss(one, other, tau, "mse") + contrastive_loss(one, other, tau, "standardized")) / 2
    scores = similarities(torch.cat([one, other]), tau, critic)
    n = len(one)
    itself = torch.eye(2 * n, dtype=torch.bool, device=scores.device)
    partner = torch.arange(2 * n, device=scores.device).roll(n)
    rest: torch.Tensor = scores.masked_fill(itself, -torch.inf).logsumexp(dim=1)
    return (rest - scores.gather(1, partner[:, None])[:, 0]).mean()


def activation_penalty(maps: Maps) -> Scalar:
    """1e-4 (1 + sum |z|) / size + 1e-4 (1 + sum z²) / size. The ones are the published code's and have no gradient."""
    size = maps.numel()
    return ACTIVATION * (1 + maps.abs().sum()) / size + ACTIVATION * (1 + maps.square().sum()) / size


def turned(images: Float[torch.Tensor, "n c s s"], quarters: list[int]) -> Float[torch.Tensor, "n c s s"]:
    """Each image turned by its number of quarters, counterclockwise; negative numbers turn back."""
    return torch.stack([torch.rot90(image, k, (1, 2)) for image, k in zip(images, quarters, strict=True)])
