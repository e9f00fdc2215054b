"""Trains StainNet: a small network learns, from pairs of an image and what a teacher made of it, to do the same.

The teacher is a trained StainGAN or any other normalizer. Source: H. Kang et al., StainNet: a fast and robust stain
normalization network, Frontiers in Medicine 2021.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

from histokin.errors import UnknownName, UsageError
from histokin.stain.base import Appearance
from histokin.training.images import ImageSet
from histokin.training.length import Length
from histokin.training.report import Trained, Watch, require_torch, write_report

FILE = "stainnet.safetensors"
KIND = "stainnet"

PUBLISHED_STEPS = 67_800
"""2257 training images in batches of 10 are 226 steps an epoch, 300 epochs."""


@final
@dataclass(frozen=True)
class NetProfile:
    """How a StainNet is trained.

    ``crop`` in pixels, ``rate`` the first learning rate, which falls to 0 along half a cosine over ``epochs``.
    Validation every ``check_epochs`` (or a twentieth of the steps, where ``minutes`` rather than epochs say how many
    there are). ``most`` images of the source are used, None for all.
    """

    name: str
    optimizer: Literal["sgd", "adam"]
    rate: float
    batch: int
    crop: int
    epochs: int
    check_epochs: int = 5
    minutes: float | None = None
    most: int | None = None


PROFILES = {
    profile.name: profile
    for profile in (
        NetProfile("paper", "sgd", 0.01, 10, 256, 300),
        NetProfile("practical", "adam", 1e-3, 10, 256, 60),
        NetProfile("reduced", "adam", 2e-3, 10, 128, 60, minutes=5.0, most=200),
    )
}


def net_profile(name: str, crop: int | None = None, most: int | None = None) -> NetProfile:
    """The profile called ``name``, with crops of another side and another number of images where given.

    Raises
    ------
    UnknownName, UsageError
        for a name nobody gave, or a crop below 8.
    """
    if name not in PROFILES:
        raise UnknownName(f"no profile '{name}'", remedy=f"Choose one of: {', '.join(PROFILES)}")
    if crop is not None and crop < 8:
        raise UsageError(f"--crop is {crop}", remedy="Give at least 8")
    profile = PROFILES[name]
    return replace(profile, crop=crop or profile.crop, most=most or profile.most)


@final
@dataclass(frozen=True)
class NetShape:
    """A StainNet's structure: ``layers`` of ``channels``, the first ``wide`` of them 3x3, the others 1x1."""

    layers: int = 3
    channels: int = 32
    wide: int = 0


def train_stainnet(
    sources: ImageSet,
    teacher: Appearance,
    out: Path,
    *,
    profile: str | NetProfile = "reduced",
    shape: NetShape | None = None,
    target: str = "",
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
    start: Path | None = None,
    legacy_select_on_test: bool = False,
    watch: Watch | None = None,
) -> Trained:
    """Train, or go on with the training that ``out`` holds, and write the weights with their report.

    Writes ``stainnet.safetensors``, ``report.json``, ``curves.png``, ``samples.png``, ``checkpoint.pt`` and the
    teacher's images in ``teacher/``.

    Parameters
    ----------
    sources : images of one laboratory. 80 of 100 are learned from, 10 choose the best step, 10 give the figures
        (or as the table of images says).
    teacher : is fitted on the images learned from and maps every source once; 8-bit, as in the paper.
    shape : the network; None for the published one of 1283 parameters, or that of ``start``.
    target : what the target is called; goes into the weight file.
    minutes : stop after so many minutes of this session (default: as the profile says); run again to go on.
    steps : so many steps in place of what the profile says.
    device : such as "cpu" or "cuda"; None for a GPU where there is one.
    start : weights to begin with: ours, or a published checkpoint.
    legacy_select_on_test : choose the step by the test images, as the paper does; its figures are then too good.

    Raises
    ------
    UsageError
        without PyTorch, for images smaller than the crop, or when ``out`` holds another training.
    KeyboardInterrupt
        after Ctrl-C, once the checkpoint is written.
    """
    require_torch()
    from histokin.training.sitting import sit
    from histokin.training.stainnet_run import NetTraining

    chosen = net_profile(profile) if isinstance(profile, str) else profile
    images = sources if chosen.most is None else sources.thinned(chosen.most)
    training = NetTraining(images, chosen, shape, seed=seed, device=device, start=start)
    configuration = _configuration(training, chosen, teacher, steps, seed, legacy_select_on_test)
    training.check(out, configuration)
    training.teach(teacher, out / "teacher", select_on_test=legacy_select_on_test, watch=watch)
    task, outcome = sit(
        training.task,
        out,
        configuration,
        Length(steps, training.epochs_steps, PUBLISHED_STEPS, chosen.minutes, minutes),
        seed=seed,
        watch=watch,
    )
    metadata = _metadata(images, teacher, target, chosen, outcome.steps)
    report = _report(training, configuration, metadata, outcome.steps) | training.finish(task, outcome, out, metadata)
    write_report(out, report)
    return Trained(out, out / FILE, report)


def teacher_from(name_or_file: str, target: Path | None = None) -> Appearance:
    """A normalizer by name, a StainGAN from an ``.onnx`` file, or a StainNet from ``.safetensors`` or ``.pth``.

    Raises
    ------
    UnknownName, UsageError, UnreadableFile, UnsupportedFormat
        as the normalizer does.
    """
    from histokin.stain.registry import normalizer

    by_file = {".onnx": "stain-gan", ".safetensors": "stainnet", ".pth": "stainnet", ".pt": "stainnet"}
    method = by_file.get(Path(name_or_file).suffix.lower())
    if method is None:
        return normalizer(name_or_file, target=target) if target else normalizer(name_or_file)
    if target is not None:
        raise UsageError("a trained teacher takes no target image", remedy="Leave --teacher-target out")
    return normalizer(method, weights=name_or_file)


def _configuration(
    training: Any, profile: NetProfile, teacher: Appearance, steps: int | None, seed: int, select_on_test: bool
) -> dict[str, Any]:
    return {
        "trainer": KIND,
        "profile": asdict(profile),
        "shape": training.shape,
        "steps": steps,
        "seed": seed,
        "sources": training.sources.digest,
        "teacher": teacher.space,
        "start": training.start_digest,
        "legacy_select_on_test": select_on_test,
    }


def _metadata(sources: ImageSet, teacher: Appearance, target: str, profile: NetProfile, steps: int) -> dict[str, str]:
    return {
        "kind": KIND,
        "style": sources.name,
        "target": target,
        "teacher": teacher.space,
        "profile": profile.name,
        "steps": f"{steps}/{PUBLISHED_STEPS}",
    }


def _report(training: Any, configuration: dict[str, Any], metadata: Mapping[str, str], steps: int) -> dict[str, Any]:
    return {
        **metadata,
        "steps": {"done": steps, "published": PUBLISHED_STEPS},
        "configuration": configuration,
        "images": training.counts,
        "failed": [e.to_dict() for e in training.sources.failed],
    }
