"""Trains StainGAN: a CycleGAN from the images of one laboratory to those of another, unpaired.

Source: M. T. Shaban et al., StainGAN: stain style transfer for digital histological images, ISBI 2019. Its schedule
for the StainNet paper is not given beyond "the same parameters"; ours is batch 4, 100 + 100 epochs, 256 x 256 crops.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

from histokin.errors import UnknownName, UsageError
from histokin.training.images import ImageSet
from histokin.training.length import Length
from histokin.training.report import Trained, Watch, require_torch, write_report

FILE = "stain-gan.onnx"
KIND = "stain-gan"

PUBLISHED_STEPS = 113_000
"""2257 training images in batches of 4 are 565 steps an epoch, 200 epochs."""

HELD_OUT = 16


@final
@dataclass(frozen=True)
class GanProfile:
    """How a StainGAN is trained.

    ``crop`` in pixels, ``constant`` and ``falling`` epochs of the learning rate. ``minutes`` is None where the epochs
    are run to the end; otherwise as many steps as fit, the schedule pressed into them.
    """

    name: str
    width: int
    blocks: int
    crop: int
    batch: int
    constant: int
    falling: int
    minutes: float | None = None


PROFILES = {
    profile.name: profile
    for profile in (
        GanProfile("paper", 64, 9, 256, 4, 100, 100),
        GanProfile("practical", 64, 9, 256, 4, 25, 25),
        # For squares of 128 pixels CycleGAN itself uses 6 blocks. Batches of one: most updates per minute.
        GanProfile("reduced", 32, 6, 128, 1, 25, 25, minutes=12.0),
    )
}


def gan_profile(name: str, crop: int | None = None) -> GanProfile:
    """The profile called ``name``, with crops of another side where given.

    Raises
    ------
    UnknownName, UsageError
        for a name nobody gave, or a crop that is no multiple of 4 from 32 on.
    """
    if name not in PROFILES:
        raise UnknownName(f"no profile '{name}'", remedy=f"Choose one of: {', '.join(PROFILES)}")
    if crop is not None and (crop < 32 or crop % 4):
        raise UsageError(f"--crop is {crop}", remedy="Give a multiple of 4, at least 32")
    return replace(PROFILES[name], crop=crop) if crop else PROFILES[name]


def train_stain_gan(
    sources: ImageSet,
    targets: ImageSet,
    out: Path,
    *,
    profile: str | GanProfile = "reduced",
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    start: Path | None = None,
    mixed_precision: bool = False,
    watch: Watch | None = None,
) -> Trained:
    """Train, or go on with the training that ``out`` holds, and write the generator with its report.

    Writes ``stain-gan.onnx`` (takes and gives float32 "n 3 h w" in -1 to 1; sides multiples of 4), ``report.json``,
    ``curves.png``, ``samples.png`` and ``checkpoint.pt``.

    Parameters
    ----------
    sources, targets : images of either laboratory; not paired. A tenth of each is held out, and the trained network is
        compared on it with its untrained copy.
    minutes : stop after so many minutes of this session (default: as the profile says); run again to go on.
    steps : so many steps in place of what the profile says.
    device : such as "cpu" or "cuda"; None for a GPU where there is one.
    start : weights to begin with: a checkpoint of ours or published weights of the generator.
    mixed_precision : compute in bfloat16 where PyTorch holds it safe; meant for GPUs.

    Raises
    ------
    UsageError
        without PyTorch, for images smaller than the crop, or when ``out`` holds another training.
    KeyboardInterrupt
        after Ctrl-C, once the checkpoint is written.
    """
    require_torch()
    from histokin.training.sitting import sit
    from histokin.training.stain_gan_run import GanTraining

    chosen = gan_profile(profile) if isinstance(profile, str) else profile
    training = GanTraining(sources, targets, chosen, seed=seed, device=device, precise=not mixed_precision, start=start)
    configuration = {
        "trainer": KIND,
        "profile": asdict(chosen),
        "steps": steps,
        "seed": seed,
        "sources": sources.digest,
        "targets": targets.digest,
        "start": training.start_digest,
        "mixed_precision": mixed_precision,
    }
    task, outcome = sit(
        training.task,
        out,
        configuration,
        Length(steps, training.epochs_steps, PUBLISHED_STEPS, chosen.minutes, minutes),
        seed=seed,
        watch=watch,
    )
    report = _report(training, configuration, outcome.steps)
    report |= training.finish(task, outcome, out, _metadata(sources, targets, chosen, outcome.steps))
    write_report(out, report)
    return Trained(out, out / FILE, report)


def _metadata(sources: ImageSet, targets: ImageSet, profile: GanProfile, steps: int) -> dict[str, str]:
    return {
        "kind": KIND,
        "style": sources.name,
        "target": targets.name,
        "teacher": "",
        "profile": profile.name,
        "steps": f"{steps}/{PUBLISHED_STEPS}",
    }


def _report(training: Any, configuration: dict[str, Any], steps: int) -> dict[str, Any]:
    failed = [*training.sources.failed, *training.targets.failed]
    return {
        "kind": KIND,
        "style": training.sources.name,
        "target": training.targets.name,
        "profile": configuration["profile"]["name"],
        "steps": {"done": steps, "published": PUBLISHED_STEPS},
        "configuration": configuration,
        "images": training.counts,
        "failed": [e.to_dict() for e in failed],
    }
