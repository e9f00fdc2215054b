"""StainNet's training put together: the teacher's images, batches, selection, figures. PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from histokin.errors import UsageError
from histokin.metrics.image_quality import psnr, ssim_source, ssim_target
from histokin.nets.cyclegan import parameter_count
from histokin.nets.manifest import file_digest
from histokin.nets.stainnet import StainNetWeights, read_stainnet, write_stainnet
from histokin.nets.stainnet_torch import StainNetModule, from_weights, initialize, kernel_sides, to_weights
from histokin.stain.base import Appearance
from histokin.training.batches import Crops, crop_corner, to_images, to_planes
from histokin.training.checkpoint import load_checkpoint
from histokin.training.device import choose_device, describe_device
from histokin.training.images import ImageSet, Picture
from histokin.training.loop import Outcome
from histokin.training.pictures import write_curves, write_panel
from histokin.training.report import Watch
from histokin.training.stainnet import FILE, NetProfile, NetShape
from histokin.training.stainnet_task import DistillTask
from histokin.training.taught import Taught

FIT_IMAGES = 64
SELECT_IMAGES = 32
TEST_IMAGES = 64


@final
class NetTraining:
    """One training of StainNet: what it sees and what comes out of it."""

    def __init__(
        self,
        sources: ImageSet,
        profile: NetProfile,
        shape: NetShape | None,
        *,
        seed: int,
        device: str | None,
        start: Path | None,
    ) -> None:
        self.sources, self._profile, self._seed = sources, profile, seed
        self._device = choose_device(device)
        self._parts = dict(zip(("learn", "select", "test"), sources.split(seed), strict=True))
        self._taught: dict[str, Taught] = {}
        self._start = None if start is None else read_stainnet(start)
        self.start_digest = None if self._start is None else self._start.digest
        if self._start is not None and shape is not None:
            raise UsageError("a start and a structure", remedy="Leave the structure out: it is that of the start")
        self._shape = shape or NetShape()
        self.shape: dict[str, Any] = {"start": self.start_digest} if self._start else asdict(self._shape)
        kernel_sides(self._shape.layers, self._shape.wide)
        self._crops = Crops(len(self._parts["learn"]), profile.batch, seed)

    @property
    def epochs_steps(self) -> int:
        """Steps of all epochs of the profile."""
        return self._crops.steps_per_epoch * self._profile.epochs

    @property
    def counts(self) -> dict[str, int]:
        """How many images are learned from, chosen by, and measured on."""
        return {name: len(part) for name, part in self._parts.items()}

    def check(self, out: Path, configuration: Mapping[str, Any]) -> None:
        """Raises :class:`UsageError` when ``out`` holds another training, before the teacher is put to work."""
        load_checkpoint(out, configuration)

    def teach(self, teacher: Appearance, folder: Path, *, select_on_test: bool, watch: Watch | None = None) -> None:
        """Let the teacher map every image, once: what it made is kept in ``folder`` as PNG.

        Raises
        ------
        UsageError
            for an image smaller than the crop, or when the teacher leaves the images as they are.
        """
        learn = self._parts["learn"]
        mapping = teacher.fit(learn.sample(FIT_IMAGES))
        if not mapping.status.ok:
            raise UsageError(
                f"the teacher {teacher.name} has nothing to teach: {mapping.status.reason}",
                remedy="Give stained tissue, or another teacher",
            )
        for i, name in enumerate(learn.names):
            height, width = learn.load(i).shape[:2]
            if min(height, width) < self._profile.crop:
                raise UsageError(
                    f"{name} has {width} x {height} pixels, crops of {self._profile.crop} are wanted",
                    remedy="Choose a smaller --crop, or leave the image out",
                )
        self._taught = {part: Taught(images, mapping, folder, watch) for part, images in self._parts.items()}
        if select_on_test:
            self._taught["select"] = self._taught["test"]

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Random squares at the same places of sources and of what the teacher made of them."""
        draws, px = self._crops.draws(step), self._profile.crop
        ones, others = [], []
        for place in self._crops.places(step):
            source, made = self._taught["learn"].pair(place)
            top, left = crop_corner(source, px, draws)
            ones.append(source[top : top + px, left : left + px])
            others.append(made[top : top + px, left : left + px])
        return to_planes(ones), to_planes(others)

    def network(self, *, started: bool = True) -> StainNetModule:
        """The network at its start; ``started=False`` leaves the start file aside."""
        if self._start is not None:
            network = from_weights(self._start)
            if started:
                return network
        else:
            network = StainNetModule(kernel_sides(self._shape.layers, self._shape.wide), self._shape.channels)
        initialize(network, torch.Generator().manual_seed(self._seed))
        return network

    def task(self) -> DistillTask:
        """The training's steps, from the start."""
        profile = self._profile
        by_epoch = profile.minutes is None
        return DistillTask(
            self.network().to(self._device),
            self.batch,
            self._quality,
            optimizer=profile.optimizer,
            rate=profile.rate,
            steps_per_epoch=self._crops.steps_per_epoch if by_epoch else None,
            check_every=profile.check_epochs * self._crops.steps_per_epoch if by_epoch else None,
        )

    def _quality(self, network: torch.nn.Module) -> float:
        pairs = self._taught["select"].first(SELECT_IMAGES)
        made = through(network, [source for source, _ in pairs])
        return float(np.mean([psnr(mine, theirs) for mine, (_, theirs) in zip(made, pairs, strict=True)]))

    def finish(self, task: DistillTask, outcome: Outcome, out: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
        """Measure, draw and write what was trained."""
        chosen = task.best_network()
        weights = StainNetWeights(to_weights(chosen).layers, dict(metadata))
        write_stainnet(weights, out / FILE)
        pairs = self._taught["test"].first(TEST_IMAGES)
        source, theirs = [one for one, _ in pairs], [other for _, other in pairs]
        made, raw = through(chosen, source), through(self.network(started=False).to(self._device), source)
        trained, untrained = _figures(made, theirs, source), _figures(raw, theirs, source)
        write_curves(outcome.history, out / "curves.png")
        columns = {"source": source, "StainNet": made, "teacher": theirs, "untrained": raw}
        write_panel(columns, out / "samples.png")
        return {
            **outcome.course,
            "device": describe_device(self._device),
            "parameters": parameter_count(chosen),
            "selection": {"psnr": task.best, "step": task.best_step, "of": len(self._taught["select"])},
            "held_out": {
                "images": len(pairs),
                "trained": trained,
                "untrained": untrained,
                "untouched": _figures(source, theirs, source),
            },
            "better_than_untrained": trained["psnr"] > untrained["psnr"] and trained["ssim"] > untrained["ssim"],
            "weights": {"file": FILE, "sha256": file_digest(out / FILE), "digest": weights.digest},
            **outcome.curve,
        }


def through(network: torch.nn.Module, images: Sequence[Picture]) -> list[Picture]:
    """What the network makes of 8-bit images, one by one."""
    device = next(network.parameters()).device
    made = []
    with torch.no_grad():
        for image in images:
            planes = network(torch.from_numpy(to_planes([image])).to(device))
            made.append(to_images(planes.float().cpu().numpy())[0])
    return made


def _figures(made: Sequence[Picture], theirs: Sequence[Picture], source: Sequence[Picture]) -> dict[str, float]:
    """Against the teacher: PSNR in decibels and SSIM; against the source: SSIM of grey levels."""
    return {
        "psnr": float(np.mean([psnr(a, b) for a, b in zip(made, theirs, strict=True)])),
        "ssim": float(np.mean([ssim_target(a, b) for a, b in zip(made, theirs, strict=True)])),
        "ssim_source": float(np.mean([ssim_source(a, b) for a, b in zip(made, source, strict=True)])),
    }
