"""Trains CoMIR: two networks whose images of the same place agree, from aligned pairs of two modalities.

Source: N. Pielawski et al., CoMIR: Contrastive multimodal image representation for registration, NeurIPS 2020; as used
for retrieval by E. Breznik et al., Cross-modality sub-image retrieval using contrastive multimodal image
representations, 2022.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, final

from histokin.errors import UnknownName, UsageError
from histokin.nets.comir_shape import AERIAL, PUBLISHED, DenseUnetShape
from histokin.training.pair_training import train_pairs
from histokin.training.pairs import PairSet
from histokin.training.report import Trained, Watch, require_torch

KIND = "comir"

PUBLISHED_STEPS = 736
"""23 epochs of 32 steps."""


@final
@dataclass(frozen=True)
class ComirProfile:
    """How a CoMIR is trained.

    Parameters
    ----------
    shrink : images are made so many times smaller first; the maps still answer at full size.
    crop : side of the squares, in pixels after shrinking; a multiple of ``shape.multiple``.
    pairs : squares of either modality in a batch: each has 2 ``pairs`` - 2 negatives.
    tau, critic : see :mod:`~histokin.training.comir_loss`.
    optimizer, rate, decay : ``sgd`` (momentum 0.9, constant rate) or ``adam`` (the rate falls along half a cosine).
    quarters : every square is turned by a random number of quarters before the network and back after it.
    turn_what, light, noise, blur, drop, together, content : see :class:`~histokin.training.pair_views.Views`.
    steps : of the whole training. ``fits`` plans fewer where those do not fit into the minutes that are given.
    """

    name: str
    shape: DenseUnetShape = PUBLISHED
    latent: int = 1
    shrink: int = 1
    crop: int = 128
    pairs: int = 24
    tau: float = 0.5
    critic: Literal["mse", "standardized", "both"] = "mse"
    optimizer: Literal["sgd", "adam"] = "sgd"
    rate: float = 1e-2
    decay: float = 1e-5
    quarters: bool = True
    turn_what: Literal["square", "image"] = "square"
    light: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    drop: float = 0.0
    together: int = 1
    content: float = 0.0
    steps: int = PUBLISHED_STEPS
    fits: bool = False


PROFILES = {
    profile.name: profile
    for profile in (
        ComirProfile("paper"),
        # The published network and schedule, with squares that brightness alone cannot tell apart.
        ComirProfile("practical", optimizer="adam", rate=1e-3, turn_what="image", light=0.25, noise=0.02, together=4),
        # Some 5 minutes on one slow core; half the size costs four times as much. Where maps are standardized, a tau
        # of 0.1 is satisfied long before they agree.
        ComirProfile(
            "reduced",
            shape=DenseUnetShape(16, 8, (3, 3), 4, (3, 3), 0.75, 0.0),
            shrink=4,
            crop=32,
            pairs=16,
            critic="standardized",
            optimizer="adam",
            rate=2e-3,
            turn_what="image",
            light=0.25,
            noise=0.02,
            together=4,
            content=0.03,
            fits=True,
        ),
        # The aerial photographs of the same paper: 5 epochs of 32 steps, three-channel images of the space.
        ComirProfile(
            "aerial",
            shape=AERIAL,
            latent=3,
            tau=0.1,
            optimizer="adam",
            rate=1e-3,
            decay=1e-4,
            quarters=False,
            noise=0.02,
            blur=0.2,
            drop=0.05,
            steps=160,
        ),
    )
}


def comir_profile(name: str, crop: int | None = None) -> ComirProfile:
    """The profile called ``name``, with squares of another side where given.

    Raises
    ------
    UnknownName, UsageError
        for a name nobody gave, or a side that the network does not take.
    """
    if name not in PROFILES:
        raise UnknownName(f"no profile '{name}'", remedy=f"Choose one of: {', '.join(PROFILES)}")
    profile = PROFILES[name]
    multiple = profile.shape.multiple
    if crop is not None and (crop < multiple or crop % multiple):
        raise UsageError(f"--crop is {crop}", remedy=f"Give a multiple of {multiple}")
    return replace(profile, crop=crop) if crop else profile


def train_comir(
    pairs: PairSet,
    out: Path,
    *,
    profile: str | ComirProfile = "reduced",
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    mixed_precision: bool = False,
    watch: Watch | None = None,
) -> Trained:
    """Train, or go on with the training that ``out`` holds, and write both networks with their report.

    Writes ``representation.json`` and an ONNX file for each modality, the same from the untrained copy in
    ``untrained/``, ``report.json``, ``curves.png``, ``samples.png`` and ``checkpoint.pt``.

    Parameters
    ----------
    pairs : what to learn from. A tenth of the groups is held out where there are at least three; the trained networks
        are compared on it with their untrained copy. With fewer, on the training pairs, and the report says so.
    minutes : stop after so many minutes of this session; run again to go on. A profile that ``fits`` plans for them.
    steps : so many steps in place of what the profile says.
    device : such as "cpu" or "cuda"; None for a GPU where there is one.
    mixed_precision : compute in bfloat16 where PyTorch holds it safe.

    Raises
    ------
    UsageError
        without PyTorch, for images smaller than the squares, or when ``out`` holds another training.
    KeyboardInterrupt
        after Ctrl-C, once the checkpoint is written.
    """
    require_torch()
    from histokin.training.comir_run import ComirTraining

    chosen = comir_profile(profile) if isinstance(profile, str) else profile
    training = ComirTraining(pairs, chosen, seed=seed, device=device, precise=not mixed_precision)
    return train_pairs(
        KIND,
        training,
        pairs,
        out,
        chosen,
        PUBLISHED_STEPS,
        own={"mixed_precision": mixed_precision},
        fits=chosen.fits,
        minutes=minutes,
        steps=steps,
        seed=seed,
        watch=watch,
    )
