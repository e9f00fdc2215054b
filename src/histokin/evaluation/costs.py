"""What an encoder costs beside what it finds: time to index, time to ask, room on the disk."""

from dataclasses import asdict, dataclass
from typing import Any, final

FLOAT_BYTES = 4


@final
@dataclass(frozen=True)
class Cost:
    """``index_cpu_seconds_per_1000`` is the CPU time, over all cores, to decode, normalize and encode 1000 images;
    None where vectors were read and nothing was encoded. ``query_ms_p50`` and ``_p95`` are wall-clock times of one
    exact search among the rows that may answer, the query's vector known. ``vector_bytes_per_patch`` is 4 ``dim``;
    ``disk_bytes_per_patch`` all of an archive's files by its patches, None without an archive.
    """

    index_cpu_seconds_per_1000: float | None
    query_ms_p50: float
    query_ms_p95: float
    dim: int
    vector_bytes_per_patch: int
    disk_bytes_per_patch: float | None = None

    @property
    def images_per_cpu_second(self) -> float | None:
        """The first figure the other way round."""
        seconds = self.index_cpu_seconds_per_1000
        return 1000 / seconds if seconds else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "images_per_cpu_second": self.images_per_cpu_second}
