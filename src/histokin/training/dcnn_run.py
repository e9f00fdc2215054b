"""The DCNN's training put together: batches, steps, selection, files. PyTorch."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from histokin.encoders.pixels import prepare
from histokin.nets.dcnn import Dcnn
from histokin.nets.manifest import MANIFEST, WeightManifest, file_digest
from histokin.training.batches import Batch, Crops
from histokin.training.classifier_task import ClassifierTask, Numbers, figures
from histokin.training.dcnn import ENCODER, UNTRAINED, DcnnProfile
from histokin.training.device import choose_device, describe_device
from histokin.training.files import write_whole
from histokin.training.images import ImageSet
from histokin.training.loop import Outcome
from histokin.training.onnx_file import write_onnx

HELD = 512
"""Validation and test images measured at most."""


@final
class DcnnTraining:
    """One training of the DCNN: what it sees and what comes out of it."""

    def __init__(
        self,
        images: ImageSet,
        labels: Mapping[str, str],
        classes: Sequence[str],
        profile: DcnnProfile,
        seed: int,
        device: str | None,
    ) -> None:
        self._profile, self._seed, self._classes = profile, seed, list(classes)
        self._device = choose_device(device)
        self._parts = dict(zip(("learn", "select", "test"), images.split(seed), strict=True))
        number = {name: i for i, name in enumerate(classes)}
        self._numbers = {
            part: np.array([number[labels[name]] for name in own.names], np.int64) for part, own in self._parts.items()
        }
        self._crops = Crops(len(self._parts["learn"]), profile.batch, seed)
        self._data = f"{len(self._parts['learn'])} images of {images.name} ({images.digest}), with their classes"

    @property
    def epochs_steps(self) -> int:
        """Steps of all epochs of the profile."""
        return self._crops.steps_per_epoch * self._profile.epochs

    def network(self) -> torch.nn.Module:
        """The network before training: the same for the same seed."""
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)
            return Dcnn(len(self._classes))

    def batch(self, step: int) -> tuple[Batch, Numbers]:
        """The images of one step, mirrored left to right at even odds, and their class numbers."""
        draws, places = self._crops.draws(step), self._crops.places(step)
        images = [prepare(self._parts["learn"].load(place), self._profile.side) for place in places]
        turned = [image[:, ::-1] if draws.random() < 0.5 else image for image in images]
        return _planes(turned), self._numbers["learn"][places]

    def task(self) -> ClassifierTask:
        """The training's steps, from the start."""
        network = self.network().to(self._device)
        return ClassifierTask(network, self.batch, self._held("select"), self._profile.rate)

    def finish(self, task: ClassifierTask, outcome: Outcome, out: Path) -> dict[str, Any]:
        """Measure and write what was trained, and its untrained copy."""
        chosen, raw = task.best_network(), self.network().to(self._device).eval()
        test = self._held("test")
        trained, before = figures(chosen, *test), figures(raw, *test)
        manifest, difference = write_dcnn(chosen, out, self._profile.side, self._data, f"{outcome.steps} steps")
        write_dcnn(raw, out / UNTRAINED, self._profile.side, "nothing", "untrained")
        return {
            **outcome.course,
            "device": describe_device(self._device),
            "parameters": sum(p.numel() for p in chosen.parameters()),
            "selection": {"cross_entropy": task.best, "step": task.best_step},
            "held_out": {"images": len(test[1]), "trained": trained, "untrained": before},
            "better_than_untrained": trained["accuracy"] > before["accuracy"],
            "weights": {"file": ENCODER, "sha256": manifest.sha256, "difference_from_torch": difference},
            **outcome.curve,
        }

    def _held(self, part: str) -> tuple[Batch, Numbers]:
        own = self._parts[part]
        places = [int(i) for i in np.linspace(0, len(own) - 1, min(HELD, len(own))).round()]
        return _planes([prepare(own.load(i), self._profile.side) for i in places]), self._numbers[part][places]


def write_dcnn(
    network: torch.nn.Module, out: Path, side: int, training_data: str, steps: str
) -> tuple[WeightManifest, float]:
    """Write ``encoder.onnx`` (the features before the last layer) and, last, ``encoder.json``.

    Returns the manifest and the largest relative difference of the file from PyTorch.

    Raises
    ------
    EncoderError
        when that difference is above 0.001.
    UsageError
        when a file cannot be written.
    """
    dim, difference = write_onnx(_Features(network).eval(), out / ENCODER, side, "features")
    manifest = WeightManifest(
        name="dcnn",
        file=ENCODER,
        sha256=file_digest(out / ENCODER),
        input_px=side,
        dim=dim,
        licence="that of the images it was trained on",
        upstream=f"histokin's DCNN comparator: {steps}",
        layer="the mean of the last map of features, before the classes",
        training_data=training_data,
    )
    with tempfile.TemporaryDirectory() as scratch:
        text = manifest.save(Path(scratch)).read_bytes()
    write_whole(out / MANIFEST, lambda stream: stream.write(text))
    return manifest, difference


class _Features(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network.features(image)
        return found


def _planes(images: list[np.ndarray]) -> Batch:
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2), np.float32) / np.float32(255)
