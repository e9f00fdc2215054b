"""From the paths a person gives to slides, image folders and named failures; nothing is lost silently."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from histokin.errors import HistokinError, InputError, UnreadableFile, UnsupportedFormat
from histokin.slides.companions import companions, mirax_folder
from histokin.slides.content import IMAGES, SUFFIXES, check_regular, claims, identify, sniff, suffix_of
from histokin.slides.dicom import series_uid

UNRELATED = (
    *(".csv", ".tsv", ".txt", ".json", ".geojson", ".xml", ".md", ".rst", ".html", ".log", ".yaml", ".yml"),
    *(".zip", ".gz", ".tar", ".pdf", ".xlsx", ".docx", ".py", ".ipynb", ".npy", ".npz", ".h5", ".pt", ".pth"),
)
"""Met while walking, these are not looked into."""


@final
@dataclass(frozen=True)
class ImageFolder:
    """Loose images of one folder, whose name is their label."""

    path: Path
    label: str
    images: list[Path]


@final
@dataclass(frozen=True)
class Discovery:
    """What was found. ``ignored`` are files of other kinds met while walking, reported but no failures."""

    slides: list[Path] = field(default_factory=list)
    folders: list[ImageFolder] = field(default_factory=list)
    failures: list[InputError] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)


def discover(paths: Sequence[Path], kind: Callable[[Path], str] | None = None) -> Discovery:
    """Sort files and folders (walked to any depth) into slides, image folders, failures and ignored files.

    Hidden files are passed over, a folder reached twice (symbolic links) is walked once, the data folder of
    a MIRAX slide is not entered, and of a DICOM series the first file stands for all. The order is that of
    ``paths``, and sorted within a folder. A TIFF is looked at, not decoded, to tell slide from loose image;
    ``kind`` replaces that look in tests.
    """
    found = _Finder(kind or _tiff_kind)
    for path in paths:
        found.named(path)
    return found.result()


@final
class _Finder:
    def __init__(self, kind: Callable[[Path], str]) -> None:
        self._kind = kind
        self._slides: list[Path] = []
        self._images: dict[Path, list[Path]] = {}
        self._failures: list[InputError] = []
        self._ignored: list[Path] = []
        self._seen: set[tuple[int, int]] = set()
        self._series: set[tuple[Path, str]] = set()

    def named(self, path: Path) -> None:
        """A path from the command line."""
        try:
            if not path.is_dir():
                self._file(path, named=True)
                return
            if claims(path) is not None:
                raise _folder_not_file(path)
        except InputError as error:
            self._failures.append(error)
            return
        before = self._tally()
        self._walk(path)
        if self._tally() == before:
            self._failures.append(
                UnsupportedFormat("the folder holds no slide and no image", remedy="Check the path", path=path)
            )

    def result(self) -> Discovery:
        folders = [
            ImageFolder(folder, folder.resolve().name, sorted(images)) for folder, images in self._images.items()
        ]
        return Discovery(self._slides, folders, self._failures, self._ignored)

    def _tally(self) -> int:
        return len(self._slides) + sum(map(len, self._images.values())) + len(self._failures) + len(self._series)

    def _walk(self, folder: Path) -> None:
        try:
            if not self._first_time(folder):
                return
            entries = sorted(e for e in folder.iterdir() if not e.name.startswith("."))
        except OSError as error:
            reason = f"the folder cannot be listed ({(error.strerror or 'refused').lower()})"
            self._failures.append(UnreadableFile(reason, remedy="Check its owner and mode", path=folder))
            return
        parts = {part for entry in entries for part in self._parts(entry)}
        below = []
        for entry in entries:
            if _is_dir(entry):
                below.append(entry)
            elif entry not in parts:
                try:
                    self._file(entry, named=False)
                except InputError as error:
                    self._failures.append(error)
        for entry in below:
            if claims(entry) is not None:
                self._failures.append(_folder_not_file(entry))
            elif not mirax_folder(entry):
                self._walk(entry)

    def _parts(self, entry: Path) -> list[Path]:
        """Pictures that belong to a Hamamatsu slide are not loose images."""
        try:
            return companions(entry) if suffix_of(entry) in SUFFIXES["hamamatsu"] and entry.is_file() else []
        except OSError:
            return []

    def _file(self, path: Path, *, named: bool) -> None:
        content = claims(path)
        if content is None and not named and not self._is_picture(path):
            self._ignored.append(path)
            return
        if content is None:
            content = identify(path)
        check_regular(path)
        if not self._first_time(path):
            return
        if content in IMAGES:
            self._image(path)
        elif content == "tiff":
            identify(path)
            self._slides.append(path) if self._kind(path) == "slide" else self._image(path)
        elif content == "dicom":
            self._dicom(path)
        else:
            self._slides.append(path)

    def _is_picture(self, path: Path) -> bool:
        """A file whose name says nothing: look at its first bytes, if it is a regular file at all."""
        if suffix_of(path) in UNRELATED or path.name == "DICOMDIR":
            return False
        try:
            return path.is_file() and sniff(path) in ("png", "jpeg", "tiff", "dicom", "czi")
        except (InputError, OSError):
            return False

    def _image(self, path: Path) -> None:
        self._images.setdefault(path.parent, []).append(path)

    def _dicom(self, path: Path) -> None:
        uid = series_uid(path)
        if uid is not None:
            place = (path.parent.resolve(), uid)
            if place in self._series:
                return
            self._series.add(place)
        self._slides.append(path)

    def _first_time(self, path: Path) -> bool:
        found = path.stat()
        key = (found.st_dev, found.st_ino)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


def _folder_not_file(path: Path) -> UnreadableFile:
    return UnreadableFile(
        "a folder with the name of a slide file", remedy="Rename the folder, or give the file in it", path=path
    )


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _tiff_kind(path: Path) -> str:
    from histokin.slides.tiff_header import tiff_kind

    try:
        return tiff_kind(path)
    except InputError:
        raise
    except HistokinError as error:
        raise UnreadableFile(error.reason, remedy=error.remedy, path=path) from None
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else "cannot be read"
        raise UnreadableFile(reason, remedy="Check its owner and mode", path=path) from None
