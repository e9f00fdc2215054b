"""StainGAN's training put together: batches, networks, what is measured on held-out images. PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from histokin.errors import UsageError
from histokin.metrics.image_quality import ssim_source
from histokin.nets.cyclegan import parameter_count
from histokin.nets.manifest import file_digest
from histokin.training.batches import Crops, center, random_crops, to_images, to_planes
from histokin.training.checkpoint import FILE as CHECKPOINT
from histokin.training.cycle_task import CycleTask, Networks
from histokin.training.device import choose_device, describe_device
from histokin.training.generator_file import read_start, write_generator
from histokin.training.images import ImageSet, Picture
from histokin.training.loop import Outcome
from histokin.training.pictures import write_curves, write_panel
from histokin.training.stain_gan import FILE, HELD_OUT, GanProfile


@final
@dataclass(frozen=True)
class _Figures:
    """On held-out images; colors are -1 to 1 in the first two, 0 to 255 in the third."""

    cycle_l1: float
    identity_l1: float
    color_distance: float
    ssim_source: float


@final
class GanTraining:
    """One training of StainGAN: what it sees and what comes out of it."""

    def __init__(
        self,
        sources: ImageSet,
        targets: ImageSet,
        profile: GanProfile,
        *,
        seed: int,
        device: str | None,
        precise: bool,
        start: Path | None,
    ) -> None:
        self.sources, self.targets, self._profile = sources, targets, profile
        self._seed, self._precise, self._start = seed, precise, start
        self._device = choose_device(device)
        _large_enough(sources, profile.crop)
        _large_enough(targets, profile.crop)
        sides = [(images, images.split(seed)) for images in (sources, targets)]
        # Nothing is selected here, so validation images join those that are learned from.
        self._learn = [_joined(images, train, more) for images, (train, more, _) in sides]
        self._held = [test for _, (_, _, test) in sides]
        self._crops = Crops(max(len(part) for part in self._learn), profile.batch, seed)
        where = None if start is None else start / CHECKPOINT if start.is_dir() else start
        self.start_digest = None if where is None else file_digest(where)

    @property
    def epochs_steps(self) -> int:
        """Steps of all epochs of the profile."""
        return self._crops.steps_per_epoch * (self._profile.constant + self._profile.falling)

    @property
    def counts(self) -> dict[str, int]:
        """How many images of either side are learned from and held out."""
        names = ("sources", "targets", "held_out_sources", "held_out_targets")
        return {name: len(part) for name, part in zip(names, [*self._learn, *self._held], strict=True)}

    def batches(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Every source once an epoch (over again where there are more targets), with targets drawn at random."""
        source, target = self._learn
        draws = self._crops.draws(step)
        places = [place % len(source) for place in self._crops.places(step)]
        partners = [int(draws.integers(len(target))) for _ in places]
        px = self._profile.crop
        return random_crops(source, places, px, draws), random_crops(target, partners, px, draws)

    def task(self, *, started: bool = True) -> CycleTask:
        """The training's steps, from the start; ``started=False`` leaves the start file aside."""
        profile = self._profile
        task = CycleTask(
            self.batches,
            Networks(profile.width, profile.blocks),
            epochs=(profile.constant, profile.falling),
            steps_per_epoch=self._crops.steps_per_epoch if profile.minutes is None else None,
            seed=self._seed,
            device=self._device,
            precise=self._precise,
        )
        if started and self._start is not None:
            read_start(self._start, task.modules)
        return task

    def finish(self, task: CycleTask, outcome: Outcome, out: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
        """Measure, draw and write what was trained."""
        px = self._profile.crop
        source = [center(image, px) for image in self._held[0].sample(HELD_OUT)]
        target = [center(image, px) for image in self._held[1].sample(HELD_OUT)]
        untrained = self.task(started=False)
        made = _through(task.modules["forward"], source)
        raw = _through(untrained.modules["forward"], source)
        trained_figures = _measure(task.modules, source, target, made)
        untrained_figures = _measure(untrained.modules, source, target, raw)
        write_curves(outcome.history, out / "curves.png")
        columns = {"source": source, "trained": made, "untrained": raw, "target (other tissue)": target}
        write_panel(columns, out / "samples.png")
        device = describe_device(self._device)
        parameters = {name: parameter_count(module) for name, module in task.modules.items()}
        sha256, difference = write_generator(task.modules["forward"], out / FILE, metadata)
        better = (
            trained_figures.cycle_l1 < untrained_figures.cycle_l1
            and trained_figures.color_distance < untrained_figures.color_distance
        )
        return {
            **outcome.course,
            "device": device,
            "parameters": parameters,
            "held_out": {
                "images": len(source),
                "trained": vars(trained_figures),
                "untrained": vars(untrained_figures),
                "untouched": {"color_distance": color_distance(source, target), "ssim_source": 1.0},
            },
            "better_than_untrained": better,
            "weights": {"file": FILE, "sha256": sha256, "onnx_max_abs_difference": difference},
            **outcome.curve,
        }


def color_distance(made: list[Picture], target: list[Picture]) -> float:
    """How far the colors of two lots of images lie apart, in grey levels: 0 where their histograms are the same.

    For red, green and blue apart, the area between the two cumulative histograms of all pixels (the first
    Wasserstein distance); their mean.
    """
    distances = []
    for channel in range(3):
        shares = [
            np.bincount(np.concatenate([image[..., channel].ravel() for image in images]), minlength=256)
            for images in (made, target)
        ]
        one, other = (np.cumsum(counts) / counts.sum() for counts in shares)
        distances.append(float(np.abs(one - other).sum()))
    return float(np.mean(distances))


def _measure(
    modules: Mapping[str, torch.nn.Module], source: list[Picture], target: list[Picture], made: list[Picture]
) -> _Figures:
    forward, back = modules["forward"].eval(), modules["back"].eval()
    device = next(forward.parameters()).device
    cycle, identity = [], []
    with torch.no_grad():
        for image in source:
            here = torch.from_numpy(to_planes([image])).to(device)
            cycle.append(float((back(forward(here)) - here).abs().mean()))
        for image in target:
            here = torch.from_numpy(to_planes([image])).to(device)
            identity.append(float((forward(here) - here).abs().mean()))
    kept = float(np.mean([ssim_source(mapped, image) for mapped, image in zip(made, source, strict=True)]))
    return _Figures(float(np.mean(cycle)), float(np.mean(identity)), color_distance(made, target), kept)


def _through(network: torch.nn.Module, images: list[Picture]) -> list[Picture]:
    network.eval()
    device = next(network.parameters()).device
    with torch.no_grad():
        return [
            to_images(network(torch.from_numpy(to_planes([i])).to(device)).float().cpu().numpy())[0] for i in images
        ]


def _joined(images: ImageSet, *parts: ImageSet) -> ImageSet:
    wanted = {name for part in parts for name in part.names}
    return images.some(i for i, name in enumerate(images.names) if name in wanted)


def _large_enough(images: ImageSet, px: int) -> None:
    for i, name in enumerate(images.names):
        height, width = images.load(i).shape[:2]
        if min(height, width) < px:
            raise UsageError(
                f"{name} has {width} x {height} pixels, crops of {px} are wanted",
                remedy="Choose a smaller --crop, or leave the image out",
            )
