"""Classifying whatever is given: loose images and slides, each accounted for, finished slides kept."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from histokin.archive.durable import write_text
from histokin.errors import HistokinError, InputError, UsageError
from histokin.retrieval.classifying.geojson import write_tiles
from histokin.retrieval.classifying.images import ImageClasses, classify_images
from histokin.retrieval.classifying.model import Model
from histokin.retrieval.classifying.slide import SlideClasses, classify_slide
from histokin.retrieval.report import Failure, Progress, Silent
from histokin.slides.discover import ImageFolder, discover

TABLE = "predictions.csv"
"""In the folder of the results: one row for each image."""

DrawImage = Callable[[ImageClasses, Model, Path], None]
DrawSlide = Callable[[SlideClasses, Model, Path], list[Path]]


@final
@dataclass(frozen=True)
class Row:
    """One image: the class with the highest probability, and all probabilities in the model's order."""

    path: str
    folder: str
    predicted: str
    probabilities: tuple[float, ...]


@final
@dataclass(frozen=True)
class SlideRow:
    """One slide: part of its tissue tiles that each class wins, and the files written about it."""

    path: str
    tiles: int
    bad: int
    shares: dict[str, float]
    files: tuple[str, ...]
    kept: bool = False


@final
@dataclass
class Classified:
    """What a run did; every input is in one of the lists."""

    classes: tuple[str, ...]
    images: list[Row] = field(default_factory=list)
    slides: list[SlideRow] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)

    @property
    def known(self) -> list[Row]:
        """Images whose folder's name is a class of the model: their truth is known."""
        return [row for row in self.images if row.folder in self.classes]

    @property
    def right(self) -> int:
        """How many of :attr:`known` are predicted as their folder says."""
        return sum(row.folder == row.predicted for row in self.known)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "format": 1,
            "classes": list(self.classes),
            "images": [
                {
                    "path": row.path,
                    "folder": row.folder,
                    "predicted": row.predicted,
                    "probabilities": dict(zip(self.classes, row.probabilities, strict=True)),
                }
                for row in self.images
            ],
            "slides": [{**vars(row), "files": list(row.files)} for row in self.slides],
            "known": len(self.known),
            "right": self.right,
            "failed": [f.to_dict() for f in self.failed],
        }


@final
@dataclass(frozen=True)
class Wanted:
    """Where results go (None: nowhere), how pictures are drawn, and how slides are read."""

    out: Path | None = None
    draw_image: DrawImage | None = None
    draw_slide: DrawSlide | None = None
    mpp: float | None = None
    threads: int = 2


def classify_paths(
    paths: Sequence[Path], model: Model, wanted: Wanted | None = None, *, progress: Progress | None = None
) -> Classified:
    """Classify images and slides. Inputs that fail are listed, and the others done.

    With ``wanted.out``: ``predictions.csv`` of the images, ``<slide>.geojson`` and ``<slide>.json`` of each slide, and
    what the two drawing functions make. A slide whose ``.json`` is there, of the same file and the same model, is kept.

    Raises
    ------
    UsageError
        when the folder cannot be written to.
    """
    return _Run(model, wanted or Wanted(), progress or Silent()).over(paths)


@final
class _Run:
    def __init__(self, model: Model, wanted: Wanted, progress: Progress) -> None:
        self._model, self._wanted, self._progress = model, wanted, progress
        self._result = Classified(model.classes)
        self._taken: dict[Path, Path] = {}

    def over(self, paths: Sequence[Path]) -> Classified:
        found = discover([path.absolute() for path in paths])
        self._result.failed += [Failure.of(error, "") for error in found.failures]
        self._progress.start(len(found.slides) + sum(len(folder.images) for folder in found.folders))
        if self._wanted.out is not None:
            _make(self._wanted.out)
        for path in found.slides:
            self._slide(path)
        for folder in found.folders:
            self._folder(folder)
        if self._wanted.out is not None and self._result.images:
            _write_table(self._result, self._wanted.out / TABLE)
        return self._result

    def _slide(self, path: Path) -> None:
        outcome = "failed"
        try:
            self._result.slides.append(self._kept(path) or self._done(path))
            outcome = "done"
        except UsageError:
            raise
        except HistokinError as error:
            self._result.failed.append(Failure.of(error, str(path)))
        self._progress.finish(path.name, 1, outcome)

    def _done(self, path: Path) -> SlideRow:
        wanted, model = self._wanted, self._model
        found = classify_slide(
            path,
            model,
            mpp=wanted.mpp,
            maps=wanted.draw_slide is not None,
            threads=wanted.threads,
            progress=self._progress,
        )
        files: list[Path] = []
        if wanted.out is not None:
            stem = self._place(path)
            files.append(stem.with_name(f"{stem.name}.geojson"))
            write_tiles(found, model.classes, files[0])
            if wanted.draw_slide is not None:
                files += wanted.draw_slide(found, model, stem)
        shares = found.shares(model.classes)
        row = SlideRow(str(path), len(found.regions), found.bad, shares, tuple(str(file) for file in files))
        if wanted.out is not None:
            self._remember(path, row)
        return row

    def _place(self, path: Path) -> Path:
        """Where the files of a slide go, without their endings. Two slides of one name may not share a place."""
        assert self._wanted.out is not None
        stem = self._wanted.out / path.name
        other = self._taken.setdefault(stem, path)
        if other != path:
            raise InputError(
                f"its results would replace those of {other}",
                remedy="Classify the two into different folders",
                path=path,
            )
        return stem

    def _kept(self, path: Path) -> SlideRow | None:
        """The row of an earlier run, where it holds for this file, this model and these pictures."""
        if self._wanted.out is None:
            return None
        stem = self._place(path)
        try:
            stored = json.loads(stem.with_name(f"{stem.name}.json").read_text(encoding="utf-8"))
            row = stored["slide"]
            if stored["made_from"] != self._made_from(path) or not all(Path(file).is_file() for file in row["files"]):
                return None
            return SlideRow(row["path"], row["tiles"], row["bad"], row["shares"], tuple(row["files"]), kept=True)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _remember(self, path: Path, row: SlideRow) -> None:
        stem = self._place(path)
        told = {"made_from": self._made_from(path), "slide": {**vars(row), "files": list(row.files)}}
        write_text(stem.with_name(f"{stem.name}.json"), json.dumps(told, indent=2))

    def _made_from(self, path: Path) -> dict[str, Any]:
        stat = path.stat()
        return {
            "path": str(path),
            "size": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "model": self._model.space,
            "mpp": self._wanted.mpp,
            "pictures": self._wanted.draw_slide is not None,
        }

    def _folder(self, folder: ImageFolder) -> None:
        self._progress.begin(folder.path.name, len(folder.images))
        failed = len(self._result.failed)
        for found in classify_images(folder.images, folder.label, self._model, self._result.failed.append):
            self._result.images.append(_row(found, self._model.classes))
            if self._wanted.out is not None and self._wanted.draw_image is not None:
                target = self._wanted.out / folder.label / f"{found.path.stem}.png"
                try:
                    self._draw(found, target)
                except InputError as error:
                    self._result.failed.append(Failure.of(error, str(found.path)))
            self._progress.advance(1)
            self._progress.finish(found.path.name, 1, "done")
        for failure in self._result.failed[failed:]:
            self._progress.finish(Path(failure.path).name, 1, "failed")

    def _draw(self, found: ImageClasses, target: Path) -> None:
        assert self._wanted.draw_image is not None
        other = self._taken.setdefault(target, found.path)
        if other != found.path:
            raise InputError(
                f"its picture would replace that of {other}",
                remedy="Classify the two into different folders",
                path=found.path,
            )
        _make(target.parent)
        self._wanted.draw_image(found, self._model, target)


def _row(found: ImageClasses, classes: Sequence[str]) -> Row:
    shares: Float32[np.ndarray, "c"] = found.probabilities
    return Row(str(found.path), found.label, classes[int(shares.argmax())], tuple(float(p) for p in shares))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error})"
        raise UsageError(reason, remedy="Choose another folder", path=folder) from None


def _write_table(result: Classified, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "folder", "predicted", *(f"p({name})" for name in result.classes)])
        for row in result.images:
            writer.writerow([row.path, row.folder, row.predicted, *(f"{p:.4f}" for p in row.probabilities)])
