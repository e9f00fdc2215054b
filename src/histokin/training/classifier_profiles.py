"""How the classifiers of the colorectal paper are trained: as published, as one would today, and on a laptop.

No PyTorch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np
from jaxtyping import Float32

from histokin.errors import UnknownName, UsageError

LEAST_PX: Mapping[str, int] = {"small": 32, "resnet50": 33, "densenet121": 32, "inception_v3": 75}
"""The smallest input that each network's last map survives."""

NETWORKS = tuple(LEAST_PX)
NAMES = ("paper", "practical", "reduced")
DROPS = (80, 120, 160, 180)
"""The rate is a tenth from the epoch after each of these on, counted from 0."""


@final
@dataclass(frozen=True)
class ClassifierProfile:
    """One recipe.

    Parameters
    ----------
    input_px : side that images are resized to; None for their own.
    optimizer, epsilon : ``rmsprop`` has decay 0.9; PyTorch adds ``epsilon`` after the root, TensorFlow within it.
    schedule : ``drops``: :func:`paper_share` with the epochs of ``drops``; ``cosine``: from the rate to 0 over all
        steps.
    smoothing : label smoothing; see :func:`smoothed`.
    auxiliary : InceptionV3's auxiliary head learns as well; its loss counts 0.4.
    augment : right angles and mirrors, moderate crops, and BRH stain augmentation.
    scaling : what the network sees: RGB in 0 to 1 (``unit``), -1 to 1 (``signed``), or standardized as its ImageNet
        weights were (``own``).
    start : weights when no file is given: ``shipped``, those that come with the package (the small network only), or
        ``random``.
    patience : stop when so many epochs brought nothing better; None: never.
    minutes : take as many steps as fit into this, but at least ``least_epochs``; None for all ``epochs``.
    """

    name: str
    input_px: int | None
    rate: float
    epochs: int
    batch: int = 32
    optimizer: Literal["adam", "rmsprop"] = "adam"
    epsilon: float = 1e-7
    decay: float = 0.0
    schedule: Literal["drops", "cosine"] = "cosine"
    drops: tuple[int, ...] = DROPS
    smoothing: float = 0.0
    auxiliary: bool = False
    augment: bool = True
    scaling: Literal["unit", "signed", "own"] = "own"
    start: Literal["shipped", "random"] = "random"
    patience: int | None = None
    minutes: float | None = None
    least_epochs: int = 1


_PAPER = ClassifierProfile("paper", None, 1e-3, 200, schedule="drops", augment=False, scaling="unit")
_PRACTICAL = ClassifierProfile("practical", 224, 3e-4, 60, decay=1e-4, smoothing=0.05, patience=12)
_REDUCED = ClassifierProfile("reduced", 64, 3e-4, 12, batch=16, decay=1e-4, smoothing=0.05, minutes=8.0, least_epochs=3)
_INCEPTION = {"optimizer": "rmsprop", "smoothing": 0.1, "auxiliary": True}
_SMALL = {"input_px": 128, "start": "shipped", "rate": 5e-3, "decay": 1e-2, "batch": 32}

PROFILES: Mapping[tuple[str, str], ClassifierProfile] = {
    **{(network, "paper"): _PAPER for network in ("resnet50", "densenet121")},
    **{(network, "practical"): _PRACTICAL for network in ("resnet50", "densenet121")},
    **{(network, "reduced"): _REDUCED for network in ("resnet50", "densenet121")},
    ("inception_v3", "paper"): replace(_PAPER, input_px=299, scaling="signed", epsilon=1.0, **_INCEPTION),  # type: ignore[arg-type]
    ("inception_v3", "practical"): replace(_PRACTICAL, input_px=299, **_INCEPTION),  # type: ignore[arg-type]
    ("inception_v3", "reduced"): replace(_REDUCED, input_px=96, **_INCEPTION),  # type: ignore[arg-type]
    ("small", "paper"): replace(_PAPER, input_px=128),
    ("small", "practical"): replace(_PRACTICAL, **_SMALL),  # type: ignore[arg-type]
    ("small", "reduced"): replace(_REDUCED, minutes=6.0, least_epochs=1, epochs=15, **_SMALL),  # type: ignore[arg-type]
}


def classifier_profile(
    network: str, name: str = "reduced", input_px: int | None = None, minutes: float | None = None
) -> ClassifierProfile:
    """The recipe of a network, with another input size where one is given.

    Raises
    ------
    UnknownName
        for a network or profile that does not exist.
    UsageError
        for an input too small for the network.
    """
    if network not in NETWORKS:
        remedy = f"Choose one of: {', '.join(NETWORKS)}"
        raise UnknownName(f"no classifier network is called '{network}'", remedy=remedy)
    if name not in NAMES:
        raise UnknownName(f"no profile is called '{name}'", remedy=f"Choose one of: {', '.join(NAMES)}")
    chosen = PROFILES[network, name]
    if input_px is not None:
        require_side(network, input_px)
        chosen = replace(chosen, input_px=input_px)
    return chosen if minutes is None or chosen.minutes is None else replace(chosen, minutes=minutes)


def require_side(network: str, side: int) -> None:
    """Raises :class:`UsageError` for an input too small for the network."""
    if side < LEAST_PX[network]:
        raise UsageError(
            f"{network} cannot take {side} x {side} pixels",
            remedy=f"Give at least {LEAST_PX[network]} pixels, with --crop or larger images",
        )


def paper_share(epoch: int, drops: Sequence[int] = DROPS) -> float:
    """Share of the starting rate in ``epoch``, counted from 0: a tenth of it after each of 80, 120, 160, 180.

    From 1e-3 the rate is 1e-4 from epoch 81 on, then 1e-5, 1e-6 and, from 181 on, 1e-7.
    """
    share: float = 10.0 ** -sum(epoch > drop for drop in drops)
    return share


def smoothed(numbers: np.ndarray, classes: int, smoothing: float | int) -> Float32[np.ndarray, "n c"]:
    """Targets: ``1 - e + e / c`` for the true class and ``e / c`` for the others (C. Szegedy et al., CVPR 2016)."""
    targets = np.full((len(numbers), classes), smoothing / classes, np.float32)
    targets[np.arange(len(numbers)), numbers] += np.float32(1 - smoothing)
    return targets
