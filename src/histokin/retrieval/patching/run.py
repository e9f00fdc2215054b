"""Cutting patches from many slides: resumable; what fails is named, and the others are cut."""

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

from histokin.errors import HistokinError, InputError, UsageError
from histokin.retrieval.patching.crops import COLUMNS, Row, already_cut, cut, note_of, rows_of
from histokin.retrieval.patching.picture import draw_overview
from histokin.retrieval.patching.plan import Cutting, GlandsOf, SlidePlan, cut_name, plan_slide
from histokin.retrieval.patching.splitting import SHARES, split_rows
from histokin.retrieval.report import Failure, Progress, Silent
from histokin.slides.annotations import annotations_of, read_annotations
from histokin.slides.areas import Area, rectangle
from histokin.slides.base import Slide
from histokin.slides.discover import discover
from histokin.slides.fingerprint import fingerprint
from histokin.slides.labels import Labels
from histokin.slides.reading import open_slide
from histokin.slides.windows import shared_out
from histokin.types import Region

MANIFEST = "manifest.csv"
MOST_NOTES = 5
"""Objects of one file that are passed over and named; the rest are counted."""


@final
@dataclass
class PatchReport:
    """What a run did. ``patches`` are all in the manifest, by class and by part; ``dropped`` windows, by reason."""

    manifest: str = ""
    cut: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    patches: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        failed = [f.to_dict() for f in self.failed]
        return {**self.__dict__, "failed": failed}


@final
@dataclass(frozen=True)
class Wanted:
    """Where areas, glands and patients come from, and how to split.

    ``annotations`` is a folder, or one file for one slide; without it every image is one area, whose class is the
    name of its folder. ``mpp`` is the scale of slides that do not know theirs.
    """

    out: Path
    cutting: Cutting
    annotations: Path | None = None
    glands: Callable[[Path], GlandsOf] | None = None
    labels: Labels | None = None
    mpp: float | None = None
    by: str = "slide"
    shares: tuple[float, float, float] = SHARES


def cut_patches(paths: Sequence[Path], wanted: Wanted, progress: Progress | None = None) -> PatchReport:
    """Write ``patches/<class>/*.png``, ``manifest.csv`` and ``overviews/<slide>.png`` under ``wanted.out``.

    The manifest lists the slides of this run; slides that an earlier run cut in the same way are not read again. An
    input that fails is named in the report, and the others are cut.

    Raises
    ------
    UsageError
        nothing can be written there, one annotation file is given for several slides, or the split cannot be made.
    """
    run = _Run(wanted, progress or Silent())
    return run.over(paths)


@final
class _Run:
    def __init__(self, wanted: Wanted, progress: Progress) -> None:
        self._wanted, self._progress = wanted, progress
        self._report = PatchReport()
        self._names: dict[str, Path] = {}

    def over(self, paths: Sequence[Path]) -> PatchReport:
        found = discover(paths)
        self._report.failed += [Failure.of(error, "") for error in found.failures]
        sources = [*found.slides, *(path for folder in found.folders for path in folder.images)]
        if self._wanted.labels is not None:
            self._wanted.labels.check(sources)
        if self._wanted.annotations is not None and self._wanted.annotations.is_file() and len(sources) > 1:
            raise UsageError(
                f"one annotation file for {len(sources)} slides",
                remedy="Give the folder that holds one per slide",
                path=self._wanted.annotations,
            )
        self._progress.start(len(sources))
        quotas = self._quotas(sources)
        rows: list[Row] = []
        for path in sources:
            rows += self._one(path, None if quotas is None else quotas.get(path, {}))
        self._finish(rows)
        return self._report

    def _quotas(self, sources: Sequence[Path]) -> dict[Path, dict[str, int]] | None:
        """With targets: how many patches each area should give, after a first look at all slides."""
        targets = self._wanted.cutting.target
        if not targets:
            return None
        seen: dict[str, list[tuple[Path, str, int]]] = {}
        for path in sources:
            try:
                with open_slide(path, mpp=self._mpp(path)) as slide:
                    for area in self._plan(slide, path, None).areas:
                        if area.windows or area.dropped:
                            seen.setdefault(area.label, []).append((path, area.name, len(area.windows)))
            except HistokinError:
                continue  # named when its own turn comes
        quotas: dict[Path, dict[str, int]] = {}
        for label, areas in seen.items():
            counts = [count for _, _, count in areas]
            wished = targets.get(label, sum(counts))
            for (path, name, _), quota in zip(areas, _shared(counts, wished), strict=True):
                quotas.setdefault(path, {})[name] = quota
        self._report.warnings += [f"no area has the class {label}" for label in sorted(set(targets) - set(seen))]
        return quotas

    def _one(self, path: Path, quotas: Mapping[str, int] | None) -> list[Row]:
        """One slide, whose failure ends nothing else."""
        rows: list[Row] = []
        outcome = "failed"
        try:
            rows = self._slide(path, quotas)
            outcome = "done"
        except UsageError:
            raise
        except HistokinError as error:
            self._report.failed.append(Failure.of(error, str(path)))
        self._progress.finish(path.name, 1, outcome)
        return rows

    def _slide(self, path: Path, quotas: Mapping[str, int] | None) -> list[Row]:
        wanted, report = self._wanted, self._report
        with open_slide(path, mpp=self._mpp(path)) as slide:
            plan = self._plan(slide, path, quotas)
            other = self._names.setdefault(plan.name, path)
            if other != path:
                raise InputError(
                    f"its patches would mix with those of {other}", remedy="Rename one of the two", path=path
                )
            self._tell(plan)
            note, source = note_of(wanted.out, plan.name), fingerprint(path)
            rows = rows_of(plan, wanted.cutting)
            if already_cut(note, wanted.out, source, plan.digest(wanted.cutting), rows):
                report.kept.append(str(path))
                return rows
            self._progress.begin(path.name, plan.patches)
            rows, failed = cut(slide, plan, wanted.cutting, wanted.out, note, source, self._progress)
            report.failed += failed
            draw_overview(wanted.out / "overviews" / f"{note.stem}.png", slide, plan)
        report.cut.append(str(path))
        return rows

    def _plan(self, slide: Slide, path: Path, quotas: Mapping[str, int] | None) -> SlidePlan:
        wanted = self._wanted
        name, areas, notes = self._areas(slide, path)
        row = (wanted.labels.for_path(path) or {}) if wanted.labels else {}
        glands = wanted.glands(path) if wanted.glands else None
        plan = plan_slide(
            slide, name, areas, wanted.cutting, patient=row.get("patient", ""), glands=glands, quotas=quotas
        )
        return replace(plan, notes=(*notes, *plan.notes))

    def _areas(self, slide: Slide, path: Path) -> tuple[str, Sequence[Area], tuple[str, ...]]:
        given = self._wanted.annotations
        if given is None:
            label = path.resolve().parent.name
            return (
                f"{label}-{cut_name(path)}",
                (Area(label, (rectangle(Region(0, 0, slide.width, slide.height)),)),),
                (),
            )
        found = read_annotations(given if given.is_file() else annotations_of(path, given))
        notes = found.passed_over
        if len(notes) > MOST_NOTES:
            notes = (*notes[:MOST_NOTES], f"{len(notes) - MOST_NOTES} more objects are no areas")
        return cut_name(path), found.areas, notes

    def _mpp(self, path: Path) -> float | None:
        labels = self._wanted.labels
        return (labels.mpp(path) if labels else None) or self._wanted.mpp

    def _tell(self, plan: SlidePlan) -> None:
        report = self._report
        report.warnings += [f"{plan.name}: {note}" for note in plan.notes]
        for area in plan.areas:
            for reason, count in area.dropped.items():
                report.dropped[reason] = report.dropped.get(reason, 0) + count
        if not plan.patches:
            report.warnings.append(f"{plan.name}: no patch from its {len(plan.areas)} areas with a class")

    def _finish(self, rows: list[Row]) -> None:
        """Split, write the manifest, count."""
        wanted, report = self._wanted, self._report
        groups, parts, warnings = split_rows(rows, wanted.by, wanted.shares, wanted.cutting.seed)
        report.warnings += warnings
        for row, group, part in zip(rows, groups, parts, strict=True):
            row["group"], row["split"] = group, part
        report.patches = len(rows)
        report.classes = dict(sorted(Counter(row["label"] for row in rows).items()))
        report.parts = dict(Counter(part for part in parts if part))
        for label, target in wanted.cutting.target.items():
            if report.classes.get(label, 0) < target:
                report.warnings.append(f"{label}: {report.classes.get(label, 0)} patches, {target} were wanted")
        report.warnings += _unlisted(wanted.out, {row["slide"] for row in rows} | set(self._names))
        path = wanted.out / MANIFEST
        try:
            wanted.out.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
        except OSError as error:
            reason = f"cannot be written ({(error.strerror or 'refused').lower()})"
            raise UsageError(reason, remedy="Choose another --out", path=path) from None
        report.manifest = str(path)


def _shared(counts: Sequence[int], target: int) -> list[int]:
    """Patches of each area that come to ``target``: what it has and an even share more, or its share of less."""
    total = sum(counts)
    if total <= target:
        return [have + more for have, more in zip(counts, shared_out(target - total, len(counts)), strict=True)]
    exact = [count * target / total for count in counts]
    quotas = [int(value) for value in exact]
    missing = sorted(range(len(counts)), key=lambda i: quotas[i] - exact[i])[: target - sum(quotas)]
    return [quota + (i in missing) for i, quota in enumerate(quotas)]


def _unlisted(out: Path, names: set[str]) -> list[str]:
    here = {note_of(out, name) for name in names}
    try:
        old = sorted(path.stem for path in (out / "slides").glob("*.json") if path not in here)
    except OSError:
        return []
    if not old:
        return []
    return [
        f"{len(old)} slides of earlier runs are not in the manifest, {old[0]} among them: name them again to add them"
    ]
