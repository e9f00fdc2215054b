"""Scores of one method over aligned pairs, and its speed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from histokin.cores import usable_cores
from histokin.evaluation.reproduce.methods import Method
from histokin.evaluation.reproduce.pairs import Pair
from histokin.evaluation.reproduce.records import load, tiled
from histokin.evaluation.timing import Speed, frames_per_second
from histokin.metrics.image_quality import psnr, ssim_source, ssim_target
from histokin.stain.color_map import ColorMap
from histokin.types import RGB, ImageMap

FRAME = 512
"""Pixels of a side of the frames that speed is measured on, as in the StainNet paper."""

MANY = 1 << 30
"""Pixels that a map is made ready for: those of a slide."""

CORES = usable_cores()


@final
@dataclass(frozen=True)
class Scores:
    """SSIM target, PSNR target (dB) and SSIM source of every pair, in order.

    ``refused`` counts references that no stains could be taken from (those pairs have no scores), ``unchanged``
    sources that came back as they were (those have).
    """

    ssim_target: tuple[float, ...]
    psnr_target: tuple[float, ...]
    ssim_source: tuple[float, ...]
    refused: int
    unchanged: int

    def means(self) -> tuple[float, float, float]:
        """Mean of each; not a number where no pair could be mapped."""
        ssim_t, psnr_t, ssim_s = (_mean(v) for v in (self.ssim_target, self.psnr_target, self.ssim_source))
        return ssim_t, psnr_t, ssim_s


@final
@dataclass(frozen=True)
class Speeds:
    """Frames of 512 x 512 per second: fit on the frame and map it, and map alone."""

    whole: Speed
    mapping: Speed


def score(
    method: Method, pairs: Sequence[Pair], reference_of: Callable[[int], RGB] | None = None, *, third: bool = False
) -> Scores:
    """Score ``method`` on test pairs.

    Parameters
    ----------
    reference_of : the reference image for pair i; None for its own target image (the paper's protocol, which only
        aligned pairs allow). third : map the third scanner's image of the tissue in place of the source.
    """
    ssim_t, psnr_t, ssim_s = [], [], []
    refused = unchanged = 0
    for i, pair in enumerate(pairs):
        source = load(pair.other if third and pair.other else pair.source)
        target = load(pair.target)
        mapping = method.fitted(source, target if reference_of is None else reference_of(i))
        if mapping is None:
            refused += 1
            continue
        unchanged += isinstance(mapping, ImageMap) and not mapping.status.ok
        mapped = mapping(source)
        ssim_t.append(ssim_target(mapped, target))
        psnr_t.append(psnr(mapped, target))
        ssim_s.append(ssim_source(mapped, source))
    return Scores(tuple(ssim_t), tuple(psnr_t), tuple(ssim_s), refused, unchanged)


def speed(method: Method, pair: Pair, *, side: int = FRAME, compiled: bool = True) -> Speeds | None:
    """How fast ``method`` treats one frame; fitting the reference is not counted, as in the paper.

    ``compiled`` times the map alone in its form for many images, getting that form ready not counted.
    """
    source, reference = (tiled(load(path), side) for path in (pair.source, pair.target))
    mapping = method.fitted(source, reference)
    if mapping is None:
        return None
    fit = method.towards(reference)
    whole = frames_per_second(lambda: fit(source)(source), 1, threads=CORES)
    if method.note and not isinstance(mapping, ColorMap):
        return Speeds(whole, whole)  # a trained network has nothing to fit
    ready = mapping.compiled(MANY, CORES) if compiled and isinstance(mapping, ColorMap) else mapping
    return Speeds(whole, frames_per_second(lambda: ready(source), 1, threads=CORES))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
