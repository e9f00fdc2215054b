"""VGG19's training put together: batches, steps, selection, files. PyTorch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from histokin.encoders.pixels import prepare
from histokin.nets.manifest import file_digest
from histokin.nets.vgg19 import MEAN, STD, read_start, vgg19
from histokin.training.batches import Batch, Crops
from histokin.training.classifier_task import ClassifierTask, Numbers, figures
from histokin.training.device import choose_device, describe_device
from histokin.training.images import ImageSet
from histokin.training.loop import Outcome
from histokin.training.onnx_file import write_onnx
from histokin.training.vgg19 import CLASSIFIER, UNTRAINED, Vgg19Profile

HELD = 128


@final
class Vgg19Training:
    """One training of VGG19: what it sees and what comes out of it."""

    def __init__(
        self,
        images: ImageSet,
        labels: Mapping[str, str],
        classes: Sequence[str],
        profile: Vgg19Profile,
        seed: int,
        device: str | None,
        start: Path | None,
    ) -> None:
        self._profile, self._seed, self._classes = profile, seed, list(classes)
        self._device = choose_device(device)
        self._start, self.start_digest = start, None if start is None else file_digest(start)
        self._parts = dict(zip(("learn", "select", "test"), images.split(seed), strict=True))
        number = {name: i for i, name in enumerate(classes)}
        self._numbers = {
            part: np.array([number[labels[name]] for name in own.names], np.int64) for part, own in self._parts.items()
        }
        self._crops = Crops(len(self._parts["learn"]), profile.batch, seed)

    @property
    def epochs_steps(self) -> int:
        """Steps of all epochs of the profile."""
        return self._crops.steps_per_epoch * self._profile.epochs

    def network(self, *, started: bool = True) -> torch.nn.Module:
        """The network before training: the same for the same seed; ``started=False`` leaves the start file aside."""
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)
            made = vgg19(len(self._classes), pooled=self._profile.head == "pooled")
        if started and self._start is not None:
            read_start(self._start, made)
        return Standardized(made)

    def batch(self, step: int) -> tuple[Batch, Numbers]:
        """The images of one step, mirrored left to right at even odds, and their class numbers."""
        draws, places = self._crops.draws(step), self._crops.places(step)
        images = [prepare(self._parts["learn"].load(place), self._profile.side) for place in places]
        turned = [image[:, ::-1] if draws.random() < 0.5 else image for image in images]
        return _planes(turned), self._numbers["learn"][places]

    def task(self) -> ClassifierTask:
        """The training's steps, from the start."""
        return ClassifierTask(self.network().to(self._device), self.batch, self._held("select"), self._profile.rate)

    def finish(self, task: ClassifierTask, outcome: Outcome, out: Path) -> dict[str, Any]:
        """Measure and write what was trained, and its untrained copy."""
        chosen, raw = task.best_network(), self.network(started=False).to(self._device).eval()
        test = self._held("test")
        trained, untrained = figures(chosen, *test), figures(raw, *test)
        _, difference = write_onnx(chosen, out / CLASSIFIER, self._profile.side, "logits")
        write_onnx(raw, out / UNTRAINED, self._profile.side, "logits")
        return {
            **outcome.course,
            "device": describe_device(self._device),
            "parameters": sum(p.numel() for p in chosen.parameters()),
            "selection": {"cross_entropy": task.best, "step": task.best_step},
            "held_out": {"images": len(test[1]), "trained": trained, "untrained": untrained},
            "better_than_untrained": trained["cross_entropy"] < untrained["cross_entropy"],
            "weights": {"file": CLASSIFIER, "difference_from_torch": difference},
            **outcome.curve,
        }

    def _held(self, part: str) -> tuple[Batch, Numbers]:
        own = self._parts[part]
        places = [int(i) for i in np.linspace(0, len(own) - 1, min(HELD, len(own))).round()]
        return _planes([prepare(own.load(i), self._profile.side) for i in places]), self._numbers[part][places]


@final
class Standardized(torch.nn.Module):  # type: ignore[misc]
    """Takes 0 to 1 and gives the network what ImageNet's weights were trained on."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).reshape(1, 3, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network((image - self.mean) / self.std)
        return found


def _planes(images: list[np.ndarray]) -> Batch:
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2), np.float32) / np.float32(255)
