"""Trainings of pix2pix and CycleGAN put together: squares, what is measured on held-out pairs, the folder. PyTorch."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float32

from histokin.errors import UsageError
from histokin.metrics.agreement import correlation
from histokin.modality.folder import FILE, NetworkFile, TrainedFolder
from histokin.modality.pixels import to_bytes
from histokin.modality.preparing import LOGARITHMIC, Input
from histokin.modality.tiling import run_on
from histokin.training.cycle_task import CycleTask, Networks
from histokin.training.cyclegan import KIND as CYCLEGAN
from histokin.training.device import choose_device
from histokin.training.files import write_whole
from histokin.training.image_onnx import write_image_network
from histokin.training.loop import Outcome
from histokin.training.pair_outcome import Measured, pair_facts, pair_report
from histokin.training.pair_views import PairViews, Views
from histokin.training.pairs import PairSet
from histokin.training.pictures import write_curves, write_panel
from histokin.training.pix2pix_task import DIRECTIONS, Pix2PixTask
from histokin.training.translation import TranslationProfile

MEASURED = 4
"""Held-out pairs that figures are measured on, at most."""

BLURRED = 0.2
"""Share of squares that are blurred a little, as published."""

CYCLE_DIRECTIONS = ("forward", "back")

Values = Float32[np.ndarray, "_ _ _"]


@final
class TranslationTraining:
    """One training of either kind: what it sees and what comes out of it."""

    def __init__(
        self,
        kind: str,
        pairs: PairSet,
        profile: TranslationProfile,
        published: int,
        *,
        seed: int,
        device: str | None,
        legacy_scaling: bool,
    ) -> None:
        self._kind, self._pairs, self._profile, self._published, self._seed = kind, pairs, profile, published, seed
        self._device = choose_device(device)
        self._multiple = 4 if kind == CYCLEGAN else 2**profile.depth
        if profile.crop % self._multiple:
            raise UsageError(f"squares of {profile.crop} pixels", remedy=f"Give a multiple of {self._multiple}")
        learn, held = pairs.divided(seed)
        ranges = joint_range(learn) if legacy_scaling else None
        one, other = (input_of(modality, profile.shrink, ranges) for modality in pairs.modalities)
        self._inputs, self._legacy = (one, other), legacy_scaling
        views = Views(profile.crop, blur=BLURRED)
        self._learn = PairViews(learn, self._inputs, views, seed)
        self._held = PairViews(held, self._inputs, views, seed) if len(held) else self._learn
        self._counts = {"learned_from": len(learn), "held_out": len(held)}

    @property
    def _towards(self) -> dict[str, str]:
        """Names of the generators by the modality that they lead to."""
        one, other = self._pairs.modalities
        there, back = CYCLE_DIRECTIONS if self._kind == CYCLEGAN else DIRECTIONS
        return {other: there, one: back}

    def task(self) -> CycleTask | Pix2PixTask:
        """The training's steps, from the start."""
        profile = self._profile
        if self._kind != CYCLEGAN:
            return Pix2PixTask(
                lambda step: self._learn.batch(step, profile.batch),
                self._pairs.channels,
                profile,
                seed=self._seed,
                device=self._device,
            )
        return CycleTask(
            self._unpaired,
            Networks(profile.width, profile.depth),
            epochs=(profile.constant, profile.falling),
            steps_per_epoch=profile.epoch if profile.pressed is None else None,
            seed=self._seed,
            device=self._device,
        )

    def finish(self, task: CycleTask | Pix2PixTask, outcome: Outcome, out: Path) -> dict[str, Any]:
        """Measure, draw and write what was trained, and its untrained copy."""
        untrained = self.task()
        figures = {"trained": self._figures(task.modules), "untrained": self._figures(untrained.modules)}
        write_curves(outcome.history, out / "curves.png")
        self._panel(task.modules, untrained.modules, out / "samples.png")
        written = self._write(task.modules, out, self._facts(outcome.steps, figures["trained"]))
        self._write(untrained.modules, out / "untrained", self._facts(0, figures["untrained"]))
        better = all(
            (value < figures["untrained"][name]) == name.startswith("l1") for name, value in figures["trained"].items()
        )
        shown = Measured(min(MEASURED, len(self._held)), **figures, more={})
        return pair_report(outcome, task.modules, self._device, self._counts, shown, better=better, written=written)

    def _facts(self, steps: int, figures: Mapping[str, float]) -> dict[str, Any]:
        told = (self._profile.name, self._seed, self._pairs.digest, self._counts)
        return {**pair_facts(*told, steps, self._published, figures), "legacy_scaling": self._legacy}

    def _unpaired(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        batch = self._profile.batch
        return self._learn.batch(2 * step, batch)[0], self._learn.batch(2 * step + 1, batch)[1]

    def _made(self, modules: Mapping[str, torch.nn.Module], towards: str, pair: tuple[Values, Values]) -> Values:
        """What the generator makes of the other image of a pair; float32 in -1 to 1."""
        network = modules[self._towards[towards]]
        before = network.training
        device = next(network.parameters()).device
        network.eval()

        def run(batch: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                made: np.ndarray = network(torch.from_numpy(batch).to(device)).float().cpu().numpy()
            return made

        source = pair[0] if towards == self._pairs.modalities[1] else pair[1]
        try:
            return run_on(source, self._multiple, run)
        finally:
            network.train(before)

    def _figures(self, modules: Mapping[str, torch.nn.Module]) -> dict[str, float]:
        """Held-out pairs: correlation of the made with the true image, and their L1 distance, -1 to 1, both gray."""
        places = np.linspace(0, len(self._held) - 1, min(MEASURED, len(self._held))).round()
        pairs = [self._held.prepared(int(place)) for place in places]
        found = {}
        for towards in self._towards:
            side = self._pairs.modalities.index(towards)
            both = [(_gray(self._made(modules, towards, pair)), _gray(pair[side])) for pair in pairs]
            found[f"correlation_{towards}"] = float(np.mean([correlation(*one) for one in both]))
            found[f"l1_{towards}"] = float(np.mean([np.abs(made - true).mean() for made, true in both]))
        return found

    def _write(self, modules: Mapping[str, torch.nn.Module], out: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
        files, differences = {}, {}
        for towards, name in self._towards.items():
            file = f"{name}.onnx"
            sha256, differences[towards] = write_image_network(modules[name], out / file, 3, self._multiple)
            files[towards] = NetworkFile(file, sha256)
        modalities = self._pairs.modalities
        folder = TrainedFolder(
            self._kind,
            modalities,
            dict(zip(modalities, self._inputs, strict=True)),
            files,
            self._multiple,
            (-1.0, 1.0),
            dict(zip(modalities, self._pairs.channels, strict=True)),
            facts,
        )
        write_whole(out / FILE, lambda stream: stream.write(folder.to_json().encode()))
        return {"file": FILE, "digest": folder.digest(), "onnx_max_difference": differences}

    def _panel(self, modules: Mapping[str, Any], untrained: Mapping[str, Any], path: Path) -> None:
        columns: dict[str, list[np.ndarray]] = {}
        for place in range(min(3, len(self._held))):
            pair = self._held.prepared(place)
            for modality, values in zip(self._pairs.modalities, pair, strict=True):
                columns.setdefault(modality, []).append(_rgb(values))
            for title, networks in (("made", modules), ("untrained", untrained)):
                for modality in self._pairs.modalities:
                    values = self._made(networks, modality, pair)
                    columns.setdefault(f"{modality}, {title}", []).append(_rgb(values))
        write_panel(columns, path)


def input_of(modality: str, shrink: int, ranges: tuple[float, float] | None) -> Input:
    """Three channels in -1 to 1: the full scale of the modality, or ``ranges`` for both."""
    logarithm = modality in LOGARITHMIC
    low, high = ranges or (0.0, math.log(2) if logarithm else 1.0)
    return Input(3, logarithm, low, high, signed=True, shrink=shrink)


def joint_range(pairs: PairSet) -> tuple[float, float]:
    """The smallest and the largest value of both modalities together, after the logarithm."""
    plain = [Input(3, modality in LOGARITHMIC) for modality in pairs.modalities]
    low, high = math.inf, -math.inf
    for i in range(len(pairs)):
        for made, image in zip(plain, pairs.load(i), strict=True):
            values = made.prepare(image)
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if not low < high:
        raise UsageError("all images of the pairs are of one gray", remedy="Check the files")
    return low, high


def _gray(values: Values) -> Values:
    gray: Values = values.mean(axis=2, keepdims=True, dtype=np.float32)
    return gray


def _rgb(values: Values) -> np.ndarray:
    image = to_bytes(values, -1, 1)
    return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)
