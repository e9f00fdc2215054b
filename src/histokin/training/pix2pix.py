"""Trains pix2pix in both directions: each modality drawn from the other, from aligned pairs.

Source: P. Isola et al., Image-to-image translation with conditional adversarial networks, CVPR 2017; schedule and data
as in E. Breznik et al., Cross-modality sub-image retrieval using contrastive multimodal image representations, 2022.
"""

from pathlib import Path

from histokin.training.pairs import PairSet
from histokin.training.report import Trained, Watch
from histokin.training.translation import TranslationProfile, chosen_profile, train_translation

KIND = "pix2pix"

PUBLISHED_STEPS = 64_000
"""5120 squares in batches of 16 are 320 steps an epoch, 200 epochs."""

PROFILES = {
    profile.name: profile
    for profile in (
        TranslationProfile("paper"),
        TranslationProfile("practical", constant=10, falling=10),
        TranslationProfile("reduced", width=16, depth=6, shrink=2, crop=128, batch=4, pressed=1500),
    )
}


def pix2pix_profile(name: str, crop: int | None = None) -> TranslationProfile:
    """The profile called ``name``, with squares of another side where given.

    Raises
    ------
    UnknownName, UsageError
        for a name nobody gave, or a side that the U-Net does not take.
    """
    depth = PROFILES[name].depth if name in PROFILES else 1
    return chosen_profile(PROFILES, name, crop, 2**depth)


def train_pix2pix(
    pairs: PairSet,
    out: Path,
    *,
    profile: str | TranslationProfile = "reduced",
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    legacy_scaling: bool = False,
    watch: Watch | None = None,
) -> Trained:
    """Train, or go on with the training that ``out`` holds, and write both generators with their report.

    Writes ``representation.json`` and an ONNX file for each direction, the same from the untrained copy in
    ``untrained/``, ``report.json``, ``curves.png``, ``samples.png`` and ``checkpoint.pt``.

    Parameters
    ----------
    pairs : what to learn from. A tenth of the groups is held out where there are at least three; the trained networks
        are compared on it with their untrained copy. With fewer, on the training pairs, and the report says so.
    minutes : stop after so many minutes of this session; run again to go on. 'reduced' plans for them.
    steps : so many steps in place of what the profile says. One step trains both directions.
    device : such as "cpu" or "cuda"; None for a GPU where there is one.
    legacy_scaling : scale by the smallest and largest value of both modalities together, as the published data were,
        instead of by the full scale of each.

    Raises
    ------
    UsageError
        without PyTorch, for images smaller than the squares, or when ``out`` holds another training.
    KeyboardInterrupt
        after Ctrl-C, once the checkpoint is written.
    """
    return train_translation(
        KIND,
        pairs,
        out,
        pix2pix_profile(profile) if isinstance(profile, str) else profile,
        PUBLISHED_STEPS,
        minutes=minutes,
        steps=steps,
        seed=seed,
        device=device,
        legacy_scaling=legacy_scaling,
        watch=watch,
    )
