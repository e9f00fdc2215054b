"""Normalizers side by side on one's own pictures: a page to look at, and its numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from histokin.errors import HistokinError, UnknownName
from histokin.evaluation.figures import gallery, profiles, violins
from histokin.evaluation.page.model import Figure, Page, Part, Table
from histokin.evaluation.page.write import write_page
from histokin.evaluation.stain_groups import Gathered, Group, gather, middle
from histokin.evaluation.stain_scores import Compared, MethodScore, pooled_target, score_method, spread_of
from histokin.retrieval.preparing import spread
from histokin.retrieval.report import Failure
from histokin.types import RGB

CLASSIC = ("none", "reinhard", "ruifrok", "macenko", "vahadane", "bksvd", "khan", "histogram")
"""Every method that needs no trained weights."""

SHOWN_PER_GROUP = 2

Say = Callable[[str], None]


@final
@dataclass(frozen=True)
class Comparison:
    """The page's path, the scores, and what failed: methods by name, inputs with cause and remedy."""

    page: Path
    scores: tuple[MethodScore, ...]
    failed_methods: tuple[Failure, ...]
    failed_inputs: tuple[Failure, ...]


def compare_stains(
    sources: Sequence[Path],
    out: Path,
    *,
    target: Path | None = None,
    pairs: bool = False,
    methods: Sequence[str] = CLASSIC,
    options: dict[str, dict[str, object]] | None = None,
    each: bool = False,
    most: int = 24,
    mpp: float | None = None,
    command: str = "",
    say: Say = lambda _: None,
) -> Comparison:
    """Normalize at most ``most`` pictures of every source by every method, measure, and write a page into ``out``.

    With ``pairs`` the target is a folder of aligned pictures of the sources' file names; all of them together are
    the reference, or with ``each`` the picture's own one, as published comparisons have it.

    Raises
    ------
    UsageError
        when no picture can be used, or ``out`` cannot be written to.
    InputError
        when the target cannot be read.
    """
    gathered = gather(sources, most, target if pairs else None, mpp)
    reference = _reference(target, gathered, pairs)
    how = Compared(reference, options, each)
    scores: list[MethodScore] = []
    failed: list[Failure] = []
    for method in methods:
        say(f"{method}: {sum(len(group.images) for group in gathered.groups)} pictures")
        try:
            scores.append(score_method(method, gathered.groups, how))
        except UnknownName:
            raise
        except HistokinError as error:
            failed.append(Failure(method, error.reason, error.remedy))
    parts = _parts(gathered, scores, failed, reference, command)
    lead = _lead(gathered, scores, failed, each)
    page = write_page(Page("Stain normalizers compared", lead, tuple(parts)), out)
    return Comparison(page, tuple(scores), tuple(failed), tuple(gathered.failed))


def _reference(target: Path | None, gathered: Gathered, pairs: bool) -> RGB | None:
    if target is None:
        return None
    if pairs:
        return pooled_target([image for group in gathered.groups for image in group.targets])
    return middle(target)


def _parts(
    gathered: Gathered, scores: Sequence[MethodScore], failed: Sequence[Failure], reference: RGB | None, command: str
) -> list[Part]:
    parts: list[Part] = [_gallery(gathered.groups, scores, reference)]
    parts.append(_methods(scores, command))
    parts.append(_evenness(gathered.groups, scores))
    parts.append(_violins(gathered.groups, scores))
    if scores:
        parts.append(_profiles(gathered.groups[0], scores))
    parts.append(_seams(scores))
    unchanged = [
        (score.method, group.group, name, reason)
        for score in scores
        for group in score.groups
        for name, reason in group.unchanged
    ]
    if unchanged:
        parts.append(Table("Left as they are", ("method", "group", "picture", "reason"), tuple(unchanged)))
    wrong = [*failed, *gathered.failed]
    if wrong:
        rows = tuple((failure.path, failure.reason, failure.remedy) for failure in wrong)
        parts.append(Table("What failed", ("method or file", "cause", "remedy"), rows))
    return parts


def _gallery(groups: Sequence[Group], scores: Sequence[MethodScore], reference: RGB | None) -> Figure:
    paired = any(group.targets for group in groups)
    columns = ["source", *(score.method for score in scores), *(["target"] if paired or _is_picture(reference) else [])]
    rows, names = [], []
    for place, group in enumerate(groups):
        for number in spread(range(len(group.images)), SHOWN_PER_GROUP):
            row = [group.images[number], *(score.groups[place].images[number] for score in scores)]
            if group.targets:
                row.append(group.targets[number])
            elif reference is not None and _is_picture(reference):
                row.append(reference)
            rows.append(row)
            names.append(f"{group.name}\n{group.names[number][:18]}")
    return Figure("Gallery", gallery(rows, names, columns), "Two pictures of every group, by every method.")


def _is_picture(reference: RGB | None) -> bool:
    """False for a pool of pixels, which shows nothing."""
    return reference is not None and reference.shape[1] > 1


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else None


def _methods(scores: Sequence[MethodScore], command: str) -> Table:
    columns = (
        *("method", "NMI SD", "NMI CV", "SSIM source", "SSIM target", "PSNR target (dB)"),
        *("images/s mapped", "fit ms per image", "left as they are"),
    )
    rows = []
    for score in scores:
        sd, cv = spread_of(score.pooled("nmi"))
        fit = float(np.mean([group.fit_seconds for group in score.groups])) * 1e3
        quality = (_mean(score.pooled(what)) for what in ("ssim_source", "ssim_target", "psnr_target"))
        rows.append((score.method, sd, cv, *quality, score.speed.fps, fit, score.unchanged))
    speed = scores[0].speed.text if scores else ""
    note = (
        "NMI: median over 95th percentile of intensity; SD and CV over all pictures of all groups (low is even). "
        "SSIM source: structure kept. SSIM and PSNR target need aligned pairs. Speed: one picture, without reading it; "
        f"{speed}."
    )
    return Table("Methods", columns, tuple(rows), note, command)


def _evenness(groups: Sequence[Group], scores: Sequence[MethodScore]) -> Table:
    columns = ("method", *(f"{group.name} (n {len(group.images)})" for group in groups), "all")
    rows = []
    for score in scores:
        spreads = [spread_of(group.nmi) for group in score.groups] + [spread_of(score.pooled("nmi"))]
        rows.append((score.method, *(f"{sd:.4f} / {cv:.4f}" for sd, cv in spreads)))
    return Table("NMI SD / CV by group", columns, tuple(rows), "Population standard deviation, and that over the mean.")


def _violins(groups: Sequence[Group], scores: Sequence[MethodScore]) -> Figure:
    data = {
        group.name: {score.method: score.groups[place].nmi for score in scores} for place, group in enumerate(groups)
    }
    return Figure("NMI by group and method", violins(data, "NMI"), "Bars: lowest, median and highest picture.")


def _profiles(group: Group, scores: Sequence[MethodScore]) -> Figure:
    source = group.images[0]
    height, width = source.shape[:2]
    start, end = (width // 8, height // 2), (width - 1 - width // 8, height // 2)
    images = {"source": source, **{score.method: score.groups[0].images[0] for score in scores}}
    if group.targets:
        images["target"] = group.targets[0]
    caption = f"Gray levels along the segment in {group.names[0]}: structure kept means curves of one shape."
    return Figure("Line profiles", profiles(images, start, end), caption)


def _seams(scores: Sequence[MethodScore]) -> Table:
    rows = []
    for score in scores:
        if score.seams:
            per_tile, whole = (float(np.mean([getattr(s, way) for s in score.seams])) for way in ("per_tile", "whole"))
            tiles, left = (sum(getattr(s, what) for s in score.seams) for what in ("tiles", "unchanged"))
            rows.append((score.method, per_tile, whole, f"{left} of {tiles}"))
    note = (
        "Gray levels that neighboring tiles step apart at their border, beyond the steps within tiles: each tile "
        "fitted by itself, and all by one fit. Tiles with too little stain to be fitted are left as they are."
    )
    return Table(
        "Seams between tiles", ("method", "fitted per tile", "one fit", "tiles without a fit"), tuple(rows), note
    )


def _lead(gathered: Gathered, scores: Sequence[MethodScore], failed: Sequence[Failure], each: bool) -> str:
    groups = ", ".join(f"{group.name} ({len(group.images)})" for group in gathered.groups)
    text = f"Pictures: {groups}. The stain was fitted {'per picture' if each else 'once per group'}."
    if scores:
        spreads = {score.method: spread_of(score.pooled("nmi"))[1] for score in scores}
        most = min(spreads, key=lambda name: spreads[name])
        text += f" Most even in intensity over all pictures: {most} (NMI CV {spreads[most]:.4f}"
        text += f"; untouched {spreads['none']:.4f})." if "none" in spreads else ")."
    if failed or gathered.failed:
        text += f" {len(failed)} methods and {len(gathered.failed)} inputs failed; they are named below."
    return text
