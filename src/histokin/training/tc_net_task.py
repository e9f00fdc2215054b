"""TC-Net's training step: triplets, the softmax over instances, and centers where they are asked for. PyTorch."""

from collections.abc import Callable
from typing import final

import torch
from torch import nn

from histokin.nets.tc_net import TcNet, center_loss, triplet_loss
from histokin.training.batches import Batch
from histokin.training.loop import Task
from histokin.training.tc_net import TcNetProfile

Triplets = tuple[Batch, Batch, Batch, list[int], list[int]]
"""Anchors, positives, negatives, and the instances of the first two and of the third."""


@final
class Heads(nn.Module):  # type: ignore[misc]
    """What only the training has: one row of scores, and one center, for each instance."""

    def __init__(self, features: int, instances: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(features, instances)
        self.centers = nn.Parameter(torch.randn(instances, features))


@final
class TcNetTask(Task):
    """One network learns to embed the two images of a pair near each other.

    Parameters
    ----------
    network, heads : trained in place.
    batch : the triplets of a step.
    """

    def __init__(self, network: TcNet, heads: Heads, batch: Callable[[int], Triplets], profile: TcNetProfile) -> None:
        self._network, self._heads, self._batch, self._profile = network, heads, batch, profile
        self.modules: dict[str, nn.Module] = {"network": network, "heads": heads}
        learned = [*network.parameters(), *heads.classifier.parameters()]
        adam = torch.optim.Adam(learned, lr=profile.rate, weight_decay=profile.weight_decay)
        self.optimizers: dict[str, torch.optim.Optimizer] = {"network": adam}
        if profile.center > 0:
            self.optimizers["centers"] = torch.optim.SGD([heads.centers], lr=profile.center_rate)
        self._device = next(network.parameters()).device

    @property
    def network(self) -> TcNet:
        """The network as it is now."""
        return self._network

    def plan(self, steps: int) -> None:
        return

    def step(self, number: int) -> dict[str, float]:
        self._network.train()
        *images, same, other = self._batch(number)
        stacked = torch.cat([torch.from_numpy(part) for part in images]).to(self._device)
        embedded = self._network(stacked)
        labels = torch.tensor([*same, *same, *other], device=self._device)
        parts = self.losses(embedded, labels)
        total = sum(weight * loss for loss, weight in parts.values())
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        assert isinstance(total, torch.Tensor)
        total.backward()
        if "centers" in self.optimizers:
            # The rate of the centers is their own, whatever their loss weighs for the network.
            assert self._heads.centers.grad is not None
            self._heads.centers.grad /= self._profile.center
        for optimizer in self.optimizers.values():
            optimizer.step()
        return {name: float(loss.detach()) for name, (loss, _) in parts.items()}

    def losses(self, embedded: torch.Tensor, labels: torch.Tensor) -> dict[str, tuple[torch.Tensor, float]]:
        """Every loss with its weight, of anchors, positives and negatives below each other."""
        chosen = self._profile
        anchor, positive, negative = embedded.chunk(3)
        parts = {
            "triplet": (triplet_loss(anchor, positive, negative, chosen.margin), chosen.triplet),
            "instance": (
                nn.functional.cross_entropy(self._heads.classifier(embedded), labels),
                chosen.instance,
            ),
        }
        if chosen.center > 0:
            parts["center"] = (center_loss(embedded, labels, self._heads.centers), chosen.center)
        return parts
