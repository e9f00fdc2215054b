"""Normalizers scored on groups of pictures: likeness to the target, truth to the source, evenness, speed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from histokin.evaluation.seams import Seam, seam
from histokin.evaluation.stain_groups import Group
from histokin.evaluation.timing import Speed, frames_per_second
from histokin.metrics.image_quality import WINDOW, nmi, nmi_spread, psnr, ssim_source, ssim_target
from histokin.stain.base import Appearance
from histokin.stain.registry import normalizer
from histokin.types import RGB, Images, Status

SEAM_IMAGES = 3
TARGET_PIXELS = 1 << 18


@final
@dataclass(frozen=True)
class GroupScore:
    """One method on one group. ``unchanged`` pairs the pictures left as they were with the reason."""

    group: str
    images: tuple[RGB, ...]
    nmi: tuple[float, ...]
    ssim_source: tuple[float, ...]
    ssim_target: tuple[float, ...]
    psnr_target: tuple[float, ...]
    unchanged: tuple[tuple[str, str], ...]
    fit_seconds: float


@final
@dataclass(frozen=True)
class MethodScore:
    """One method on all groups, with its speed on one picture and its seams."""

    method: str
    groups: tuple[GroupScore, ...]
    speed: Speed
    seams: tuple[Seam, ...]

    def pooled(self, what: str) -> list[float]:
        """A score of every picture of every group."""
        return [value for group in self.groups for value in getattr(group, what)]

    @property
    def unchanged(self) -> int:
        """Pictures left as they were."""
        return sum(len(group.unchanged) for group in self.groups)


@final
@dataclass(frozen=True)
class Compared:
    """How methods are compared: their target, their options by method, and what a fit sees."""

    target: RGB | None = None
    options: dict[str, dict[str, Any]] | None = None
    each: bool = False

    def appearance(self, method: str, target: RGB | None = None) -> Appearance:
        """The method towards the common target, or another. Raises what the registry raises."""
        options = dict((self.options or {}).get(method, {}))
        wanted = self.target if target is None else target
        if wanted is not None and takes_target(method):
            options["target"] = wanted
        return normalizer(method, **options)


def takes_target(method: str) -> bool:
    """False for methods whose target is in their weights, or that have none."""
    return method not in ("none", "stainnet", "stain-gan")


def pooled_target(images: Images) -> RGB:
    """Pixels of many target pictures as one picture, an even sample of each."""
    share = max(1, TARGET_PIXELS // max(1, len(images)))
    parts = []
    for image in images:
        flat = np.asarray(image).reshape(-1, 3)
        parts.append(flat[np.linspace(0, len(flat) - 1, min(share, len(flat))).astype(np.int64)])
    pool: RGB = np.concatenate(parts)[:, None, :]
    return pool


def score_method(method: str, groups: Sequence[Group], how: Compared) -> MethodScore:
    """Map every picture of every group and measure. Raises what the method raises where it cannot be built."""
    appearance = how.appearance(method)
    scores = tuple(_score_group(method, appearance, group, how) for group in groups)
    styled = appearance.for_style(groups[0].name)
    sample = groups[0].images[0]
    fitted = styled.fit(list(groups[0].images[:1]))
    speed = frames_per_second(lambda: fitted(sample), 1)
    cut = sorted((image for group in groups for image in group.images), key=lambda image: -image.size)[:SEAM_IMAGES]
    seams = tuple(found for image in cut if (found := seam(image, styled)) is not None)
    return MethodScore(method, scores, speed, seams)


def _score_group(method: str, appearance: Appearance, group: Group, how: Compared) -> GroupScore:
    styled = appearance.for_style(group.name)
    began = time.perf_counter()
    shared = None if how.each else styled.fit(list(group.images))
    seconds = time.perf_counter() - began
    mapped: list[RGB] = []
    unchanged: list[tuple[str, str]] = []
    for number, image in enumerate(group.images):
        if shared is None:
            # With pairs the picture's own target is the reference, as published comparisons have it.
            own = how.appearance(method, group.targets[number]) if group.targets and takes_target(method) else styled
            began = time.perf_counter()
            fitted = own.fit([image])
            seconds += time.perf_counter() - began
        else:
            fitted = shared
        answer, status = fitted.apply(image)
        mapped.append(np.asarray(answer))
        if not status.ok:
            unchanged.append((group.names[number], _reason(status)))
    pairs = list(zip(mapped, group.targets, strict=True)) if group.targets else []
    large = [(m, s) for m, s in zip(mapped, group.images, strict=True) if min(s.shape[:2]) >= WINDOW]
    return GroupScore(
        group.name,
        tuple(mapped),
        tuple(nmi(image) for image in mapped),
        tuple(ssim_source(m, s) for m, s in large),
        tuple(ssim_target(m, t) for m, t in pairs if min(t.shape[:2]) >= WINDOW),
        tuple(psnr(m, t) for m, t in pairs),
        tuple(unchanged),
        seconds / max(1, len(group.images)),
    )


def _reason(status: Status) -> str:
    return status.reason or "left as it is"


def spread_of(values: Sequence[float]) -> tuple[float, float]:
    """Standard deviation and coefficient of variation of NMI values."""
    return nmi_spread(list(values))
