"""Encoders that learn from an archive's own images before the archive is there: vocabularies of words.

What is learned lies in the archive's folder, so that it moves with it. It is written beside its place and renamed;
whoever is killed on the way leaves nothing that a second run would take for complete.
"""

import hashlib
import inspect
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, final, overload

import numpy as np
from jaxtyping import UInt8

from histokin.archive.durable import flush, write_text
from histokin.archive.lock import writer_lock
from histokin.archive.store import LEARNED, LEARNED_FROM, LOCK, require_room
from histokin.encoders.base import Encoder, EncoderSpec, FittableEncoder
from histokin.errors import ArchiveError, EncoderError, InputError, UsageError
from histokin.registry import Registry
from histokin.retrieval.index_images import fit_folder
from histokin.retrieval.pictures import picture_patches
from histokin.retrieval.preparing import spread
from histokin.retrieval.recipe import Prepared, Recipe
from histokin.retrieval.report import Progress
from histokin.retrieval.sources import Describer
from histokin.slides.discover import ImageFolder, discover
from histokin.slides.reading import open_slide
from histokin.types import ImageMap, Images, Vectors

FITTABLE = Registry("learned encoder", {"bag-of-words": "histokin.encoders.bag_of_words:BagOfWords"})
"""Encoders of these names learn from the first run's images where no ``path`` of a learned one is given."""

MOST_IMAGES = 512
"""Images that a vocabulary is learned from, spread evenly over all there are."""


def needs_learning(recipe: Recipe) -> bool:
    """True where the recipe's encoder has to learn first."""
    return recipe.encoder in FITTABLE.names() and "path" not in recipe.encoder_options


def fittable(name: str, options: Mapping[str, Any], watch: Callable[[int, int], None] | None = None) -> FittableEncoder:
    """The encoder that learns. ``features`` is a name of local features; the others go to its constructor.

    ``watch`` is told how many passes of learning are done, of how many.

    Raises
    ------
    UnknownName, UsageError
        for a name or an option that there is not; the choices are named.
    """
    from histokin.encoders.local import local_features

    make = FITTABLE.load(name)
    parameters = set(inspect.signature(make).parameters) - {"watch"}
    if surplus := sorted(set(options) - parameters):
        choices = ", ".join(sorted(parameters))
        raise UsageError(f"'{name}' has no option {', '.join(surplus)}", remedy=f"Options: path, or {choices}")
    given = {"features": "surf", **options}
    made: FittableEncoder = make(**{**given, "features": local_features(given["features"]), "watch": watch})
    return made


def learn(path: Path, recipe: Recipe, paths: Sequence[Path], describer: Describer, progress: Progress) -> Prepared:
    """The recipe's parts with an encoder learned from the loose images under ``paths``, kept in the folder ``path``.

    Where an earlier run that was stopped had learned from the same images, that is taken.

    Raises
    ------
    ArchiveExists, ArchiveBusy, ArchiveError
        when no archive can be made there.
    UsageError
        when there is no image to learn from, or the encoder has no such option.
    """
    require_room(path)
    stand_in = replace(recipe, encoder="color-histogram", encoder_options={}).prepare()
    prepared = replace(stand_in, encoder=_Unlearned(recipe.encoder))
    pictures = _Pictures(prepared, _folders(paths), describer, progress)
    learner = fittable(recipe.encoder, recipe.encoder_options, pictures.learning)
    key = _key(recipe, prepared, pictures.paths)
    folder = path / LEARNED
    try:
        path.mkdir(parents=True, exist_ok=True)
        with writer_lock(path / LOCK):
            if _learned_from(folder) != key:
                _learn(folder, learner, pictures, key)
    except OSError as error:
        raise ArchiveError(
            f"cannot be written ({error.strerror or error})", remedy="Choose a folder you may write to", path=path
        ) from None
    return replace(replace(recipe, encoder_options={"path": folder}).prepare(), inside=True)


def _learn(folder: Path, learner: FittableEncoder, pictures: "_Pictures", key: str) -> None:
    """Learn beside the final place and move there."""
    for other in folder.parent.glob(f".{LEARNED}.*"):
        shutil.rmtree(other, ignore_errors=True)
    partial_folder = folder.with_name(f".{LEARNED}.{os.getpid()}")
    pictures.check()
    made: Any = learner.fit(pictures)
    pictures.done()
    made.save(partial_folder)
    flush({file.name for file in partial_folder.iterdir()}, partial_folder)
    write_text(partial_folder / LEARNED_FROM, json.dumps({"key": key, "images": len(pictures)}))
    if folder.exists():
        shutil.rmtree(folder)  # learned from other images, by a run that was stopped
    partial_folder.rename(folder)
    flush(set(), folder.parent)


def _learned_from(folder: Path) -> str | None:
    """What a complete folder was learned from; None where there is none."""
    try:
        return str(json.loads((folder / LEARNED_FROM).read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key(recipe: Recipe, prepared: Prepared, paths: Sequence[Path]) -> str:
    """What an encoder depends on: its options, how images are made comparable, and which images there are."""
    images = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in paths]
    stored = prepared.to_dict()
    parts = {name: stored.get(name) for name in ("grid", "appearance", "modality", "representation")}
    options = {name: str(value) for name, value in recipe.encoder_options.items()}
    text = json.dumps([parts, recipe.encoder, options, images], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _folders(paths: Sequence[Path]) -> list[ImageFolder]:
    folders = discover(paths).folders
    if not folders:
        raise UsageError(
            "there is no loose image to learn a vocabulary from",
            remedy="Give a folder of images first, or a vocabulary: --encoder bag-of-words=FOLDER",
        )
    return folders


@final
class _Unlearned(Encoder):
    """Stands where the encoder will be, so that images can be made comparable."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def spec(self) -> EncoderSpec:
        return EncoderSpec(name=self._name, space=f"{self._name}/unlearned", dim=1, kind="counts", metric="cosine")

    def encode(self, images: Images) -> Vectors:
        raise EncoderError("the encoder has not learned yet", remedy="Index images first")


@final
class _Pictures(Sequence[UInt8[np.ndarray, "_ _ _"]]):
    """The images to learn from, read and made comparable when they are asked for."""

    def __init__(
        self, prepared: Prepared, folders: Sequence[ImageFolder], describer: Describer, progress: Progress
    ) -> None:
        self._prepared = prepared
        self._describe = partial(describer.describe, folder_label=None)
        self._progress = progress
        self._folder_of = {image: folder for folder in folders for image in folder.images}
        self.paths = spread([image for folder in folders for image in folder.images], MOST_IMAGES)
        self._maps: dict[tuple[Path, str | None], ImageMap] = {}
        self._seen: set[int] = set()

    def check(self) -> None:
        """Leave out what cannot be read: indexing names it with its cause when its turn comes."""
        self.paths = [path for path in self.paths if self._readable(path)]
        if not self.paths:
            raise UsageError(
                "none of the images can be read", remedy="Look at one of them; see histokin index --dry-run"
            )
        self._progress.start(len(self.paths))
        self._progress.begin("vocabulary", len(self.paths))

    def learning(self, done: int, planned: int) -> None:
        """All are described; so many passes of learning are done."""
        if done:
            self._progress.advance(1)
        else:
            self._progress.begin("words", planned)

    def done(self) -> None:
        """Tell whoever watches."""
        self._progress.finish("vocabulary", len(self.paths), "learned")

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, place: int) -> UInt8[np.ndarray, "_ _ _"]: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[UInt8[np.ndarray, "_ _ _"]]: ...

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        path = self.paths[place]
        mapped = self._map_of(path)
        with open_slide(path, mpp=self._describe(path).mpp) as slide:
            (_, picture), *_ = picture_patches(slide, self._prepared)
        if place not in self._seen:
            self._seen.add(place)
            self._progress.advance(1)
        return np.asarray(mapped(picture), np.uint8)

    def _readable(self, path: Path) -> bool:
        try:
            with open_slide(path, mpp=self._describe(path).mpp) as slide:
                picture_patches(slide, self._prepared)
        except InputError:
            return False
        return True

    def _map_of(self, path: Path) -> ImageMap:
        """The map of an image's folder and style, as indexing fits it."""
        folder, style = self._folder_of[path], self._describe(path).style
        if (folder.path, style) not in self._maps:
            whole = self._prepared.appearance
            appearance = whole.for_style(style)
            alike = [image for image in folder.images if appearance is whole or self._describe(image).style == style]
            fitted, _ = fit_folder(alike, self._describe, appearance, self._prepared)
            self._maps[folder.path, style] = self._prepared.mapping(fitted)
        return self._maps[folder.path, style]
