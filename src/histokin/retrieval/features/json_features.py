"""The published feature file of the CBMIR system: JSON with file name, label and feature of every image.

``{"version": 1, "model_sha": "...", "latent_dim": 48, "items": [{"file": "...", "label": "...", "feature": [...]}]}``.
A patch of known scale has its place in addition: ``x``, ``y``, ``width``, ``height`` in level-0 pixels and ``mpp``.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
from jaxtyping import Float32

from histokin.errors import ImplausibleDimensions, UnreadableFile
from histokin.retrieval.features.base import (
    MOST_COORDINATE,
    Asked,
    Chunk,
    Entry,
    FeatureFile,
    FeatureFormat,
    Head,
    Outgoing,
    Written,
    check_shape,
    check_text,
    check_vectors,
    rows_at_a_time,
)
from histokin.retrieval.features.files import replacing
from histokin.retrieval.features.json_stream import dumps, members

VERSION = 1
BOX = ("x", "y", "width", "height")
AGAIN = "Make the file again"


@final
class JsonFormat(FeatureFormat):
    """Numbers are float32, written as the shortest text that gives their exact value back in double precision."""

    name: ClassVar[str] = "json"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)

    def write(self, leaving: Outgoing, out: Path) -> Written:
        """See :meth:`FeatureFormat.write`; items are written as they are read from the archive."""
        with replacing(out) as partial, partial.open("w", encoding="utf-8") as file:
            head = {"version": VERSION, "model_sha": leaving.model_sha, "latent_dim": leaving.dim}
            file.write(dumps(head)[:-1] + ', "items": [')
            comma = "\n"
            for item in _outgoing(leaving):
                file.write(comma + dumps(item))
                comma = ",\n"
            file.write("\n]}\n")
        return Written([out], _lost(leaving))

    def read(self, path: Path, asked: Asked) -> FeatureFile:
        """See :meth:`FeatureFormat.read`."""
        return JsonFile(path)


def _outgoing(leaving: Outgoing) -> Iterator[dict[str, Any]]:
    for place in leaving.places:
        source = leaving.snapshot.sources[place]
        leaving.progress.begin(source.name, leaving.patches(place))
        for boxes, vectors in leaving.pieces(place):
            for box, vector in zip(boxes.tolist(), vectors, strict=True):
                item = {"file": source.path, "label": source.label, "feature": vector.tolist()}
                if source.mpp is not None:
                    item |= {**dict(zip(BOX, box, strict=True)), "mpp": source.mpp}
                yield item
        leaving.progress.finish(source.name, 1, "written")


def _lost(leaving: Outgoing) -> list[str]:
    """What the published form has no place for."""
    encoder, appearance = leaving.recipe.get("encoder", {}), leaving.recipe.get("appearance", {})
    lost = []
    if appearance.get("space", "raw") != "raw":
        lost.append(f"the normalizer ({appearance['space']})")
    if encoder.get("metric", "euclidean") != "euclidean":
        lost.append(f"the metric ({encoder['metric']})")
    if any(leaving.snapshot.sources[place].columns for place in leaving.places):
        lost.append("the columns of the label table")
    return [f"JSON has no place for {' and '.join(lost)}; .npz and HDF5 have"] if lost else []


@final
@dataclass(frozen=True, eq=False)
class _Item:
    number: int
    file: str
    label: str | None
    box: tuple[int, int, int, int]
    mpp: float | None
    vector: Float32[np.ndarray, "d"]


@final
class JsonFile(FeatureFile):
    """A feature file, read item by item."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = {}
        self.entries: list[Entry] = []
        seen: set[str] = set()
        dim: int | None = None
        for item in self._items():
            dim = len(item.vector) if dim is None else dim
            if len(item.vector) != dim:
                raise self._broken(item.number, f"has {len(item.vector)} features, those before it have {dim}")
            check_vectors(item.vector[None], item.number, path)
            self._count(item, seen)
        self.head = self._head(dim)
        check_shape(len(self.entries), self.head.dim, path)

    def chunks(self) -> Iterator[Chunk]:
        """See :meth:`FeatureFile.chunks`."""
        size = rows_at_a_time(self.head.dim)
        batch: list[tuple[int, _Item]] = []
        place = -1
        for item in self._items():
            if place < 0 or item.file != self.entries[place].file:
                place += 1
            if place >= len(self.entries) or len(item.vector) != self.head.dim:
                raise UnreadableFile("it changed while it was read", remedy="Try again", path=self._path)
            batch.append((place, item))
            if len(batch) == size:
                yield _chunk(batch)
                batch = []
        if batch:
            yield _chunk(batch)

    def _items(self) -> Iterator[_Item]:
        number = 0
        for key, value in members(self._path, "items"):
            if key == "items":
                yield self._item(number, value)
                number += 1
            else:
                self._values[key] = value

    def _item(self, number: int, value: Any) -> _Item:
        if not isinstance(value, dict):
            raise self._broken(number, "is not an object")
        file = check_text(value.get("file"), f"'file' of item {number}", self._path)
        label = value.get("label")
        if label is not None:
            label = check_text(label, f"'label' of item {number}", self._path) if label != "" else None
        return _Item(
            number, file, label, self._box(number, value), self._mpp(number, value), self._vector(number, value)
        )

    def _vector(self, number: int, value: dict[str, Any]) -> Float32[np.ndarray, "d"]:
        feature = value.get("feature")
        if not isinstance(feature, list) or not all(type(one) in (int, float) for one in feature):
            raise self._broken(number, "has no 'feature' that is a list of numbers")
        try:
            with np.errstate(over="ignore"):
                return np.array(feature, np.float64).astype(np.float32)
        except OverflowError:
            raise self._broken(number, "has a number too large for float32") from None

    def _box(self, number: int, value: dict[str, Any]) -> tuple[int, int, int, int]:
        """Place of a patch; all zero for a whole image."""
        given = [value.get(name) for name in BOX]
        if all(one is None for one in given):
            return 0, 0, 0, 0
        whole = [one for one in given if type(one) is int and 0 <= one <= MOST_COORDINATE]
        if len(whole) != len(BOX) or min(whole[2:]) < 1:
            raise self._broken(number, "has a place that is not x, y, width, height in pixels")
        return whole[0], whole[1], whole[2], whole[3]

    def _mpp(self, number: int, value: dict[str, Any]) -> float | None:
        mpp = value.get("mpp")
        if mpp is None:
            return None
        if type(mpp) not in (int, float) or not 0 < mpp < math.inf:
            raise self._broken(number, "has an mpp that is no positive number")
        return float(mpp)

    def _count(self, item: _Item, seen: set[str]) -> None:
        """Add an item to the last entry, or begin the next one."""
        last = self.entries[-1] if self.entries else None
        placed = item.box[2] > 0
        if last is not None and last.file == item.file:
            if not placed or last.kind == "image":
                raise self._broken(item.number, f"is of {item.file} again, without a place in it")
            if item.label != last.label or item.mpp != last.mpp:
                raise self._broken(item.number, f"gives {item.file} another label or scale than the item before it")
            reach = (max(last.reach[0], item.box[0]), max(last.reach[1], item.box[1]))
            self.entries[-1] = replace(last, patches=last.patches + 1, reach=reach)
            return
        if item.file in seen:
            raise self._broken(item.number, f"is of {item.file}, whose other items are not beside it")
        seen.add(item.file)
        kind: Literal["slide", "image"] = "slide" if placed else "image"
        side = item.box[2] or None
        self.entries.append(
            Entry(item.file, kind, 1, item.label, mpp=item.mpp, side=side, reach=(item.box[0], item.box[1]))
        )

    def _head(self, dim: int | None) -> Head:
        values = self._values
        if values.get("version") != VERSION:
            raise UnreadableFile(
                f"its version is {values.get('version')!r}, this histokin reads version {VERSION}",
                remedy="Check that it is a feature file",
                path=self._path,
            )
        said = values.get("latent_dim")
        if type(said) is not int:
            raise UnreadableFile("it has no 'latent_dim' that is a whole number", remedy=AGAIN, path=self._path)
        if dim is not None and said != dim:
            raise ImplausibleDimensions(
                f"it says latent_dim {said}, its features have {dim} numbers", remedy=AGAIN, path=self._path
            )
        sha = values.get("model_sha")
        return Head(said, check_text(sha, "'model_sha'", self._path).lower() if sha is not None else None)

    def _broken(self, number: int, what: str) -> UnreadableFile:
        return UnreadableFile(f"item {number} {what}", remedy=AGAIN, path=self._path)


def _chunk(batch: list[tuple[int, _Item]]) -> Chunk:
    return Chunk(
        np.array([place for place, _ in batch], np.int32),
        np.array([item.box for _, item in batch], np.int32),
        np.stack([item.vector for _, item in batch]),
    )
