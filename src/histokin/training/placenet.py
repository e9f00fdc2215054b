"""Trains PlaceNet: two networks whose images show where a part of one lies in the other, from aligned pairs.

Ours, for sub-image retrieval across microscopes: CoMIR's idea of two networks into one space, with the search itself
(normalized cross-correlation over all places) as the training's loss, three channels, and every place of an image as a
rival of every other.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from histokin.errors import UnknownName, UsageError
from histokin.training.pair_training import train_pairs
from histokin.training.pairs import PairSet
from histokin.training.report import Trained, Watch, require_torch

KIND = "placenet"


@final
@dataclass(frozen=True)
class PlaceProfile:
    """How a PlaceNet is trained.

    Parameters
    ----------
    width, levels, latent : of the networks, see :class:`~histokin.nets.placenet.PlaceNet`.
    shrink : images are made so many times smaller first; the maps still answer at full size.
    crop : side of the squares, in pixels after shrinking; a multiple of ``2 ** levels``.
    pairs : squares of either modality in a batch.
    parts : sides of the parts that are looked for, in pixels of the networks' answer (half of ``crop`` wide); one is
        drawn for each step.
    tau : divides correlations before the softmax.
    rate, decay : of AdamW.
    steps : of the whole training.
    """

    name: str
    width: int = 16
    levels: int = 3
    latent: int = 3
    shrink: int = 2
    crop: int = 128
    pairs: int = 8
    parts: tuple[int, ...] = (20, 32, 44)
    tau: float = 0.05
    rate: float = 2e-3
    decay: float = 1e-4
    steps: int = 4000


PROFILES = {
    profile.name: profile
    for profile in (
        PlaceProfile("paper", width=32, levels=4, pairs=24, steps=10_000),
        PlaceProfile("practical"),
        # Some 6 minutes on one slow core.
        PlaceProfile("reduced", width=8, steps=600),
    )
}


def place_profile(name: str, crop: int | None = None) -> PlaceProfile:
    """The profile called ``name``, with squares of another side where given.

    Raises
    ------
    UnknownName, UsageError
        for a name nobody gave, or a side that does not fit.
    """
    if name not in PROFILES:
        raise UnknownName(f"no profile '{name}'", remedy=f"Choose one of: {', '.join(PROFILES)}")
    profile = PROFILES[name]
    if crop is None:
        return profile
    multiple = 2**profile.levels
    if crop < 64 or crop % multiple:
        raise UsageError(f"--crop is {crop}", remedy=f"Give a multiple of {multiple}, at least 64")
    answer = crop // 2
    return replace(profile, crop=crop, parts=tuple(round(answer * part / 64) for part in (20, 32, 44)))


def train_placenet(
    pairs: PairSet,
    out: Path,
    *,
    profile: str | PlaceProfile = "reduced",
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    watch: Watch | None = None,
) -> Trained:
    """Train, or go on with the training that ``out`` holds, and write both networks with their report.

    Writes ``representation.json`` and an ONNX file for each modality, the same from the untrained copy in
    ``untrained/``, ``report.json``, ``curves.png``, ``samples.png`` and ``checkpoint.pt``.

    Parameters
    ----------
    pairs : what to learn from. A tenth of the groups is held out where there are at least three; the trained networks
        are compared on it with their untrained copy. With fewer, on the training pairs, and the report says so.
    minutes : plan no more steps than fit into so many minutes here, and stop after them; run again to go on.
    steps : so many steps in place of what the profile says.
    device : such as "cpu" or "cuda"; None for a GPU where there is one.

    Raises
    ------
    UsageError
        without PyTorch, for images smaller than the squares, or when ``out`` holds another training.
    KeyboardInterrupt
        after Ctrl-C, once the checkpoint is written.
    """
    require_torch()
    from histokin.training.placenet_run import PlaceTraining

    chosen = place_profile(profile) if isinstance(profile, str) else profile
    training = PlaceTraining(pairs, chosen, seed=seed, device=device)
    return train_pairs(
        KIND,
        training,
        pairs,
        out,
        chosen,
        None,
        own={},
        fits=True,
        minutes=minutes,
        steps=steps,
        seed=seed,
        watch=watch,
    )
