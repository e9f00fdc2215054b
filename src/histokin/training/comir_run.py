"""CoMIR's training put together: squares, networks, what is measured on held-out pairs, the folder. PyTorch."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float32

from histokin.metrics.agreement import correlation, equivariance_score, tile_correlations, tile_top1
from histokin.modality.folder import FILE, NetworkFile, TrainedFolder
from histokin.modality.pixels import to_bytes
from histokin.modality.preparing import LOGARITHMIC, Input
from histokin.modality.tiling import run_on
from histokin.nets.cyclegan import parameter_count
from histokin.training.comir import KIND, PUBLISHED_STEPS, ComirProfile
from histokin.training.comir_task import SIDES, ComirTask
from histokin.training.device import choose_device, describe_device
from histokin.training.files import write_whole
from histokin.training.image_onnx import write_image_network
from histokin.training.loop import Outcome
from histokin.training.pair_views import PairViews, Views
from histokin.training.pairs import PairSet
from histokin.training.pictures import write_curves, write_panel

MEASURED = 8
"""Held-out pairs that figures are measured on, at most."""

CALIBRATED = 64
"""Training pairs that decide the 8-bit scale, at most."""

PERCENTILES = (1.0, 99.0)

MARGIN = 16
"""Mirrored pixels on every side at least, so that the zeros around a convolution's input leave no frame."""

Values = Float32[np.ndarray, "_ _ _"]


@final
class ComirTraining:
    """One training of CoMIR: what it sees and what comes out of it."""

    def __init__(
        self, pairs: PairSet, profile: ComirProfile, *, seed: int, device: str | None, precise: bool = True
    ) -> None:
        self._pairs, self._profile, self._seed, self._precise = pairs, profile, seed, precise
        self._device = choose_device(device)
        self._inputs = _inputs(pairs, profile.shrink)
        views = Views(
            profile.crop,
            turn_what=profile.turn_what,
            light=profile.light,
            noise=profile.noise,
            blur=profile.blur,
            drop=profile.drop,
            together=profile.together,
            content=profile.content,
        )
        learn, held = pairs.divided(seed)
        self._learn = PairViews(learn, self._inputs, views, seed)
        self._held = PairViews(held, self._inputs, views, seed) if len(held) else self._learn
        self._counts = {"learned_from": len(learn), "held_out": len(held)}

    def task(self) -> ComirTask:
        """The training's steps, from the start."""
        return ComirTask(
            lambda step: self._learn.batch(step, self._profile.pairs),
            self._pairs.channels,
            self._profile,
            seed=self._seed,
            device=self._device,
            precise=self._precise,
            measure=lambda task: {"held_out_correlation": self._correlation(task.modules)},
        )

    def finish(self, task: ComirTask, outcome: Outcome, out: Path) -> dict[str, Any]:
        """Measure, draw and write what was trained, and its untrained copy."""
        untrained = self.task()
        figures = {"trained": self._figures(task.modules), "untrained": self._figures(untrained.modules)}
        write_curves(outcome.history, out / "curves.png")
        steps = {"done": outcome.steps, "published": PUBLISHED_STEPS}
        written = self._write(task.modules, out, {**self._facts, "steps": steps, "figures": figures["trained"]})
        before = {**self._facts, "steps": {"done": 0, "published": PUBLISHED_STEPS}, "figures": figures["untrained"]}
        self._write(untrained.modules, out / "untrained", before)
        self._panel(task.modules, untrained.modules, out / "samples.png")
        better = all(figures["trained"][name] > figures["untrained"][name] for name in ("correlation", "tile_top1"))
        return {
            "planned_steps": outcome.planned,
            "stopped": outcome.stopped,
            "seconds": outcome.seconds,
            "cpu_seconds": outcome.cpu_seconds,
            "device": describe_device(self._device),
            "parameters": {name: parameter_count(module) for name, module in task.modules.items()},
            "pairs": self._counts,
            "held_out": {"images": min(MEASURED, len(self._held)), **figures, "untouched": self._raw()},
            "held_out_was_learned_from": not self._counts["held_out"],
            "better_than_untrained": better,
            "representation": written,
            "losses": outcome.history[-1] if outcome.history else {},
            "history": list(outcome.history),
        }

    @property
    def _facts(self) -> dict[str, Any]:
        return {"profile": self._profile.name, "seed": self._seed, "pairs": self._pairs.digest, **self._counts}

    def _maps(self, modules: Mapping[str, torch.nn.Module], views: PairViews, most: int) -> list[tuple[Values, Values]]:
        places = np.linspace(0, len(views) - 1, min(most, len(views))).round()
        return [self._map(modules, *views.prepared(int(place))) for place in places]

    def _map(self, modules: Mapping[str, torch.nn.Module], one: Values, other: Values) -> tuple[Values, Values]:
        return self._run(modules, "one", one), self._run(modules, "other", other)

    def _run(self, modules: Mapping[str, torch.nn.Module], side: str, values: Values) -> Values:
        network = modules[side]
        before = network.training
        device = next(network.parameters()).device
        network.eval()

        def run(batch: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                made: np.ndarray = network(torch.from_numpy(batch).to(device)).float().cpu().numpy()
            return made

        try:
            return run_on(values, self._profile.shape.multiple, run, MARGIN)
        finally:
            network.train(before)

    def _correlation(self, modules: Mapping[str, torch.nn.Module]) -> float:
        return float(np.mean([correlation(*pair) for pair in self._maps(modules, self._held, 2)]))

    def _figures(self, modules: Mapping[str, torch.nn.Module]) -> dict[str, float]:
        made = self._maps(modules, self._held, MEASURED)
        shown = [self._held.prepared(i) for i in range(min(2, len(self._held)))]
        turns = [
            equivariance_score(partial(self._run, modules, side), [pair[k] for pair in shown])
            for k, side in enumerate(SIDES)
        ]
        return {
            "correlation": float(np.mean([correlation(*pair) for pair in made])),
            "tile_top1": self._top1(made),
            "equivariance": float(np.mean(turns)),
        }

    def _top1(self, made: list[tuple[Values, Values]]) -> float:
        ones, others = [pair[0] for pair in made], [pair[1] for pair in made]
        return tile_top1(tile_correlations(ones, others, self._profile.crop))

    def _raw(self) -> dict[str, float]:
        """The same figures of the prepared images themselves, gray."""
        places = np.linspace(0, len(self._held) - 1, min(MEASURED, len(self._held))).round()
        pairs = [self._held.prepared(int(place)) for place in places]
        gray = [(one.mean(axis=2, keepdims=True), other.mean(axis=2, keepdims=True)) for one, other in pairs]
        return {
            "correlation": float(np.mean([correlation(*pair) for pair in gray])),
            "tile_top1": self._top1(gray),
            "equivariance": 1.0,
        }

    def _write(self, modules: Mapping[str, torch.nn.Module], out: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
        scale = joint_scale([side for pair in self._maps(modules, self._learn, CALIBRATED) for side in pair])
        modalities, multiple = self._pairs.modalities, self._profile.shape.multiple
        files, differences = {}, {}
        for side, modality, channels in zip(SIDES, modalities, self._pairs.channels, strict=True):
            name = f"{side}.onnx"
            sha256, differences[modality] = write_image_network(modules[side], out / name, channels, multiple)
            files[modality] = NetworkFile(name, sha256)
        folder = TrainedFolder(
            KIND,
            modalities,
            dict(zip(modalities, self._inputs, strict=True)),
            files,
            multiple,
            scale,
            dict.fromkeys(modalities, self._profile.latent),
            facts,
            MARGIN,
        )
        write_whole(out / FILE, lambda stream: stream.write(folder.to_json().encode()))
        return {"file": FILE, "digest": folder.digest(), "scale": list(scale), "onnx_max_difference": differences}

    def _panel(self, modules: Mapping[str, Any], untrained: Mapping[str, Any], path: Path) -> None:
        columns: dict[str, list[np.ndarray]] = {}
        for place in range(min(3, len(self._held))):
            pair = self._held.prepared(place)
            for modality, values in zip(self._pairs.modalities, pair, strict=True):
                columns.setdefault(modality, []).append(
                    _rgb(to_bytes(values, float(values.min()), float(values.max()) + 1e-6))
                )
            for title, networks in (("trained", modules), ("untrained", untrained)):
                made = self._map(networks, *pair)
                scale = joint_scale(list(made))
                for modality, values in zip(self._pairs.modalities, made, strict=True):
                    columns.setdefault(f"{modality}, {title}", []).append(_rgb(to_bytes(values, *scale)))
        write_panel(columns, path)


def joint_scale(maps: list[Values]) -> tuple[float, float]:
    """The 1st and the 99th percentile of all values of both modalities together; never equal."""
    pool = np.concatenate([values.ravel()[:: max(1, values.size // 100_000)] for values in maps])
    low, high = (float(value) for value in np.percentile(pool, PERCENTILES))
    return (low, high) if high - low > 1e-6 else (low - 0.5, low + 0.5)


def _inputs(pairs: PairSet, shrink: int) -> tuple[Input, Input]:
    one, other = (
        Input(channels, modality in LOGARITHMIC, shrink=shrink)
        for modality, channels in zip(pairs.modalities, pairs.channels, strict=True)
    )
    return one, other


def _rgb(image: np.ndarray) -> np.ndarray:
    return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)
