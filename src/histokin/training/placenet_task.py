"""PlaceNet's training step. PyTorch."""

from collections.abc import Callable
from typing import final

import numpy as np
import torch

from histokin.nets.placenet import PlaceNet
from histokin.training.comir_loss import turned
from histokin.training.common_space import SIDES
from histokin.training.loop import Task
from histokin.training.placenet import PlaceProfile
from histokin.training.placenet_loss import placing_loss
from histokin.training.schedules import cosine

CLIP = 1.0
"""Largest norm of the gradient of either network."""

WARM = 30
"""Steps in which the learning rate rises to its full height."""

Batches = Callable[[int], tuple[np.ndarray, np.ndarray]]
"""From the number of the step to aligned squares of either modality, float32 "n c s s"."""


@final
class PlaceTask(Task):
    """Networks ``one`` and ``other``, trained together.

    Parameters
    ----------
    batches : the squares of each step.
    channels : of either modality.
    measure : called with the task when an eighth of the steps is done, and so on.
    """

    def __init__(
        self,
        batches: Batches,
        channels: tuple[int, int],
        profile: PlaceProfile,
        *,
        seed: int,
        device: torch.device,
        measure: Callable[["PlaceTask"], dict[str, float]] | None = None,
    ) -> None:
        self._batches, self._profile, self._seed = batches, profile, seed
        self._device, self._measure = device, measure
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            networks = [PlaceNet(count, profile.latent, profile.width, profile.levels) for count in channels]
        self.modules: dict[str, torch.nn.Module] = dict(zip(SIDES, networks, strict=True))
        for module in self.modules.values():
            module.to(device).train()
        parameters = [p for module in self.modules.values() for p in module.parameters()]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "both": torch.optim.AdamW(parameters, lr=profile.rate, weight_decay=profile.decay)
        }
        self._steps = 1

    def plan(self, steps: int) -> None:
        self._steps = steps

    def rate(self, number: int) -> float:
        """The learning rate of a step: a short rise, then half a cosine."""
        return self._profile.rate * min(1.0, (number + 1) / WARM) * cosine(number, self._steps)

    def step(self, number: int) -> dict[str, float]:
        draws = np.random.default_rng([self._seed, 9, number])
        made = []
        for name, squares in zip(SIDES, self._batches(number), strict=True):
            shown = torch.from_numpy(squares).to(self._device)
            quarters = [int(k) for k in draws.integers(0, 4, len(shown))]
            network = self.modules[name]
            assert isinstance(network, PlaceNet)
            made.append(turned(network.coarse(turned(shown, quarters)), [-k for k in quarters]))
        part = int(draws.choice(self._profile.parts))
        room = made[0].shape[-1] - part + 1
        corner = int(draws.integers(room)), int(draws.integers(room))
        loss, right = placing_loss(made[0], made[1], part, corner, self._profile.tau)
        self._descend(loss, number)
        return {"placing": float(loss.detach()), "wrong": 1 - float(right)}

    def after(self, done: int) -> dict[str, float]:
        if self._measure is None or done % max(1, self._steps // 8):
            return {}
        return self._measure(self)

    def _descend(self, loss: torch.Tensor, number: int) -> None:
        optimizer = self.optimizers["both"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [p for module in self.modules.values() for p in module.parameters()]
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        for group in optimizer.param_groups:
            group["lr"] = self.rate(number)
        optimizer.step()
