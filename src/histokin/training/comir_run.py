"""CoMIR's training put together: squares, networks, what is measured on held-out pairs, the folder. PyTorch."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from histokin.metrics.agreement import correlation, equivariance_score, tile_correlations, tile_top1
from histokin.modality.preparing import LOGARITHMIC, Input
from histokin.training.comir import KIND, PUBLISHED_STEPS, ComirProfile
from histokin.training.comir_task import ComirTask
from histokin.training.common_space import SIDES, CommonSpace, Values, spread
from histokin.training.device import choose_device
from histokin.training.loop import Outcome
from histokin.training.pair_outcome import Measured, pair_facts, pair_report
from histokin.training.pair_views import PairViews, Views
from histokin.training.pairs import PairSet
from histokin.training.pictures import write_curves

MEASURED = 8
"""Held-out pairs that figures are measured on, at most."""

MARGIN = 16
"""Mirrored pixels on every side at least, so that the zeros around a convolution's input leave no frame."""


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
        shape = profile.shape
        self._space = CommonSpace(KIND, pairs.modalities, self._inputs, shape.multiple, profile.latent, MARGIN)

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
        written = self._space.write(task.modules, self._learn, out, self._facts(outcome.steps, figures["trained"]))
        before = self._facts(0, figures["untrained"])
        self._space.write(untrained.modules, self._learn, out / "untrained", before)
        self._space.panel(task.modules, untrained.modules, self._held, out / "samples.png")
        better = all(figures["trained"][name] > figures["untrained"][name] for name in ("correlation", "tile_top1"))
        shown = Measured(min(MEASURED, len(self._held)), **figures, more={"untouched": self._raw()})
        return pair_report(outcome, task.modules, self._device, self._counts, shown, better=better, written=written)

    def _facts(self, steps: int, figures: Mapping[str, float]) -> dict[str, Any]:
        told = (self._profile.name, self._seed, self._pairs.digest, self._counts)
        return pair_facts(*told, steps, PUBLISHED_STEPS, figures)

    def _correlation(self, modules: Mapping[str, torch.nn.Module]) -> float:
        return float(np.mean([correlation(*pair) for pair in self._space.maps(modules, self._held, 2)]))

    def _figures(self, modules: Mapping[str, torch.nn.Module]) -> dict[str, float]:
        made = self._space.maps(modules, self._held, MEASURED)
        shown = [self._held.prepared(i) for i in range(min(2, len(self._held)))]
        turns = [
            equivariance_score(partial(self._space.run, modules[side]), [pair[k] for pair in shown])
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
        pairs = [self._held.prepared(place) for place in spread(self._held, MEASURED)]
        gray = [(one.mean(axis=2, keepdims=True), other.mean(axis=2, keepdims=True)) for one, other in pairs]
        return {
            "correlation": float(np.mean([correlation(*pair) for pair in gray])),
            "tile_top1": self._top1(gray),
            "equivariance": 1.0,
        }


def _inputs(pairs: PairSet, shrink: int) -> tuple[Input, Input]:
    one, other = (
        Input(channels, modality in LOGARITHMIC, shrink=shrink)
        for modality, channels in zip(pairs.modalities, pairs.channels, strict=True)
    )
    return one, other
