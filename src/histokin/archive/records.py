"""What goes into a store, and what comes out of a search."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

from histokin.archive.counts import Counts

SLIDES, PATCHES = "slides.lance", "patches.lance"
"""The two tables of a store."""


@final
@dataclass(frozen=True)
class Source:
    """One slide or one loose image.

    ``id`` is stable for its content and first place; ``digest`` names the content, ``size`` and ``mtime_ns`` tell
    whether the file was touched since. ``group`` names what the stain was fitted on, ``appearance`` is the fitted
    map. ``counts`` accounts for every place of the patch grid. ``thumbnail`` is a JPEG.
    """

    id: str
    kind: str
    path: str
    name: str
    digest: str
    size: int
    mtime_ns: int
    width: int
    height: int
    mpp: float | None
    label: str | None
    columns: dict[str, str]
    group: str
    appearance: dict[str, Any]
    counts: dict[str, int]
    thumbnail: bytes | None = None


@final
@dataclass(frozen=True, eq=False)
class PatchBatch:
    """Patches on their way into a store.

    ``source`` is an index into the sources of the same commit; ``boxes`` are x, y, width, height in level-0 pixels;
    ``flags`` are comma-joined words; ``crops`` are JPEGs, or None where none are kept. ``vectors`` are numbers, or
    word counts where the store is one of counts.
    """

    source: Int32[np.ndarray, "n"]
    boxes: Int32[np.ndarray, "n 4"]
    tissue: Float32[np.ndarray, "n"]
    flags: list[str]
    vectors: Float32[np.ndarray, "n d"] | Counts
    crops: list[bytes] | None


@final
@dataclass(frozen=True, eq=False)
class Neighbours:
    """Rows of the archive from near to far; -1 and infinity where there are fewer than k."""

    rows: Int64[np.ndarray, "m k"]
    distances: Float64[np.ndarray, "m k"]
