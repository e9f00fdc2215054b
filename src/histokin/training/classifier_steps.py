"""A classifier's training step by step: rates, losses, the best epoch by held-out cross-entropy. PyTorch."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from histokin.metrics.calibration import cross_entropy
from histokin.nets.classifier_network import ClassifierNetwork
from histokin.training.classifier_profiles import ClassifierProfile, paper_share, smoothed
from histokin.training.loop import Task
from histokin.training.schedules import cosine

AUXILIARY_SHARE = 0.4
"""What the auxiliary head's loss counts, as in TensorFlow's and torchvision's trainings; the paper gives no number."""

Numbers = Int64[np.ndarray, "n"]
Learn = Callable[[int], tuple[Float32[np.ndarray, "n 3 h w"], Numbers]]


@final
class HeldOut:
    """Images that choose the best epoch, in batches, and their class numbers."""

    def __init__(self, batches: Callable[[int], Float32[np.ndarray, "n 3 h w"] | None], numbers: Numbers) -> None:
        self._batches, self.numbers = batches, numbers

    def logits(self, network: ClassifierNetwork, mixed: bool = False) -> Float64[np.ndarray, "n c"]:
        """What the network, as in use, answers for all of them."""
        device = next(network.parameters()).device
        training, found, place = network.training, [], 0
        network.eval()
        with torch.inference_mode(), _precision(device, mixed):
            while (batch := self._batches(place)) is not None:
                found.append(network(_on(device, batch)).float().cpu().numpy())
                place += len(batch)
        network.train(training)
        return np.concatenate(found).astype(np.float64)


@final
class ClassifierSteps(Task):
    """One classifier learns classes by their cross-entropy.

    Parameters
    ----------
    network : trained in place.
    learn : images in 0 to 1 and class numbers of a step.
    held_out : measured after every epoch; the epoch with the least cross-entropy is kept.
    mixed : compute in bfloat16 where that is safe.
    """

    def __init__(
        self,
        network: ClassifierNetwork,
        learn: Learn,
        held_out: HeldOut,
        profile: ClassifierProfile,
        steps_per_epoch: int,
        *,
        mixed: bool = False,
    ) -> None:
        self._network, self._learn, self._held_out = network, learn, held_out
        self._profile, self._epoch_steps, self._mixed = profile, steps_per_epoch, mixed
        self._optimizer = optimizer_of(network, profile)
        self.modules: dict[str, torch.nn.Module] = {"network": network}
        self.optimizers: dict[str, torch.optim.Optimizer] = {"network": self._optimizer}
        self._device = next(network.parameters()).device
        self._steps = 1
        self.best, self.best_step, self._since_best = math.inf, 0, 0
        self._best_state: dict[str, torch.Tensor] = {}

    def plan(self, steps: int) -> None:
        self._steps = steps

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        profile = self._profile
        if profile.schedule == "drops":
            return profile.rate * paper_share(step // self._epoch_steps, profile.drops)
        return profile.rate * cosine(step, self._steps)

    def step(self, number: int) -> dict[str, float]:
        self._network.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate(number)
        images, numbers = self._learn(number)
        with _precision(self._device, self._mixed):
            logits, side = self._network.learning(_on(self._device, images))
        targets = torch.from_numpy(smoothed(numbers, logits.shape[1], self._profile.smoothing)).to(self._device)
        loss = entropy = torch.nn.functional.cross_entropy(logits.float(), targets)
        if side is not None:
            loss = entropy + AUXILIARY_SHARE * torch.nn.functional.cross_entropy(side.float(), targets)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        right = (logits.detach().argmax(dim=1).cpu().numpy() == numbers).mean()
        return {"cross_entropy": float(entropy.detach()), "accuracy": float(right)}

    def after(self, done: int) -> dict[str, float]:
        if done % self._epoch_steps and done != self._steps:
            return {}
        logits = self._held_out.logits(self._network, self._mixed)
        found = cross_entropy(logits, self._held_out.numbers)
        self._since_best += 1
        # The first is kept whatever it is, so that there always is one.
        if found < self.best or not self._best_state:
            self.best, self.best_step, self._since_best = found, done, 0
            self._best_state = {key: value.detach().clone() for key, value in self._network.state_dict().items()}
        right = (logits.argmax(axis=1) == self._held_out.numbers).mean()
        return {"held_out_accuracy": float(right), "held_out_cross_entropy": found}

    def enough(self) -> bool:
        return self._profile.patience is not None and self._since_best >= self._profile.patience

    def best_network(self) -> ClassifierNetwork:
        """A copy of the network with the weights that did best; those at hand where nothing was measured yet."""
        network = copy.deepcopy(self._network)
        if self._best_state:
            network.load_state_dict(self._best_state)
        network.eval()
        return network

    def extra(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "best_step": self.best_step,
            "since_best": self._since_best,
            "best_state": self._best_state,
        }

    def restore(self, extra: Mapping[str, Any]) -> None:
        self.best, self.best_step, self._since_best = extra["best"], extra["best_step"], extra["since_best"]
        self._best_state = {key: value.to(self._device) for key, value in extra["best_state"].items()}


def optimizer_of(network: torch.nn.Module, profile: ClassifierProfile) -> torch.optim.Optimizer:
    """Adam, with decoupled weight decay where there is any, or RMSProp with decay 0.9."""
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if profile.optimizer == "rmsprop":
        return torch.optim.RMSprop(learned, lr=profile.rate, alpha=0.9, eps=profile.epsilon, weight_decay=profile.decay)
    made: torch.optim.Optimizer = torch.optim.AdamW(
        learned, lr=profile.rate, eps=profile.epsilon, weight_decay=profile.decay
    )
    return made


def _on(device: torch.device, images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).to(device, memory_format=torch.channels_last)


def _precision(device: torch.device, mixed: bool) -> Any:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed)
