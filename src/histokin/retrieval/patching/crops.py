"""The patches of one slide as PNG files, and the note that they are complete."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from histokin.errors import BadPixels, UsageError
from histokin.retrieval.patching.plan import Cutting, PlannedArea, SlidePlan, Window
from histokin.retrieval.report import Failure, Progress
from histokin.slides.base import Slide
from histokin.types import RGB, Region

COLUMNS = (
    *("path", "label", "group", "split", "slide", "patient", "area", "kind"),
    *("x", "y", "side", "mpp", "inside", "gland", "gland_source"),
)
"""Of the manifest. ``x``, ``y`` and ``side`` are level-0 pixels; ``mpp`` is that of the patch's own pixels."""

Row = dict[str, str]


def rows_of(plan: SlidePlan, cutting: Cutting) -> list[Row]:
    """The manifest rows of a slide, without group and split; ``path`` is relative to the output folder."""
    scale = "" if plan.mpp is None else f"{plan.mpp * plan.level0_side / cutting.side:.6g}"
    rows = []
    for area in plan.areas:
        for number, window in enumerate(area.windows, 1):
            place = window.region
            name = f"{_safe(plan.name)}_{area.name}_{number:04d}_{place.x}_{place.y}.png"
            rows.append(
                {
                    "path": f"patches/{_safe(area.label)}/{name}",
                    "label": area.label,
                    "group": "",
                    "split": "",
                    "slide": plan.name,
                    "patient": plan.patient,
                    "area": area.name,
                    "kind": window.kind,
                    "x": str(place.x),
                    "y": str(place.y),
                    "side": str(place.width),
                    "mpp": scale,
                    "inside": f"{window.inside:.4f}",
                    "gland": "" if window.gland is None else f"{window.gland:.4f}",
                    "gland_source": plan.gland_source,
                }
            )
    return rows


def already_cut(note: Path, out: Path, source: str, digest: str, rows: Sequence[Row]) -> bool:
    """True when an earlier run cut these very patches from this very slide and all are there."""
    said = _note(note)
    same = said.get("source") == source and said.get("plan") == digest
    return same and all((out / row["path"]).is_file() for row in rows)


def cut(
    slide: Slide, plan: SlidePlan, cutting: Cutting, out: Path, note: Path, source: str, progress: Progress
) -> tuple[list[Row], list[Failure]]:
    """Write the patches and then the note; returns the rows of those written, and places that do not decode.

    Patches that an earlier run cut from this slide by another plan are removed.

    Raises
    ------
    UsageError
        nothing can be written there.
    """
    rows, failed = rows_of(plan, cutting), []
    _forget(note, out, keep={row["path"] for row in rows})
    written = []
    windows = [(area, window) for area in plan.areas for window in area.windows]
    for row, (area, window) in zip(rows, windows, strict=True):
        try:
            picture = _pixels(slide, area, window, cutting)
        except BadPixels as error:
            reason = f"the patch at {window.region.x},{window.region.y} does not decode ({error.reason})"
            failed.append(Failure(str(slide.path), reason, "Copy the slide again from its source"))
            continue
        _save(out / row["path"], _png(picture))
        written.append(row)
        progress.advance(1)
    said = {"source": source, "plan": "" if failed else plan.digest(cutting), "paths": [row["path"] for row in written]}
    _save(note, json.dumps(said, indent=1).encode())
    return written, failed


def note_of(out: Path, slide: str) -> Path:
    """Where the note about a slide lies."""
    return out / "slides" / f"{_safe(slide)}.json"


def _pixels(slide: Slide, area: PlannedArea, window: Window, cutting: Cutting) -> RGB:
    place, side = window.region, cutting.side
    if not cutting.pad_small:
        return slide.read(place, side, side)
    frame = area.frame
    width, height = (
        min(place.width, frame.x + frame.width - place.x),
        min(place.height, frame.y + frame.height - place.y),
    )
    scale = side / place.width
    across, down = max(1, min(side, round(width * scale))), max(1, min(side, round(height * scale)))
    there = slide.read(Region(place.x, place.y, width, height), across, down)
    return np.pad(there, ((0, side - down), (0, side - across), (0, 0)), mode="reflect")


def _png(picture: RGB) -> bytes:
    _, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    return bytes(data)


def _save(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        reason = f"cannot be written ({(error.strerror or 'refused').lower()})"
        raise UsageError(reason, remedy="Choose another --out", path=path) from None


def _note(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _forget(note: Path, out: Path, keep: set[str]) -> None:
    """Take the note away first, so that an interrupted run is known as such; then what no plan wants any more."""
    paths = _note(note).get("paths", [])
    try:
        note.unlink(missing_ok=True)
    except OSError as error:
        reason = f"cannot be written ({(error.strerror or 'refused').lower()})"
        raise UsageError(reason, remedy="Choose another --out", path=note) from None
    root = (out / "patches").resolve()
    for path in paths if isinstance(paths, list) else []:
        old = (out / str(path)).resolve()
        if str(path) not in keep and old.suffix == ".png" and old.is_relative_to(root):
            old.unlink(missing_ok=True)


def _safe(text: str) -> str:
    """A name for a file; two texts never share one."""
    name = re.sub(r"[^\w.-]+", "-", text).strip(".-") or "x"
    if name == text and len(name) <= 80:
        return name
    return f"{name[:80]}-{hashlib.blake2b(text.encode(), digest_size=3).hexdigest()}"
