"""What the trainings of pix2pix and CycleGAN share: profiles, and how training and report come together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from histokin.errors import UnknownName, UsageError
from histokin.training.pair_training import train_pairs
from histokin.training.pairs import PairSet
from histokin.training.report import Trained, Watch, require_torch

SQUARES = 5120
"""Squares that the published experiments cut from their 40 pairs: one epoch."""


@final
@dataclass(frozen=True)
class TranslationProfile:
    """How a translation is trained.

    Parameters
    ----------
    width : channels of the first level of all networks.
    depth : levels of pix2pix's U-Net, residual blocks of CycleGAN's generator.
    shrink : images are made so many times smaller first; the maps still answer at full size.
    crop : side of the squares, in pixels after shrinking.
    constant, falling : epochs (of 5120 squares) at the constant rate, and while it falls to zero.
    pressed : so many steps in all, the schedule pressed into them, or fewer where those do not fit into the minutes
        that are given; None runs all epochs.
    """

    name: str
    width: int = 64
    depth: int = 8
    shrink: int = 1
    crop: int = 256
    batch: int = 16
    constant: int = 100
    falling: int = 100
    pressed: int | None = None

    @property
    def epoch(self) -> int:
        """Steps of one epoch."""
        return -(-SQUARES // self.batch)

    @property
    def steps(self) -> int:
        """Steps of all epochs, or those they are pressed into."""
        return self.pressed or self.epoch * (self.constant + self.falling)


def chosen_profile(
    profiles: Mapping[str, TranslationProfile], name: str, crop: int | None, multiple: int
) -> TranslationProfile:
    """The profile called ``name``, with squares of another side where given. Raises :class:`UsageError`."""
    if name not in profiles:
        raise UnknownName(f"no profile '{name}'", remedy=f"Choose one of: {', '.join(profiles)}")
    if crop is not None and (crop < 32 or crop % multiple):
        raise UsageError(f"--crop is {crop}", remedy=f"Give a multiple of {multiple}, at least 32")
    return replace(profiles[name], crop=crop) if crop else profiles[name]


def train_translation(
    kind: str,
    pairs: PairSet,
    out: Path,
    chosen: TranslationProfile,
    published: int,
    *,
    minutes: float | None,
    steps: int | None,
    seed: int,
    device: str | None,
    legacy_scaling: bool,
    watch: Watch | None,
) -> Trained:
    """Train, or go on with the training that ``out`` holds; see the two trainers."""
    require_torch()
    from histokin.training.translation_run import TranslationTraining

    training = TranslationTraining(
        kind, pairs, chosen, published, seed=seed, device=device, legacy_scaling=legacy_scaling
    )
    return train_pairs(
        kind,
        training,
        pairs,
        out,
        chosen,
        published,
        own={"legacy_scaling": legacy_scaling},
        fits=chosen.pressed is not None,
        minutes=minutes,
        steps=steps,
        seed=seed,
        watch=watch,
    )
