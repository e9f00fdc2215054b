"""CycleGAN's training step: two generators, two discriminators, unpaired images. PyTorch.

Source: J.-Y. Zhu et al., Unpaired image-to-image translation using cycle-consistent adversarial networks, ICCV 2017.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float

from histokin.nets.cyclegan import PatchDiscriminator, ResnetGenerator, initialize
from histokin.training.loop import Task
from histokin.training.schedules import constant_then_linear

CYCLE = 10.0
"""Weight of the L1 distance between an image and its return trip."""

IDENTITY = 0.5
"""Weight, as a share of :data:`CYCLE`, of the L1 distance between a target image and what it is mapped to."""

POOL = 50
RATE = 2e-4
BETAS = (0.5, 0.999)

Images = Float[torch.Tensor, "_ _ _ _"]


@final
@dataclass(frozen=True)
class Networks:
    """Sizes of the four networks."""

    width: int = 64
    blocks: int = 9
    source_channels: int = 3
    target_channels: int = 3


def lsgan(answers: Float[torch.Tensor, "_ 1 _ _"], real: bool) -> Float[torch.Tensor, ""]:
    """Mean squared distance of a discriminator's answers from 1 (real) or 0 (made)."""
    return (answers - float(real)).square().mean()


@final
class ImagePool:
    """Made images of earlier steps: a full pool answers each image, at even odds, with an older one it held.

    Source: A. Shrivastava et al., Learning from simulated and unsupervised images, CVPR 2017.
    """

    def __init__(self, size: int = POOL) -> None:
        self._size = size
        self.images: list[torch.Tensor] = []

    def query(self, made: Images, draws: np.random.Generator) -> Images:
        """As many images as were given, detached."""
        if self._size == 0:
            return made.detach()
        out = []
        for image in made.detach():
            if len(self.images) < self._size:
                self.images.append(image.clone())
                out.append(image)
            elif draws.random() < 0.5:
                place = int(draws.integers(self._size))
                out.append(self.images[place])
                self.images[place] = image.clone()
            else:
                out.append(image)
        return torch.stack(out)


Batches = Callable[[int], tuple[np.ndarray, np.ndarray]]
"""From the number of the step to a batch of either side, float32 "n c h w" in -1 to 1."""


@final
class CycleTask(Task):
    """Generators ``forward`` (source to target) and ``back``, and a discriminator of either side.

    Parameters
    ----------
    batches : the images of each step.
    networks : their sizes.
    epochs : constant and falling epochs of the learning rate; stretched over the planned steps.
    steps_per_epoch : the rate changes between epochs of so many steps; None changes it at every step.
    precise : False computes in bfloat16 where PyTorch holds it safe.
    """

    def __init__(
        self,
        batches: Batches,
        networks: Networks,
        *,
        epochs: tuple[int, int],
        steps_per_epoch: int | None,
        seed: int,
        device: torch.device,
        precise: bool = True,
    ) -> None:
        self._batches, self._epochs, self._per_epoch = batches, epochs, steps_per_epoch
        self._device, self._precise, self._seed = device, precise, seed
        there, here = networks.target_channels, networks.source_channels
        size = {"width": networks.width}
        draws = torch.Generator().manual_seed(seed)
        self.modules: dict[str, torch.nn.Module] = {
            "forward": ResnetGenerator(here, there, blocks=networks.blocks, **size),
            "back": ResnetGenerator(there, here, blocks=networks.blocks, **size),
            "judge_target": PatchDiscriminator(there, **size),
            "judge_source": PatchDiscriminator(here, **size),
        }
        for module in self.modules.values():
            initialize(module, draws)
            module.to(device).train()
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "generators": _adam([self.modules["forward"], self.modules["back"]]),
            "judges": _adam([self.modules["judge_target"], self.modules["judge_source"]]),
        }
        self._pools = {"target": ImagePool(), "source": ImagePool()}
        self._steps = 1

    def plan(self, steps: int) -> None:
        self._steps = steps

    def rate(self, number: int) -> float:
        """The learning rate of a step."""
        constant, falling = self._epochs
        done = number / self._steps * (constant + falling) if self._per_epoch is None else number // self._per_epoch
        return RATE * constant_then_linear(done, constant, falling)

    def step(self, number: int) -> dict[str, float]:
        rate = self.rate(number)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        source, target = (torch.from_numpy(part).to(self._device) for part in self._batches(number))
        with self._precision():
            losses, made_target, made_source = self._generators(source, target)
        self._descend("generators", sum(losses.values(), torch.zeros((), device=self._device)))
        draws = np.random.default_rng([self._seed, 4, number])
        old_target = self._pools["target"].query(made_target.float(), draws)
        old_source = self._pools["source"].query(made_source.float(), draws)
        with self._precision():
            judged = {
                "judge_target": self._judge("judge_target", target, old_target),
                "judge_source": self._judge("judge_source", source, old_source),
            }
        self._descend("judges", judged["judge_target"] + judged["judge_source"])
        return {name: float(value.detach()) for name, value in {**losses, **judged}.items()}

    def extra(self) -> dict[str, Any]:
        return {name: [image.cpu() for image in pool.images] for name, pool in self._pools.items()}

    def restore(self, extra: Mapping[str, Any]) -> None:
        for name, pool in self._pools.items():
            pool.images = [image.to(self._device) for image in extra[name]]

    def _generators(self, source: Images, target: Images) -> tuple[dict[str, torch.Tensor], Images, Images]:
        forward, back = self.modules["forward"], self.modules["back"]
        # Judges only look here; their own weights learn from the pools below.
        for name in ("judge_target", "judge_source"):
            self.modules[name].requires_grad_(False)
        made_target, made_source = forward(source), back(target)
        losses = {
            "fool_target": lsgan(self.modules["judge_target"](made_target), True),
            "fool_source": lsgan(self.modules["judge_source"](made_source), True),
            "cycle_source": CYCLE * _l1(back(made_target), source),
            "cycle_target": CYCLE * _l1(forward(made_source), target),
        }
        if source.shape[1] == target.shape[1]:
            losses["identity_target"] = IDENTITY * CYCLE * _l1(forward(target), target)
            losses["identity_source"] = IDENTITY * CYCLE * _l1(back(source), source)
        for name in ("judge_target", "judge_source"):
            self.modules[name].requires_grad_(True)
        return losses, made_target, made_source

    def _judge(self, name: str, real: Images, made: Images) -> torch.Tensor:
        judge = self.modules[name]
        return 0.5 * (lsgan(judge(real), True) + lsgan(judge(made), False))

    def _descend(self, name: str, loss: torch.Tensor) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def _precision(self) -> Any:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=not self._precise)


def _l1(one: Images, other: Images) -> torch.Tensor:
    return (one - other).abs().mean()


def _adam(modules: Iterable[torch.nn.Module]) -> torch.optim.Optimizer:
    parameters = [parameter for module in modules for parameter in module.parameters()]
    optimizer: torch.optim.Optimizer = torch.optim.Adam(parameters, lr=RATE, betas=BETAS)
    return optimizer
