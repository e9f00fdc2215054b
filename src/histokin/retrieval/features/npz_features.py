"""The feature file as NumPy arrays: the JSON's content, quicker to read, and all that an archive knows of it.

Members: ``version``, ``model_sha``, ``latent_dim`` (scalars), ``features`` (n, d) float32, ``boxes`` (n, 4) int32 in
level-0 pixels, ``source`` (n,) int32, and for every source ``files``, ``labels`` (empty where unknown) and ``about``
(JSON); ``recipe`` is the archive's, as JSON. ``numpy.load`` reads them all, without pickles.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from jaxtyping import Int32, Shaped

from histokin.archive.records import Source
from histokin.errors import ImplausibleDimensions, UnreadableFile
from histokin.retrieval.features.base import (
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
from histokin.retrieval.features.described import described, source_from
from histokin.retrieval.features.files import replacing
from histokin.retrieval.features.json_stream import dumps

VERSION = 1
AGAIN = "Make or copy the file again"
LARGEST_MEMBER = 1 << 30
"""Bytes of the largest member but the vectors that is taken in."""

TEXTS_AT_A_TIME = 512


@final
class NpzFormat(FeatureFormat):
    """A zip of ``.npy`` files; vectors are stored as they are, names compressed."""

    name: ClassVar[str] = "npz"
    suffixes: ClassVar[tuple[str, ...]] = (".npz",)

    def write(self, leaving: Outgoing, out: Path) -> Written:
        """See :meth:`FeatureFormat.write`."""
        with replacing(out) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            sources = [leaving.snapshot.sources[place] for place in leaving.places]
            _scalar(archive, "version", np.array(VERSION))
            _scalar(archive, "model_sha", np.array(leaving.model_sha))
            _scalar(archive, "latent_dim", np.array(leaving.dim))
            _scalar(archive, "recipe", np.array(dumps(dict(leaving.recipe))))
            _texts(archive, "files", sources, lambda source: source.path)
            _texts(archive, "labels", sources, lambda source: source.label or "")
            _texts(archive, "about", sources, lambda source: dumps(described(source)).encode())
            counts = [leaving.patches(place) for place in leaving.places]
            _scalar(archive, "source", np.repeat(np.arange(len(sources), dtype=np.int32), counts))
            boxes = [np.array(leaving.snapshot.boxes[leaving.snapshot.rows_of(place)]) for place in leaving.places]
            _scalar(archive, "boxes", np.concatenate(boxes))
            with _member(archive, "features", (leaving.rows(), leaving.dim), np.dtype("<f4")) as file:
                for place in leaving.places:
                    name = leaving.snapshot.sources[place].name
                    leaving.progress.begin(name, leaving.patches(place))
                    for _, vectors in leaving.pieces(place):
                        file.write(np.ascontiguousarray(vectors, "<f4").tobytes())
                    leaving.progress.finish(name, 1, "written")
        return Written([out])

    def read(self, path: Path, asked: Asked) -> FeatureFile:
        """See :meth:`FeatureFormat.read`."""
        return NpzFile(path)


def _scalar(archive: zipfile.ZipFile, name: str, value: Shaped[np.ndarray, "..."]) -> None:
    """A member that is small, beside the vectors."""
    out = io.BytesIO()
    np.lib.format.write_array(out, value, allow_pickle=False)
    archive.writestr(zipfile.ZipInfo(f"{name}.npy"), out.getvalue(), zipfile.ZIP_DEFLATED)


def _texts(archive: zipfile.ZipFile, name: str, sources: list[Source], text: Callable[[Source], str | bytes]) -> None:
    """An array of text or UTF-8, written some at a time: in NumPy every one takes as much room as the longest."""
    letter = "S" if isinstance(text(sources[0]), bytes) else "<U"
    kind = np.dtype(f"{letter}{max(1, *(len(text(source)) for source in sources))}")
    with _member(archive, name, (len(sources),), kind, zipfile.ZIP_DEFLATED) as file:
        for start in range(0, len(sources), TEXTS_AT_A_TIME):
            part = [text(source) for source in sources[start : start + TEXTS_AT_A_TIME]]
            file.write(np.array(part, kind).tobytes())


@contextmanager
def _member(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], kind: np.dtype[Any], how: int = zipfile.ZIP_STORED
) -> Iterator[Any]:
    """An array of known shape, to be written piece by piece."""
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = how
    with archive.open(info, "w", force_zip64=True) as file:
        header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(file, header)
        yield file


@final
class NpzFile(FeatureFile):
    """A feature file, read some thousand rows at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _opened(path) as archive:
            self._head(archive)
            self._rows(archive)
        first = 0
        for chunk in self.chunks():
            check_vectors(chunk.vectors, first, path)
            first += len(chunk.entry)

    def chunks(self) -> Iterator[Chunk]:
        """See :meth:`FeatureFile.chunks`."""
        dim, count = self.head.dim, len(self._source)
        step = rows_at_a_time(dim)
        with _opened(self._path) as archive, archive.open("features.npy") as file:
            _header(file)
            for start in range(0, count, step):
                stop = min(start + step, count)
                data = file.read((stop - start) * dim * 4)
                if len(data) != (stop - start) * dim * 4:
                    raise ValueError("'features' is cut off")
                vectors = np.frombuffer(data, "<f4").reshape(-1, dim).astype(np.float32)
                yield Chunk(self._source[start:stop], self._boxes[start:stop], vectors)

    def _head(self, archive: zipfile.ZipFile) -> None:
        version = _whole(archive, "version")
        if version.shape != () or version.tolist() != VERSION:
            raise UnreadableFile(
                f"its version is {str(version.tolist())[:40]}, this histokin reads version {VERSION}",
                remedy="Check that it is a feature file",
                path=self._path,
            )
        with archive.open("features.npy") as file:
            shape, kind = _header(file)
        said = _whole(archive, "latent_dim").tolist()
        if len(shape) != 2 or kind != np.dtype("<f4") or said != shape[1]:
            raise ImplausibleDimensions(
                f"its features are {kind} of shape {shape}, with latent_dim {str(said)[:40]}",
                remedy=AGAIN,
                path=self._path,
            )
        check_shape(shape[0], shape[1], self._path)
        sha = check_text(_whole(archive, "model_sha").tolist(), "'model_sha'", self._path)
        recipe = json.loads(_whole(archive, "recipe").tolist()) if "recipe.npy" in archive.namelist() else None
        self.head = Head(shape[1], sha.lower(), recipe if isinstance(recipe, dict) else None)
        self._count = shape[0]

    def _rows(self, archive: zipfile.ZipFile) -> None:
        files, labels = _whole(archive, "files"), _whole(archive, "labels")
        source, boxes = _whole(archive, "source"), _whole(archive, "boxes")
        fits = files.ndim == 1 and labels.shape == files.shape and source.shape == (self._count,)
        fits = fits and boxes.shape == (self._count, 4) and source.dtype.kind in "iu" and boxes.dtype.kind in "iu"
        fits = fits and files.dtype.kind == labels.dtype.kind == "U" and bool((boxes >= 0).all())
        steps = np.diff(source.astype(np.int64)) if fits else np.zeros(0)
        ends = fits and source[0] == 0 and source[-1] == len(files) - 1 and bool(np.isin(steps, (0, 1)).all())
        if not ends or len(set(files.tolist())) != len(files):
            raise ValueError("its members do not belong together")
        self._source: Int32[np.ndarray, "n"] = source.astype(np.int32)
        self._boxes: Int32[np.ndarray, "n 4"] = boxes.astype(np.int32)
        about = _whole(archive, "about").tolist() if "about.npy" in archive.namelist() else []
        starts = np.searchsorted(self._source, np.arange(len(files) + 1))
        self.entries = [
            self._entry(
                str(file), str(label), self._boxes[starts[place] : starts[place + 1]], about[place] if about else b""
            )
            for place, (file, label) in enumerate(zip(files.tolist(), labels.tolist(), strict=True))
        ]

    def _entry(self, file: str, label: str, boxes: Int32[np.ndarray, "_ 4"], about: bytes) -> Entry:
        name, patches, side = check_text(file, "a name in 'files'", self._path), len(boxes), int(boxes[0, 2])
        reach = (int(boxes[:, 0].max()), int(boxes[:, 1].max()))
        if not about:
            return Entry(name, "image", patches, label or None, side=side or None, reach=reach)
        source = source_from(json.loads(about), self._path)
        return Entry(
            name,
            "slide" if source.kind == "slide" else "image",
            patches,
            source.label,
            mpp=source.mpp,
            side=side or None,
            reach=reach,
            source=described(source),
        )


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip; what NumPy and zipfile raise for damaged ones, as :class:`UnreadableFile`."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise UnreadableFile(reason, remedy="Check that the file exists and that you may read it", path=path) from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError) as error:
        raise UnreadableFile(f"it is no whole .npz file ({error})", remedy=AGAIN, path=path) from None
    except KeyError as error:
        raise UnreadableFile(f"a member is missing ({error.args[0]})", remedy=AGAIN, path=path) from None
    except (ValueError, IndexError, TypeError, RuntimeError, OverflowError, NotImplementedError, zlib.error) as error:
        raise UnreadableFile(f"it is damaged ({str(error)[:100]})", remedy=AGAIN, path=path) from None


def _header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array; leaves the file where its values begin."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, kind = read(file)
    if fortran and len(shape) > 1:
        raise ValueError("an array is stored column by column")
    return shape, kind


def _whole(archive: zipfile.ZipFile, name: str) -> Shaped[np.ndarray, "..."]:
    """A small member. One that claims more than the zip could hold is refused before it is read."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        shape, kind = _header(file)
        size = int(np.prod(shape, dtype=object)) * kind.itemsize
        if kind.hasobject or size > info.file_size:
            raise ValueError(f"'{name}' is cut off, or holds Python objects")
        if info.file_size > LARGEST_MEMBER:
            raise ValueError(f"'{name}' is far too large")
        return np.frombuffer(file.read(size), kind).reshape(shape)
