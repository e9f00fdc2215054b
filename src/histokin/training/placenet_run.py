"""PlaceNet's training put together: squares, networks, what is measured on held-out pairs, the folder. PyTorch."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from histokin.modality.folder import FILE, NetworkFile, TrainedFolder
from histokin.modality.pixels import to_bytes
from histokin.modality.preparing import LOGARITHMIC, Input
from histokin.modality.tiling import run_on
from histokin.nets.cyclegan import parameter_count
from histokin.nets.placenet import PlaceNet
from histokin.training.comir_run import joint_scale
from histokin.training.device import choose_device, describe_device
from histokin.training.files import write_whole
from histokin.training.image_onnx import write_image_network
from histokin.training.loop import Outcome
from histokin.training.pair_views import PairViews, Views
from histokin.training.pairs import PairSet
from histokin.training.pictures import write_curves, write_panel
from histokin.training.placenet import KIND, PlaceProfile
from histokin.training.placenet_loss import placing_loss
from histokin.training.placenet_task import SIDES, PlaceTask

CALIBRATED = 64
"""Pairs that decide the 8-bit scale, at most."""

BATCHES, FAR = 4, 1 << 30
"""Batches that figures are measured on, and the number of the first: none that is learned from."""

GAIN = 255.0
"""Of the logarithm of second-harmonic images: thin fibers have a hundredth of the brightness of thick ones."""

LIGHT, NOISE, ZOOM, CONTENT = 0.25, 0.02, 0.05, 0.04
"""How squares are changed, see :class:`~histokin.training.pair_views.Views`."""

Modules = Mapping[str, torch.nn.Module]


@final
class PlaceTraining:
    """One training of PlaceNet: what it sees and what comes out of it."""

    def __init__(self, pairs: PairSet, profile: PlaceProfile, *, seed: int, device: str | None) -> None:
        self._pairs, self._profile, self._seed = pairs, profile, seed
        self._device = choose_device(device)
        self._inputs = _inputs(pairs, profile.shrink)
        views = Views(profile.crop, turn_what="image", scale=ZOOM, light=LIGHT, noise=NOISE, content=CONTENT)
        learn, held = pairs.divided(seed)
        self._learn = PairViews(learn, self._inputs, views, seed)
        self._held = PairViews(held, self._inputs, views, seed) if len(held) else self._learn
        self._counts = {"learned_from": len(learn), "held_out": len(held)}

    def task(self) -> PlaceTask:
        """The training's steps, from the start."""
        return PlaceTask(
            lambda step: self._learn.batch(step, self._profile.pairs),
            self._pairs.channels,
            self._profile,
            seed=self._seed,
            device=self._device,
            measure=lambda task: {"held_out_placed": self._figures(task.modules)["placed"]},
        )

    def finish(self, task: PlaceTask, outcome: Outcome, out: Path) -> dict[str, Any]:
        """Measure, draw and write what was trained, and its untrained copy."""
        untrained = self.task()
        self._settle(task.modules)
        self._settle(untrained.modules)
        figures = {"trained": self._figures(task.modules), "untrained": self._figures(untrained.modules)}
        write_curves(outcome.history, out / "curves.png")
        written = self._write(task.modules, out, outcome.steps, figures["trained"])
        self._write(untrained.modules, out / "untrained", 0, figures["untrained"])
        self._panel(task.modules, untrained.modules, out / "samples.png")
        return {
            "planned_steps": outcome.planned,
            "stopped": outcome.stopped,
            "seconds": outcome.seconds,
            "cpu_seconds": outcome.cpu_seconds,
            "device": describe_device(self._device),
            "parameters": {name: parameter_count(module) for name, module in task.modules.items()},
            "pairs": self._counts,
            "held_out": {"images": len(self._held), **figures},
            "held_out_was_learned_from": not self._counts["held_out"],
            "better_than_untrained": all(
                figures["trained"][name] > value for name, value in figures["untrained"].items()
            ),
            "representation": written,
            "losses": outcome.history[-1] if outcome.history else {},
            "history": list(outcome.history),
        }

    def _settle(self, modules: Modules) -> None:
        """Means of channels 0 and a common variance of 1 over the pairs that were learned from, for either modality."""
        made = self._maps(modules, self._learn, CALIBRATED)
        for side, network in enumerate(modules[name] for name in SIDES):
            pool = np.concatenate([pair[side].reshape(-1, self._profile.latent) for pair in made])
            assert isinstance(network, PlaceNet)
            network.settle(torch.from_numpy(pool.mean(axis=0)), float((pool - pool.mean(axis=0)).std()))

    def _maps(self, modules: Modules, views: PairViews, most: int) -> list[tuple[np.ndarray, np.ndarray]]:
        places = np.linspace(0, len(views) - 1, min(most, len(views))).round()
        pairs = [views.prepared(int(place)) for place in places]
        return [(self._run(modules["one"], one), self._run(modules["other"], other)) for one, other in pairs]

    def _run(self, network: torch.nn.Module, values: np.ndarray) -> np.ndarray:
        before, device = network.training, next(network.parameters()).device
        network.eval()

        def run(batch: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                made: np.ndarray = network(torch.from_numpy(batch).to(device)).float().cpu().numpy()
            return made

        try:
            return run_on(values, 2**self._profile.levels, run)
        finally:
            network.train(before)

    def _figures(self, modules: Modules) -> dict[str, float]:
        """How often a part of a held-out square is found at its place, among all places of all squares of a batch."""
        part = self._profile.crop // 4
        corner = (part // 2, part // 2)
        before = {name: modules[name].training for name in SIDES}
        right = []
        for number in range(BATCHES):
            made = []
            for name, squares in zip(SIDES, self._held.batch(FAR + number, self._profile.pairs), strict=True):
                network = modules[name].eval()
                assert isinstance(network, PlaceNet)
                with torch.no_grad():
                    made.append(network.coarse(torch.from_numpy(squares).to(self._device)))
            right.append(float(placing_loss(made[0], made[1], part, corner, self._profile.tau)[1]))
        for name, training in before.items():
            modules[name].train(training)
        return {"placed": float(np.mean(right))}

    def _write(self, modules: Modules, out: Path, steps: int, figures: Mapping[str, float]) -> dict[str, Any]:
        scale = joint_scale([side for pair in self._maps(modules, self._learn, CALIBRATED) for side in pair])
        modalities, multiple = self._pairs.modalities, 2**self._profile.levels
        files, differences = {}, {}
        for side, modality, channels in zip(SIDES, modalities, self._pairs.channels, strict=True):
            sha256, differences[modality] = write_image_network(modules[side], out / f"{side}.onnx", channels, multiple)
            files[modality] = NetworkFile(f"{side}.onnx", sha256)
        facts = {
            "profile": self._profile.name,
            "seed": self._seed,
            "pairs": self._pairs.digest,
            **self._counts,
            "steps": {"done": steps, "published": None},
            "figures": figures,
        }
        folder = TrainedFolder(
            KIND,
            modalities,
            dict(zip(modalities, self._inputs, strict=True)),
            files,
            multiple,
            scale,
            dict.fromkeys(modalities, self._profile.latent),
            facts,
        )
        write_whole(out / FILE, lambda stream: stream.write(folder.to_json().encode()))
        return {"file": FILE, "digest": folder.digest(), "scale": list(scale), "onnx_max_difference": differences}

    def _panel(self, modules: Modules, untrained: Modules, path: Path) -> None:
        columns: dict[str, list[np.ndarray]] = {}
        for place in range(min(3, len(self._held))):
            pair = self._held.prepared(place)
            for modality, values in zip(self._pairs.modalities, pair, strict=True):
                columns.setdefault(modality, []).append(
                    _rgb(to_bytes(values, float(values.min()), float(values.max()) + 1e-6))
                )
            for title, networks in (("trained", modules), ("untrained", untrained)):
                made = [self._run(networks[side], values) for side, values in zip(SIDES, pair, strict=True)]
                scale = joint_scale(made)
                for modality, values in zip(self._pairs.modalities, made, strict=True):
                    columns.setdefault(f"{modality}, {title}", []).append(_rgb(to_bytes(values, *scale)))
        write_panel(columns, path)


def _inputs(pairs: PairSet, shrink: int) -> tuple[Input, Input]:
    one, other = (
        Input(channels, True, high=math.log1p(GAIN), shrink=shrink, gain=GAIN)
        if modality in LOGARITHMIC
        else Input(channels, shrink=shrink)
        for modality, channels in zip(pairs.modalities, pairs.channels, strict=True)
    )
    return one, other


def _rgb(image: np.ndarray) -> np.ndarray:
    return image if image.shape[2] == 3 else np.repeat(image[..., :1], 3, axis=2)
