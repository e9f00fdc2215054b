"""Trains CycleGAN between two modalities: squares of either, unpaired.

Source: J.-Y. Zhu et al., Unpaired image-to-image translation using cycle-consistent adversarial networks, ICCV 2017;
schedule and data as in E. Breznik et al., Cross-modality sub-image retrieval using contrastive multimodal image
representations, 2022.
"""

from pathlib import Path

from histokin.training.pairs import PairSet
from histokin.training.report import Trained, Watch
from histokin.training.translation import TranslationProfile, chosen_profile, train_translation

KIND = "cyclegan"

PUBLISHED_STEPS = 1_024_000
"""5120 squares one at a time, 200 epochs."""

PROFILES = {
    profile.name: profile
    for profile in (
        TranslationProfile("paper", depth=9, batch=1),
        TranslationProfile("practical", depth=9, batch=1, constant=5, falling=5),
        TranslationProfile("reduced", width=16, depth=4, shrink=2, crop=128, batch=1, pressed=1500),
    )
}


def cyclegan_profile(name: str, crop: int | None = None) -> TranslationProfile:
    """The profile called ``name``, with squares of another side where given.

    Raises
    ------
    UnknownName, UsageError
        for a name nobody gave, or a side that is no multiple of 4 from 32 on.
    """
    return chosen_profile(PROFILES, name, crop, 4)


def train_cyclegan(
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

    Squares of the two modalities are drawn independently: that the images are pairs is used on held-out pairs only, to
    measure. Files, parameters and errors are those of :func:`~histokin.training.pix2pix.train_pix2pix`.
    """
    return train_translation(
        KIND,
        pairs,
        out,
        cyclegan_profile(profile) if isinstance(profile, str) else profile,
        PUBLISHED_STEPS,
        minutes=minutes,
        steps=steps,
        seed=seed,
        device=device,
        legacy_scaling=legacy_scaling,
        watch=watch,
    )
