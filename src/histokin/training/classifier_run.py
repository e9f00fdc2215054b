"""A classifier's training put together: images, network, start, steps, files. PyTorch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float32

from histokin.errors import UsageError
from histokin.metrics.calibration import fit_temperature
from histokin.nets.classifier_network import ClassifierNetwork, classifier_network
from histokin.stain.base import Appearance
from histokin.training.class_split import ClassOrder, split_classes
from histokin.training.classifier import UNTRAINED
from histokin.training.classifier_file import write_classifier
from histokin.training.classifier_images import ClassifierImages
from histokin.training.classifier_profiles import ClassifierProfile, classifier_profile, require_side
from histokin.training.classifier_report import measured, written_figures
from histokin.training.classifier_start import Start, chosen_start
from histokin.training.classifier_steps import ClassifierSteps, HeldOut, Numbers
from histokin.training.device import choose_device, describe_device
from histokin.training.images import ImageSet
from histokin.training.loop import Outcome, run, steps_within
from histokin.training.report import Watch

SHARE = 0.8
"""Of the time given, so much is planned with steps; the rest is for held-out images and files."""

UNBALANCED = 1.5
"""Classes are drawn evenly where the largest has so many times the images of the smallest."""

SCALINGS = {"unit": ((0.0,) * 3, (1.0,) * 3), "signed": ((0.5,) * 3, (0.5,) * 3), "own": None}
PARTS = ("train", "validation", "test")


@final
class ClassifierTraining:
    """One training of a classifier: what it sees and what comes out of it."""

    def __init__(
        self,
        network: str,
        images: ImageSet,
        labels: Mapping[str, str],
        classes: Sequence[str],
        profile: ClassifierProfile,
        seed: int,
        device: str | None,
        start: str | Path | None,
        normalizer: Appearance | None,
        mixed: bool | None,
    ) -> None:
        self._name, self._classes, self._profile, self._seed = network, list(classes), profile, seed
        self._device = choose_device(device)
        self.mixed = self._device.type == "cuda" if mixed is None else mixed
        self._images, self._normalizer = images, normalizer
        self._side = profile.input_px or _own_side(images)
        require_side(network, self._side)
        self._start: Start = chosen_start(network, start, profile.start)
        self.start_name, self.start_digest = self._start.name, self._start.digest
        parts = split_classes(images, labels, seed)
        number = {name: i for i, name in enumerate(classes)}
        self._numbers = {
            part: np.array([number[labels[name]] for name in own.names], np.int64)
            for part, own in zip(PARTS, parts, strict=True)
        }
        self._parts = {
            part: ClassifierImages(own, self._side, normalizer) for part, own in zip(PARTS, parts, strict=True)
        }
        counts = np.bincount(self._numbers["train"], minlength=len(classes))
        self._balanced = bool(counts.max() > UNBALANCED * counts.min())
        self._order = ClassOrder(self._numbers["train"], profile.batch, seed, balanced=self._balanced)

    @property
    def identity(self) -> dict[str, Any]:
        """What makes this training another than the next one, beside what was asked for."""
        return {"start": self.start_digest, "mixed_precision": self.mixed}

    @property
    def published_steps(self) -> int:
        """Steps of the published schedule on these images."""
        paper = classifier_profile(self._name, "paper")
        return -(-len(self._numbers["train"]) // paper.batch) * paper.epochs

    def network(self, *, started: bool = True) -> ClassifierNetwork:
        """The network before training: the same for the same seed; ``started=False`` leaves the start aside."""
        made = classifier_network(
            self._name,
            len(self._classes),
            seed=self._seed,
            auxiliary=self._profile.auxiliary,
            scaling=SCALINGS[self._profile.scaling],
        )
        if started:
            self._start.fill(made)
        return made

    def learn(self, step: int) -> tuple[Float32[np.ndarray, "n 3 h w"], Numbers]:
        """The images of one step and their class numbers."""
        places = self._order.places(step)
        draws = self._order.draws(step) if self._profile.augment else None
        return self._parts["train"].batch(places, draws), self._numbers["train"][places]

    def task(self) -> ClassifierSteps:
        """The training's steps, from the start."""
        return ClassifierSteps(
            # A third faster on a CPU than one channel after another.
            self.network().to(self._device, memory_format=torch.channels_last),
            self.learn,
            self.held("validation"),
            self._profile,
            self._order.steps_per_epoch,
            mixed=self.mixed,
        )

    def held(self, part: str) -> HeldOut:
        """The validation or test images, in batches."""
        own, size = self._parts[part], self._profile.batch

        def batch(place: int) -> Float32[np.ndarray, "n 3 h w"] | None:
            return own.batch(range(place, min(place + size, len(own)))) if place < len(own) else None

        return HeldOut(batch, self._numbers[part])

    def sit(
        self,
        out: Path,
        configuration: Mapping[str, Any],
        steps: int | None,
        minutes: float | None,
        watch: Watch | None,
    ) -> tuple[ClassifierSteps, Outcome]:
        """Train, or go on. Raises :class:`KeyboardInterrupt` after Ctrl-C, once the checkpoint is written."""
        if steps is not None and steps < 1:
            raise UsageError(f"{steps} steps", remedy="Give at least 1")
        profile, each = self._profile, self._order.steps_per_epoch

        def planned() -> int:
            if steps is not None:
                return steps
            if profile.minutes is None:
                return each * profile.epochs
            fitting = steps_within(self.task, SHARE * 60 * (minutes or profile.minutes), each * profile.epochs)
            return max(fitting, each * profile.least_epochs)

        task = self.task()
        outcome = run(task, planned, out, configuration, seed=self._seed, minutes=minutes, watch=watch)
        if outcome.stopped == "interrupted":
            raise KeyboardInterrupt
        return task, outcome

    def finish(self, task: ClassifierSteps, outcome: Outcome, out: Path, mpp: float | None) -> dict[str, Any]:
        """Measure and write what was trained, and its untrained copy."""
        chosen, raw = task.best_network(), self.network(started=False).to(self._device)
        held, test = self.held("validation"), self.held("test")
        validation = held.logits(chosen, self.mixed)
        temperature = fit_temperature(validation, held.numbers)
        logits, before = test.logits(chosen, self.mixed), test.logits(raw, self.mixed)
        figures = measured(logits, before, test.numbers, self._classes, temperature)
        written_figures(
            out, outcome.history, self._order.steps_per_epoch, logits, test.numbers, self._classes, temperature
        )
        about: dict[str, Any] = {
            "name": self._name,
            "classes": self._classes,
            "input_px": self._side,
            "mpp": None if mpp is None else self._scale(mpp),
            "normalizer": None if self._normalizer is None else self._normalizer.to_dict(),
        }
        learned = f"{len(self._parts['train'])} images of {self._images.name} ({self._images.digest})"
        file, differences = write_classifier(chosen, out, temperature=temperature, training_data=learned, **about)
        write_classifier(raw, out / UNTRAINED, training_data="nothing", **about)
        return {
            "weights_at_start": self.start_name,
            "steps": {"done": outcome.steps, "published": self.published_steps},
            **outcome.course,
            "epochs": outcome.steps / self._order.steps_per_epoch,
            "steps_per_epoch": self._order.steps_per_epoch,
            "device": describe_device(self._device),
            "input_px": self._side,
            "parameters": sum(p.numel() for p in file_parameters(chosen)),
            "parts": {
                part: {"images": len(own), "groups": len(set(own.images.groups))} for part, own in self._parts.items()
            },
            "balanced_sampling": self._balanced,
            "selection": {"cross_entropy": task.best, "step": task.best_step},
            "temperature": temperature,
            **figures,
            "weights": {"file": file.file, "sha256": file.sha256, "difference_from_torch": differences},
            **outcome.curve,
        }

    def _scale(self, mpp: float) -> float:
        sides = {min(image.shape[:2]) for image in self._images.sample(16)}
        if len(sides) > 1:
            raise UsageError(
                f"images of {min(sides)} to {max(sides)} pixels have no one scale after resizing",
                remedy="Leave --mpp out, or give images of one size",
            )
        return float(mpp * sides.pop() / self._side)


def file_parameters(network: ClassifierNetwork) -> list[torch.nn.Parameter]:
    """Those that the file holds: the auxiliary head is for training only."""
    return [parameter for name, parameter in network.named_parameters() if "AuxLogits" not in name]


def _own_side(images: ImageSet) -> int:
    return int(np.median([min(image.shape[:2]) for image in images.sample(32)]))
