"""An autoencoder's training step: mean squared error between an image and what was made of it. PyTorch."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
import torch

from histokin.training.batches import Batch
from histokin.training.loop import Task

TOLERANCE = 0.1
"""A value of a pixel within a tenth of the range counts as right in :func:`pixel_accuracy`."""


def pixel_accuracy(made: Batch, wanted: Batch, tolerance: float = TOLERANCE) -> float:
    """Share of values (0 to 1) made again to within ``tolerance``.

    The paper plots an "accuracy" of its autoencoder without saying of what; this is one meaning that the figure
    can have. It says how smooth the images are as much as how good the network is.
    """
    return float((np.abs(made - wanted) <= tolerance).mean())


@final
class AutoencoderTask(Task):
    """One network learns to make its input again.

    Parameters
    ----------
    network : trained in place; answers "n 3 h w" in 0 to 1 with an object that has ``image``.
    batch : the images of each step, float32 in 0 to 1.
    held_out : images that choose the best step.
    rate : the learning rate of each step.
    check_every : steps between two looks at ``held_out`` (None: a twentieth of all); one more at the end.
    patience : stop after so many looks without a better one.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        batch: Callable[[int], Batch],
        held_out: Batch,
        rate: Callable[[int], float],
        *,
        check_every: int | None = None,
        patience: int | None = None,
    ) -> None:
        self._network, self._batch, self._held_out, self._rate = network, batch, held_out, rate
        self._given_check, self._patience = check_every, patience
        self.modules: dict[str, torch.nn.Module] = {"network": network}
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "network": torch.optim.Adam(network.parameters(), lr=rate(0))
        }
        self._device = next(network.parameters()).device
        self._steps = self._check = 1
        self.best, self.best_step, self._waited = math.inf, 0, 0
        self._best_state: dict[str, torch.Tensor] = {}

    def plan(self, steps: int) -> None:
        self._steps = steps
        self._check = self._given_check or max(1, steps // 20)

    def step(self, number: int) -> dict[str, float]:
        optimizer = self.optimizers["network"]
        for group in optimizer.param_groups:
            group["lr"] = self._rate(number)
        self._network.train()
        image = torch.from_numpy(self._batch(number)).to(self._device)
        loss = torch.nn.functional.mse_loss(self._network(image).image, image)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return {"mse": float(loss.detach())}

    def after(self, done: int) -> dict[str, float]:
        if done % self._check and done != self._steps:
            return {}
        made = remade(self._network, self._held_out)
        found = float(np.mean((made - self._held_out) ** 2))
        self._waited += 1
        if found < self.best:
            self.best, self.best_step, self._waited = found, done, 0
            self._best_state = {key: value.detach().clone() for key, value in self._network.state_dict().items()}
        return {"held_out_mse": found, "held_out_pixel_accuracy": pixel_accuracy(made, self._held_out)}

    def enough(self) -> bool:
        return self._patience is not None and self._waited >= self._patience

    def best_network(self) -> torch.nn.Module:
        """A copy of the network with the weights that did best; those at hand where nothing was measured yet."""
        network = copy.deepcopy(self._network)
        if self._best_state:
            network.load_state_dict(self._best_state)
        return network.eval()

    def extra(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "best_step": self.best_step,
            "waited": self._waited,
            "best_state": self._best_state,
        }

    def restore(self, extra: Mapping[str, Any]) -> None:
        self.best, self.best_step, self._waited = extra["best"], extra["best_step"], extra["waited"]
        self._best_state = {key: value.to(self._device) for key, value in extra["best_state"].items()}


def remade(network: torch.nn.Module, images: Batch, **options: Any) -> Batch:
    """What the network, as in use, makes of images (0 to 1), 32 at a time."""
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    made = []
    with torch.no_grad():
        for start in range(0, len(images), 32):
            batch = torch.from_numpy(images[start : start + 32]).to(device)
            made.append(network(batch, **options).image.float().cpu().numpy())
    network.train(training)
    return np.concatenate(made)
