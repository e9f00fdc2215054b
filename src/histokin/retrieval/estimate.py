"""What indexing would cost, without doing it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from histokin.archive.records import Source
from histokin.errors import HistokinError
from histokin.retrieval.index_slide import find_tissue
from histokin.retrieval.known import Known
from histokin.retrieval.pictures import picture_patches
from histokin.retrieval.recipe import Prepared
from histokin.retrieval.report import Failure
from histokin.retrieval.scale import Scale, archive_scale, require_same_scale, scale_of
from histokin.retrieval.sources import Described, Describer
from histokin.slides.discover import discover
from histokin.slides.labels import Labels
from histokin.slides.reading import open_slide

CROP_BYTES = 9_000
READ_SECONDS = 0.004
"""Reading, judging and mapping one patch on one core; encoding is measured."""


@final
@dataclass
class Estimate:
    """Files, patches, minutes and bytes of a run that has not been made."""

    slides: int = 0
    images: int = 0
    unchanged: int = 0
    patches: int = 0
    minutes: float = 0.0
    bytes: int = 0
    failed: list[Failure] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "slides": self.slides,
            "images": self.images,
            "unchanged": self.unchanged,
            "patches": self.patches,
            "minutes": round(self.minutes, 4),
            "bytes": self.bytes,
            "failed": [f.to_dict() for f in self.failed],
        }


def estimate(
    prepared: Prepared,
    paths: Sequence[Path],
    known: Sequence[Source],
    *,
    labels: Labels | None = None,
    mpp: float | None = None,
) -> Estimate:
    """Look at every input (header, tissue) without encoding it."""
    found = discover(paths)
    plan = Estimate(failed=[Failure.of(error, "") for error in found.failures])
    describer = Describer(labels, mpp)
    archived = Known(known)
    scale = archive_scale(known)
    inputs: list[tuple[Path, str | None]] = [(path, None) for path in found.slides]
    inputs += [(path, folder.label) for folder in found.folders for path in folder.images]
    for path, label in inputs:
        try:
            if archived.standing(path).state in ("unchanged", "touched", "moved"):
                plan.unchanged += 1
                continue
            said = describer.describe(path, label)
            prepared.appearance.for_style(said.style)
            asked: Scale = "known" if label is None else scale_of(said.mpp)
            require_same_scale(scale, asked, prepared.grid, path)
            plan.patches += _patches(prepared, path, said, loose=label is not None)
        except HistokinError as error:
            plan.failed.append(Failure.of(error, str(path)))
            continue
        scale = asked
        plan.slides += label is None
        plan.images += label is not None
    dim = prepared.encoder.spec.dim
    plan.bytes = plan.patches * (2 * 4 * dim + 64 + (CROP_BYTES if prepared.crops else 0))
    plan.minutes = plan.patches * (READ_SECONDS + _seconds_per_patch(prepared)) / 60 if plan.patches else 0.0
    return plan


def _patches(prepared: Prepared, path: Path, said: Described, *, loose: bool) -> int:
    with open_slide(path, mpp=said.mpp) as slide:
        if loose:
            return len(picture_patches(slide, prepared))
        return len(find_tissue(slide, prepared.grid).patches)


def _seconds_per_patch(prepared: Prepared) -> float:
    """Encode a few gray pictures and look at the clock."""
    px = prepared.grid.patch_px
    images = [np.full((px, px, 3), 128, np.uint8)] * 32
    prepared.vectors(images[:4])
    began = time.perf_counter()
    prepared.vectors(images)
    return (time.perf_counter() - began) / len(images)
