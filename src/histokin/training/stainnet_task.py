"""StainNet's training step: L1 distance from what a teacher made of the same pixels. PyTorch."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
import torch

from histokin.training.loop import Task
from histokin.training.schedules import cosine

CHECKS = 20
"""Validations of a training that is not counted in epochs."""


@final
class DistillTask(Task):
    """One network learns to make the same images as another.

    Parameters
    ----------
    network : trained in place; "n c h w" in -1 to 1 on both sides.
    batch : the images of each step and what the teacher made of them.
    quality : a figure to be as high as possible; the weights where it was highest are kept.
    optimizer : "sgd" (no momentum, no weight decay) or "adam".
    rate : the first learning rate; falls to 0 along half a cosine, between epochs of ``steps_per_epoch`` (None: at
        every step).
    check_every : steps between two calls of ``quality`` (None: a twentieth of all); one more at the end.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        batch: Callable[[int], tuple[np.ndarray, np.ndarray]],
        quality: Callable[[torch.nn.Module], float],
        *,
        optimizer: str,
        rate: float,
        steps_per_epoch: int | None = None,
        check_every: int | None = None,
    ) -> None:
        self._network, self._batch, self._quality = network, batch, quality
        self._rate, self._per_epoch, self._given_check = rate, steps_per_epoch, check_every
        make = torch.optim.Adam if optimizer == "adam" else torch.optim.SGD
        self.modules: dict[str, torch.nn.Module] = {"network": network}
        self.optimizers: dict[str, torch.optim.Optimizer] = {"network": make(network.parameters(), lr=rate)}
        self._device = next(network.parameters()).device
        self._steps = self._check = 1
        self.best = -math.inf
        self.best_step = 0
        self._best_state: dict[str, torch.Tensor] = {}

    def plan(self, steps: int) -> None:
        self._steps = steps
        self._check = self._given_check or max(1, steps // CHECKS)

    def rate(self, number: int) -> float:
        """The learning rate of a step."""
        if self._per_epoch is None:
            return self._rate * cosine(number, self._steps)
        return self._rate * cosine(number // self._per_epoch, max(1, self._steps // self._per_epoch))

    def step(self, number: int) -> dict[str, float]:
        optimizer = self.optimizers["network"]
        for group in optimizer.param_groups:
            group["lr"] = self.rate(number)
        source, wanted = (torch.from_numpy(part).to(self._device) for part in self._batch(number))
        loss = (self._network(source) - wanted).abs().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return {"l1": float(loss.detach())}

    def after(self, done: int) -> dict[str, float]:
        if done % self._check and done != self._steps:
            return {}
        found = self._quality(self._network)
        if found > self.best:
            self.best, self.best_step = found, done
            self._best_state = {key: value.detach().clone() for key, value in self._network.state_dict().items()}
        return {"held_out_psnr": found}

    def best_network(self) -> torch.nn.Module:
        """A copy of the network with the weights that did best; those at hand where nothing was measured yet."""
        network = copy.deepcopy(self._network)
        if self._best_state:
            network.load_state_dict(self._best_state)
        return network

    def extra(self) -> dict[str, Any]:
        return {"best": self.best, "best_step": self.best_step, "best_state": self._best_state}

    def restore(self, extra: Mapping[str, Any]) -> None:
        self.best, self.best_step = extra["best"], extra["best_step"]
        self._best_state = {key: value.to(self._device) for key, value in extra["best_state"].items()}
