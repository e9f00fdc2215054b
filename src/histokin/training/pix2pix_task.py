"""pix2pix's training step, both directions at once. PyTorch.

Source: P. Isola et al., Image-to-image translation with conditional adversarial networks, CVPR 2017.
"""

from collections.abc import Callable
from typing import final

import numpy as np
import torch
from jaxtyping import Float

from histokin.nets.pix2pix import PairDiscriminator, UnetGenerator, initialize
from histokin.training.loop import Task
from histokin.training.schedules import constant_then_linear
from histokin.training.translation import TranslationProfile

L1 = 100.0
"""Weight of the L1 distance between the made and the true image."""

RATE = 2e-4
BETAS = (0.5, 0.999)
INPUTS = 3
"""Channels of either image on the way in; gray is repeated."""

DIRECTIONS = ("towards_other", "towards_one")

Planes = Float[torch.Tensor, "_ _ _ _"]
Batches = Callable[[int], tuple[np.ndarray, np.ndarray]]
"""From the number of the step to aligned squares of either modality, float32 "n 3 s s" in -1 to 1."""


def gan_loss(answers: Float[torch.Tensor, "_ 1 _ _"], real: bool) -> Float[torch.Tensor, ""]:
    """Binary cross-entropy of a discriminator's answers (before the sigmoid) with real (1) or made (0)."""
    loss: torch.Tensor = torch.nn.functional.binary_cross_entropy_with_logits(
        answers, torch.full_like(answers, float(real))
    )
    return loss


@final
class Pix2PixTask(Task):
    """Generators ``towards_other`` and ``towards_one``, and a discriminator for each; they share nothing but squares.

    Parameters
    ----------
    batches : the squares of each step.
    channels : of either modality on the way out, 1 or 3.
    """

    def __init__(
        self,
        batches: Batches,
        channels: tuple[int, int],
        profile: TranslationProfile,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self._batches, self._profile, self._device = batches, profile, device
        draws = torch.Generator().manual_seed(seed)
        self.modules: dict[str, torch.nn.Module] = {}
        for name, outputs in zip(DIRECTIONS, (channels[1], channels[0]), strict=True):
            self.modules[name] = UnetGenerator(INPUTS, outputs, width=profile.width, downs=profile.depth)
            self.modules[f"judge_{name}"] = PairDiscriminator(INPUTS + outputs, width=profile.width)
        for module in self.modules.values():
            initialize(module, draws)
            module.to(device).train()
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.Adam(list(module.parameters()), lr=RATE, betas=BETAS)
            for name, module in self.modules.items()
        }
        self._steps = 1

    def plan(self, steps: int) -> None:
        self._steps = steps

    def rate(self, number: int) -> float:
        """The learning rate of a step: it changes between epochs, or at every step where the schedule is pressed."""
        constant, falling = self._profile.constant, self._profile.falling
        if self._profile.pressed is None and self._steps == self._profile.steps:
            return RATE * constant_then_linear(number // self._profile.epoch, constant, falling)
        return RATE * constant_then_linear(number / self._steps * (constant + falling), constant, falling)

    def step(self, number: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = self.rate(number)
        one, other = (torch.from_numpy(part).to(self._device) for part in self._batches(number))
        losses: dict[str, float] = {}
        for name, source, target in zip(DIRECTIONS, (one, other), (other, one), strict=True):
            losses |= {f"{name}_{what}": value for what, value in self._direction(name, source, target).items()}
        return losses

    def _direction(self, name: str, source: Planes, target: Planes) -> dict[str, float]:
        generator, judge = self.modules[name], self.modules[f"judge_{name}"]
        made = generator(source)
        if made.shape[1] != target.shape[1]:
            target = target.mean(dim=1, keepdim=True)
        told = gan_loss(judge(torch.cat([source, target], dim=1)), True)
        judged = 0.5 * (told + gan_loss(judge(torch.cat([source, made.detach()], dim=1)), False))
        self._descend(f"judge_{name}", judged)
        judge.requires_grad_(False)
        fooled = gan_loss(judge(torch.cat([source, made], dim=1)), True)
        apart = L1 * (made - target).abs().mean()
        self._descend(name, fooled + apart)
        judge.requires_grad_(True)
        return {"fool": float(fooled.detach()), "l1": float(apart.detach()), "judge": float(judged.detach())}

    def _descend(self, name: str, loss: torch.Tensor) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
