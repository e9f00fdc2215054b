"""HDF5 files of one slide each: datasets ``features`` (n, d) and ``coords`` (n, 2), as CLAM and TRIDENT have them.

``coords`` are the top left corners of patches in level-0 pixels; the attributes of ``coords`` say how large they are.
A file of our own also has ``histokin``, a text with the archive's recipe and what it knows of the slide, and ``boxes``
(n, 4) where patches are not squares of one size. Other programs pass these over.
"""

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int32

from histokin.archive.records import Source
from histokin.errors import ImplausibleDimensions, UnreadableFile
from histokin.extras import loaded
from histokin.retrieval.features.base import (
    MOST_COORDINATE,
    FeatureFormat,
    Outgoing,
    Written,
)
from histokin.retrieval.features.described import described
from histokin.retrieval.features.files import replacing
from histokin.retrieval.features.json_stream import dumps

OURS = "histokin"
AGAIN = "Make or copy the file again"
CHUNK_ROWS = 32
MOST_COMPRESSED = 1100
"""HDF5's own compression gets no further than this; a file that claims more holds nothing."""


class Hdf5Slides(FeatureFormat):
    """Writes a folder of such files; what differs between programs are the attributes."""

    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".hdf5")
    folder: ClassVar[bool] = True

    coords_type: ClassVar[str]

    @abstractmethod
    def attributes(self, source: Source, side: int, leaving: Outgoing, out: Path) -> dict[str, dict[str, Any]]:
        """Attributes of the datasets ``features`` and ``coords``; ``side`` of a patch in level-0 pixels."""

    def write(self, leaving: Outgoing, out: Path) -> Written:
        """See :meth:`FeatureFormat.write`."""
        h5py = require_h5py()
        out.mkdir(parents=True, exist_ok=True)
        written = Written()
        for place, name in zip(leaving.places, _names(leaving), strict=True):
            source = leaving.snapshot.sources[place]
            leaving.progress.begin(source.name, leaving.patches(place))
            with replacing(out / f"{name}.h5") as partial, h5py.File(partial, "w") as file:
                self._slide(file, place, leaving, out)
            written.files.append(out / f"{name}.h5")
            leaving.progress.finish(source.name, 1, "written")
        return written

    def _slide(self, file: Any, place: int, leaving: Outgoing, out: Path) -> None:
        source, count = leaving.snapshot.sources[place], leaving.patches(place)
        mine = leaving.snapshot.rows_of(place)
        boxes: Int32[np.ndarray, "n 4"] = np.array(leaving.snapshot.boxes[mine])
        width, rows = leaving.dim, CHUNK_ROWS
        features = file.create_dataset(
            "features", (count, width), np.float32, maxshape=(None, width), chunks=(rows, width)
        )
        coords = file.create_dataset("coords", (count, 2), self.coords_type, maxshape=(None, 2), chunks=(rows, 2))
        coords[:] = boxes[:, :2]
        start = 0
        for _, vectors in leaving.pieces(place):
            features[start : start + len(vectors)] = vectors
            start += len(vectors)
        side = int(boxes[:, 2:].max())
        if not (boxes[:, 2:] == side).all():
            file.create_dataset("boxes", data=boxes)
        for name, values in self.attributes(source, side, leaving, out).items():
            for key, value in values.items():
                file[name].attrs[key] = value
        file.create_dataset(OURS, data=dumps({"recipe": dict(leaving.recipe), "source": described(source)}))


def stem(name: str) -> str:
    """What both programs call a slide: the file's name without its ending."""
    short = PurePath(name).stem
    return short[:-4] if short.lower().endswith(".ome") else short


def _names(leaving: Outgoing) -> list[str]:
    """File names without ending; slides that share one have their id in it."""
    sources = [leaving.snapshot.sources[place] for place in leaving.places]
    stems = [stem(source.name) for source in sources]
    count: dict[str, int] = {}
    for one in stems:
        count[one.lower()] = count.get(one.lower(), 0) + 1
    return [
        one if count[one.lower()] == 1 else f"{one}-{source.id}" for one, source in zip(stems, sources, strict=True)
    ]


def require_h5py() -> Any:
    """The module. Raises :class:`UsageError` where it is not installed."""
    return loaded("reading and writing HDF5 files", "h5py", extra="features")


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file for reading; what h5py raises for damaged ones, as :class:`UnreadableFile`."""
    h5py = require_h5py()
    try:
        with path.open("rb"):
            pass  # h5py's own messages for a missing file are long
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        reason = error.strerror.lower() if error.strerror else f"it is no whole HDF5 file ({_first(error)})"
        raise UnreadableFile(reason, remedy=AGAIN, path=path) from None
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError, UnicodeError) as error:
        raise UnreadableFile(f"it is damaged ({_first(error)})", remedy=AGAIN, path=path) from None


def dataset(file: Any, name: str, path: Path) -> Any:
    """A dataset whose values lie in this file. Raises :class:`UnreadableFile`."""
    h5py = require_h5py()
    if name not in file:
        found = ", ".join(sorted(str(key) for key in file)[:8]) or "nothing"
        raise UnreadableFile(
            f"it has no dataset '{name}' (there is: {found})",
            remedy="Give files that hold 'features' and 'coords', as CLAM and TRIDENT write them",
            path=path,
        )
    one = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(one, h5py.Dataset) or one.external or one.is_virtual:
        raise UnreadableFile(f"'{name}' is not a dataset in this file", remedy=AGAIN, path=path)
    if one.size is None or one.size * one.dtype.itemsize > MOST_COMPRESSED * path.stat().st_size:
        raise ImplausibleDimensions(
            f"'{name}' claims the shape {one.shape}, which a file of this size cannot hold", remedy=AGAIN, path=path
        )
    return one


def attributes_of(one: Any) -> dict[str, Any]:
    """The attributes of a dataset as plain values; text that is not UTF-8 keeps its strange characters."""
    found: dict[str, Any] = {}
    for key in one.attrs:
        value = one.attrs[key]
        if isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        found[str(key)] = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return found


def ours_of(file: Any) -> Mapping[str, Any]:
    """What a file of our own says beside the vectors; empty for other files."""
    h5py = require_h5py()
    if not isinstance(file.get(OURS, getlink=True), h5py.HardLink) or not isinstance(file[OURS], h5py.Dataset):
        return {}
    text = file[OURS][()]
    value = json.loads(text.decode() if isinstance(text, bytes) else str(text))
    return value if isinstance(value, dict) else {}


def number(value: object, what: str, path: Path, *, least: float = 0.0) -> float | None:
    """A positive number among attributes, None where it is not given ('None' is how TRIDENT writes that)."""
    if value is None or value in ("None", "NA", ""):
        return None
    if isinstance(value, list) and value:
        value = value[0]  # CLAM gives horizontal and vertical factors
    if isinstance(value, bool) or not isinstance(value, int | float) or not least < value <= MOST_COORDINATE:
        raise UnreadableFile(f"its '{what}' is {value!r:.40}, which is no size", remedy=AGAIN, path=path)
    return float(value)


def _first(error: Exception) -> str:
    return next(iter(str(error.args[0] if error.args else error).splitlines()), type(error).__name__)[:120]
