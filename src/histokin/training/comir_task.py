"""CoMIR's training step. PyTorch.

Source: N. Pielawski et al., CoMIR: Contrastive multimodal image representation for registration, NeurIPS 2020.
"""

from collections.abc import Callable
from typing import final

import numpy as np
import torch

from histokin.nets.comir import DenseUnet
from histokin.training.comir import ComirProfile
from histokin.training.comir_loss import activation_penalty, contrastive_loss, turned
from histokin.training.common_space import SIDES
from histokin.training.loop import Task
from histokin.training.schedules import cosine

CLIP = 1.0
"""Largest norm of the gradient of either network."""

Batches = Callable[[int], tuple[np.ndarray, np.ndarray]]
"""From the number of the step to aligned squares of either modality, float32 "n c s s"."""


@final
class ComirTask(Task):
    """Networks ``one`` and ``other``, with an optimizer each.

    Parameters
    ----------
    batches : the squares of each step.
    channels : of either modality.
    measure : called with the networks when an eighth of the steps is done, and so on.
    precise : False computes the networks in bfloat16 where PyTorch holds it safe; losses stay in float32.
    """

    def __init__(
        self,
        batches: Batches,
        channels: tuple[int, int],
        profile: ComirProfile,
        *,
        seed: int,
        device: torch.device,
        precise: bool = True,
        measure: Callable[["ComirTask"], dict[str, float]] | None = None,
    ) -> None:
        self._batches, self._profile, self._seed = batches, profile, seed
        self._device, self._precise, self._measure = device, precise, measure
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            networks = [DenseUnet(count, profile.latent, profile.shape) for count in channels]
        self.modules: dict[str, torch.nn.Module] = dict(zip(SIDES, networks, strict=True))
        for module in self.modules.values():
            module.to(device).train()
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            name: _optimizer(profile, module) for name, module in self.modules.items()
        }
        self._steps = 1

    def plan(self, steps: int) -> None:
        self._steps = steps

    def rate(self, number: int) -> float:
        """The learning rate of a step."""
        share = cosine(number, self._steps) if self._profile.optimizer == "adam" else 1.0
        return self._profile.rate * share

    def step(self, number: int) -> dict[str, float]:
        draws = np.random.default_rng([self._seed, 9, number])
        made, penalty = [], torch.zeros((), device=self._device)
        for name, squares in zip(SIDES, self._batches(number), strict=True):
            shown = torch.from_numpy(squares).to(self._device)
            quarters = (
                [int(k) for k in draws.integers(0, 4, len(shown))] if self._profile.quarters else [0] * len(shown)
            )
            with torch.autocast(self._device.type, torch.bfloat16, enabled=not self._precise):
                maps = self.modules[name](turned(shown, quarters))
            penalty = penalty + activation_penalty(maps.float())
            made.append(turned(maps.float(), [-k for k in quarters]))
        contrast = contrastive_loss(made[0], made[1], self._profile.tau, self._profile.critic)
        self._descend(contrast + penalty, number)
        return {"contrast": float(contrast.detach()), "penalty": float(penalty.detach())}

    def after(self, done: int) -> dict[str, float]:
        if self._measure is None or done % max(1, self._steps // 8):
            return {}
        return self._measure(self)

    def _descend(self, loss: torch.Tensor, number: int) -> None:
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for name, optimizer in self.optimizers.items():
            torch.nn.utils.clip_grad_norm_(self.modules[name].parameters(), CLIP)
            for group in optimizer.param_groups:
                group["lr"] = self.rate(number)
            optimizer.step()


def _optimizer(profile: ComirProfile, module: torch.nn.Module) -> torch.optim.Optimizer:
    parameters = list(module.parameters())
    made: torch.optim.Optimizer
    if profile.optimizer == "adam":
        made = torch.optim.Adam(parameters, lr=profile.rate, weight_decay=profile.decay)
    else:
        made = torch.optim.SGD(parameters, lr=profile.rate, momentum=0.9, weight_decay=profile.decay)
    return made
