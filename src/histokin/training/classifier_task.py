"""A classifier's training step: cross-entropy of the classes. PyTorch."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Int64

from histokin.training.batches import Batch
from histokin.training.loop import Task

Numbers = Int64[np.ndarray, "n"]


@final
class ClassifierTask(Task):
    """One classifier learns classes by their cross-entropy.

    Parameters
    ----------
    network : trained in place; answers "n 3 h w" in 0 to 1 with one logit per class.
    batch : images and class numbers of a step.
    held_out : those that choose the best step, 20 times over the training.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        batch: Callable[[int], tuple[Batch, Numbers]],
        held_out: tuple[Batch, Numbers],
        rate: float,
    ) -> None:
        self._network, self._batch, self._held_out = network, batch, held_out
        self.modules: dict[str, torch.nn.Module] = {"network": network}
        self.optimizers: dict[str, torch.optim.Optimizer] = {"network": torch.optim.Adam(network.parameters(), lr=rate)}
        self._device = next(network.parameters()).device
        self._steps = self._check = 1
        self.best, self.best_step = math.inf, 0
        self._best_state: dict[str, torch.Tensor] = {}

    def plan(self, steps: int) -> None:
        self._steps, self._check = steps, max(1, steps // 20)

    def step(self, number: int) -> dict[str, float]:
        self._network.train()
        images, classes = self._batch(number)
        logits = self._network(torch.from_numpy(images).to(self._device))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(classes).to(self._device))
        optimizer = self.optimizers["network"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return {"cross_entropy": float(loss.detach())}

    def after(self, done: int) -> dict[str, float]:
        if done % self._check and done != self._steps:
            return {}
        found = figures(self._network, *self._held_out)
        if found["cross_entropy"] < self.best:
            self.best, self.best_step = found["cross_entropy"], done
            self._best_state = {key: value.detach().clone() for key, value in self._network.state_dict().items()}
        return {f"held_out_{name}": value for name, value in found.items()}

    def best_network(self) -> torch.nn.Module:
        """A copy of the network with the weights that did best; those at hand where nothing was measured yet."""
        network = copy.deepcopy(self._network)
        if self._best_state:
            network.load_state_dict(self._best_state)
        return network.eval()

    def extra(self) -> dict[str, Any]:
        return {"best": self.best, "best_step": self.best_step, "best_state": self._best_state}

    def restore(self, extra: Mapping[str, Any]) -> None:
        self.best, self.best_step = extra["best"], extra["best_step"]
        self._best_state = {key: value.to(self._device) for key, value in extra["best_state"].items()}


def figures(network: torch.nn.Module, images: Batch, classes: Numbers) -> dict[str, float]:
    """Accuracy and mean cross-entropy of the network as in use."""
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    with torch.no_grad():
        logits = torch.cat(
            [network(torch.from_numpy(images[i : i + 64]).to(device)) for i in range(0, len(images), 64)]
        )
    network.train(training)
    wanted = torch.from_numpy(classes).to(device)
    right = (logits.argmax(dim=1) == wanted).float().mean()
    return {"accuracy": float(right), "cross_entropy": float(torch.nn.functional.cross_entropy(logits, wanted))}
