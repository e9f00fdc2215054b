"""PlaceNet's training put together: squares, networks, what is measured on held-out pairs, the folder. PyTorch."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from histokin.modality.preparing import LOGARITHMIC, Input
from histokin.nets.placenet import PlaceNet
from histokin.training.common_space import CALIBRATED, SIDES, CommonSpace, Modules
from histokin.training.device import choose_device
from histokin.training.loop import Outcome
from histokin.training.pair_outcome import Measured, pair_facts, pair_report
from histokin.training.pair_views import PairViews, Views
from histokin.training.pairs import PairSet
from histokin.training.pictures import write_curves
from histokin.training.placenet import KIND, PlaceProfile
from histokin.training.placenet_loss import placing_loss
from histokin.training.placenet_task import PlaceTask

BATCHES, FAR = 4, 1 << 30
"""Batches that figures are measured on, and the number of the first: none that is learned from."""

GAIN = 255.0
"""Of the logarithm of second-harmonic images: thin fibers have a hundredth of the brightness of thick ones."""

LIGHT, NOISE, ZOOM, CONTENT = 0.25, 0.02, 0.05, 0.04
"""How squares are changed, see :class:`~histokin.training.pair_views.Views`."""


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
        self._space = CommonSpace(KIND, pairs.modalities, self._inputs, 2**profile.levels, profile.latent)

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
        facts = self._facts(outcome.steps, figures["trained"])
        written = self._space.write(task.modules, self._learn, out, facts)
        before = self._facts(0, figures["untrained"])
        self._space.write(untrained.modules, self._learn, out / "untrained", before)
        self._space.panel(task.modules, untrained.modules, self._held, out / "samples.png")
        better = all(figures["trained"][name] > value for name, value in figures["untrained"].items())
        shown = Measured(len(self._held), **figures, more={})
        return pair_report(outcome, task.modules, self._device, self._counts, shown, better=better, written=written)

    def _facts(self, steps: int, figures: Mapping[str, float]) -> dict[str, Any]:
        return pair_facts(self._profile.name, self._seed, self._pairs.digest, self._counts, steps, None, figures)

    def _settle(self, modules: Modules) -> None:
        """Means of channels 0 and a common variance of 1 over the pairs that were learned from, for either modality."""
        made = self._space.maps(modules, self._learn, CALIBRATED)
        for side, network in enumerate(modules[name] for name in SIDES):
            pool = np.concatenate([pair[side].reshape(-1, self._profile.latent) for pair in made])
            assert isinstance(network, PlaceNet)
            network.settle(torch.from_numpy(pool.mean(axis=0)), float((pool - pool.mean(axis=0)).std()))

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


def _inputs(pairs: PairSet, shrink: int) -> tuple[Input, Input]:
    one, other = (
        Input(channels, True, high=math.log1p(GAIN), shrink=shrink, gain=GAIN)
        if modality in LOGARITHMIC
        else Input(channels, shrink=shrink)
        for modality, channels in zip(pairs.modalities, pairs.channels, strict=True)
    )
    return one, other
