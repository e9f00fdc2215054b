"""Reading one slide's HDF5 file, by whichever program it was written."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, final

import numpy as np
from jaxtyping import Int32

from histokin.encoders.identity import model_sha
from histokin.errors import ImplausibleDimensions, UnreadableFile
from histokin.retrieval.features.base import (
    MOST_COORDINATE,
    Asked,
    Chunk,
    Entry,
    FeatureFile,
    Head,
    check_shape,
    check_text,
    check_vectors,
    rows_at_a_time,
)
from histokin.retrieval.features.described import described, source_from
from histokin.retrieval.features.hdf5_file import attributes_of, dataset, opened, ours_of

Geometry = Callable[[Mapping[str, Any], Path, Asked], Entry]
"""From the attributes of ``coords`` to what they say of the slide."""


@final
class Hdf5Slide(FeatureFile):
    """One slide, its vectors read some thousand at a time.

    A leading axis of length one, which older versions of both programs wrote, is passed over.
    """

    def __init__(self, path: Path, asked: Asked, geometry: Geometry) -> None:
        self._path = path
        with opened(path) as file:
            count, dim = self._shape(dataset(file, "features", path))
            coords = dataset(file, "coords", path)
            entry = geometry(attributes_of(coords), path, asked)
            corners = self._corners(coords, count)
            ours = ours_of(file)
            if ours:
                entry = self._own(entry, ours)
                self.head = _head(dim, ours)
            else:
                self.head = Head(dim)
            given = np.asarray(dataset(file, "boxes", path)[:]) if "boxes" in file else None
        self._boxes = self._places(corners, entry.side, given)
        name = check_text(PurePath(entry.file or path.stem).name, "its 'name'", path)
        far = self._boxes.max(axis=0)
        measured = {"patches": count, "side": int(self._boxes[0, 2]), "reach": (int(far[0]), int(far[1]))}
        self.entries = [Entry(**{**vars(entry), "file": entry.file if entry.source else name, **measured})]
        first = 0
        for chunk in self.chunks():
            check_vectors(chunk.vectors, first, path)
            first += len(chunk.entry)

    def chunks(self) -> Iterator[Chunk]:
        """See :meth:`FeatureFile.chunks`."""
        count, step = len(self._boxes), rows_at_a_time(self.head.dim)
        with opened(self._path) as file:
            features = dataset(file, "features", self._path)
            for start in range(0, count, step):
                stop = min(start + step, count)
                part = features[0, start:stop] if features.ndim == 3 else features[start:stop]
                with np.errstate(over="ignore"):
                    vectors = np.ascontiguousarray(part).astype(np.float32)
                yield Chunk(
                    np.zeros(stop - start, np.int32), self._boxes[start:stop], vectors.reshape(-1, self.head.dim)
                )

    def _shape(self, features: Any) -> tuple[int, int]:
        """Rows and columns; other shapes and types are refused by what they are."""
        shape = features.shape
        if features.dtype.kind != "f":
            what = "lists of different lengths" if features.dtype.kind == "O" else f"of type {features.dtype}"
            raise UnreadableFile(
                f"its 'features' are {what}, not numbers with a fraction", remedy="Make the file again", path=self._path
            )
        if len(shape) == 3 and shape[0] == 1:
            shape = shape[1:]
        if len(shape) == 1:
            raise ImplausibleDimensions(
                f"its 'features' are one vector of {shape[0]} numbers for the whole slide",
                remedy="Give the features of patches",
                path=self._path,
            )
        if len(shape) != 2:
            raise ImplausibleDimensions(
                f"its 'features' have the shape {shape}", remedy="They must be (patches, numbers)", path=self._path
            )
        check_shape(shape[0], shape[1], self._path)
        return shape[0], shape[1]

    def _corners(self, coords: Any, count: int) -> Int32[np.ndarray, "n 2"]:
        shape = coords.shape[1:] if coords.ndim == 3 and coords.shape[0] == 1 else coords.shape
        if shape != (count, 2) or coords.dtype.kind not in "iuf":
            raise ImplausibleDimensions(
                f"its 'coords' are {coords.dtype} of shape {coords.shape}, for {count} features",
                remedy="They must be (patches, 2) in level-0 pixels",
                path=self._path,
            )
        values = np.asarray(coords[:]).reshape(count, 2).astype(np.float64)
        if not (np.isfinite(values).all() and (values >= 0).all() and (values <= MOST_COORDINATE).all()):
            raise ImplausibleDimensions(
                "some of its 'coords' lie outside every slide",
                remedy="They must be level-0 pixels, from 0",
                path=self._path,
            )
        return values.round().astype(np.int32)

    def _places(self, corners: Int32[np.ndarray, "n 2"], side: int | None, given: Any) -> Int32[np.ndarray, "n 4"]:
        """Boxes in level-0 pixels. Raises :class:`UnreadableFile` where nothing says how large a patch is."""
        if given is not None:
            if given.shape != (len(corners), 4) or given.dtype.kind not in "iu" or (given < 0).any():
                raise ImplausibleDimensions(
                    "its 'boxes' do not belong to its 'coords'", remedy="Export it again", path=self._path
                )
            return given.astype(np.int32)  # type: ignore[no-any-return]
        if side is None:
            raise UnreadableFile(
                f"it does not say how large its patches are{_apart(corners)}",
                remedy="Give the side of a patch in level-0 pixels with --patch-size",
                path=self._path,
            )
        return np.concatenate([corners, np.full_like(corners, side)], axis=1)

    def _own(self, entry: Entry, ours: Mapping[str, Any]) -> Entry:
        source = source_from(ours.get("source"), self._path)
        kept = {"file": source.path, "kind": source.kind, "label": source.label, "mpp": source.mpp, "nominal": False}
        return Entry(**{**vars(entry), **kept, "source": described(source)})


def _head(dim: int, ours: Mapping[str, Any]) -> Head:
    recipe = ours.get("recipe")
    if not isinstance(recipe, dict) or not isinstance(recipe.get("encoder"), dict):
        return Head(dim)
    return Head(dim, model_sha(str(recipe["encoder"].get("space"))), recipe)


def _apart(corners: Int32[np.ndarray, "n 2"]) -> str:
    """A hint: how far its patches lie apart."""
    steps = [np.diff(np.unique(corners[:, axis])) for axis in (0, 1)]
    nearest = [int(step.min()) for step in steps if len(step)]
    return f" (they lie {min(nearest)} pixels apart)" if nearest else ""
