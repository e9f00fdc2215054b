"""PlaceNet's loss: a part of one map must be found at its own place in the other, and nowhere else. PyTorch.

The score of a place is the normalized cross-correlation that finds it afterwards, so that what is trained is what is
used. Places of the same image are rivals as well as those of the other images of the batch.
"""

import torch
from jaxtyping import Float

Maps = Float[torch.Tensor, "n c h w"]
Scalar = Float[torch.Tensor, ""]

NEAR = 2
"""Places so many pixels or fewer from the right one are neither right nor wrong."""

SMALL = 1e-4
"""Least variance of a window: below it nothing correlates."""


def correlations(
    parts: Float[torch.Tensor, "n c k k"], maps: Float[torch.Tensor, "m c s s"]
) -> Float[torch.Tensor, "n m p p"]:
    """Every part on every place of every map: Pearson's correlation, each channel with a mean of its own."""
    area = parts.shape[2] * parts.shape[3]
    centered = parts - parts.mean(dim=(2, 3), keepdim=True)
    length = centered.flatten(1).norm(dim=1)
    products = torch.nn.functional.conv2d(maps, centered)
    sums = torch.nn.functional.avg_pool2d(maps, parts.shape[2], 1) * area
    squares = torch.nn.functional.avg_pool2d(maps.square().sum(dim=1, keepdim=True), parts.shape[2], 1) * area
    spread = (squares - sums.square().sum(dim=1, keepdim=True) / area).clamp_min(SMALL * area).sqrt()
    scores: torch.Tensor = products / (spread * length[None, :, None, None].clamp_min(SMALL))
    return scores.transpose(0, 1)


def placing_loss(one: Maps, other: Maps, part: int, corner: tuple[int, int], tau: float) -> tuple[Scalar, Scalar]:
    """Cross-entropy of the right place among all places of all maps, both ways; and how often it scores best.

    ``one[k]`` and ``other[k]`` show the same; the part is a square of ``part`` pixels with its upper left one at
    ``corner`` (row, column). Where all places score alike the loss is the logarithm of their number.
    """
    losses, right = [], []
    for asking, answering in ((one, other), (other, one)):
        loss, found = _one_way(asking, answering, part, corner, tau)
        losses.append(loss)
        right.append(found)
    return torch.stack(losses).mean(), torch.stack(right).mean()


def _one_way(asking: Maps, answering: Maps, part: int, corner: tuple[int, int], tau: float) -> tuple[Scalar, Scalar]:
    row, column = corner
    scores = correlations(asking[:, :, row : row + part, column : column + part], answering)
    count, places = len(scores), scores.shape[-1]
    own = torch.arange(count, device=scores.device)
    spared = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    rows, columns = (slice(max(0, at - NEAR), at + NEAR + 1) for at in corner)
    spared[own, own, rows, columns] = True
    spared[own, own, row, column] = False
    logits = (scores / tau).masked_fill(spared, -1e4).flatten(1)
    wanted = own * places * places + row * places + column
    right = (logits.detach().argmax(dim=1) == wanted).float().mean()
    return torch.nn.functional.cross_entropy(logits, wanted), right
