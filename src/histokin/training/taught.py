"""Images and what a teacher made of them. The teacher maps every image once; its answers are kept as PNG files."""

import hashlib
import json
import time
from functools import partial
from pathlib import Path
from typing import IO, final

import cv2
import numpy as np

from histokin.errors import UnreadableFile
from histokin.training.files import write_whole
from histokin.training.images import KEPT_BYTES, ImageSet, Picture
from histokin.training.report import Moment, Watch
from histokin.types import RGB, ImageMap


@final
class Taught:
    """Pairs of a source and the teacher's answer, 8-bit RGB of one size.

    Answers are held in memory up to a gigabyte and read from ``folder`` beyond it. A folder holds the answers of one
    fitted map, so that another one is never mistaken for it. ``watch`` is told of every image. Raises
    :class:`UsageError` when the folder cannot be written.
    """

    def __init__(self, images: ImageSet, mapping: ImageMap, folder: Path, watch: Watch | None = None) -> None:
        text = json.dumps(mapping.to_dict(), sort_keys=True, default=str)
        place = folder / hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
        self._images = images
        self._files = [place / f"{digest}.png" for digest in images.digests]
        self._memory: dict[int, RGB] = {}
        used = 0
        began = time.monotonic()
        for i, file in enumerate(self._files):
            source = images.load(i)
            made = _read(file)
            if made is None or made.shape != source.shape:
                made = np.asarray(mapping(source), np.uint8)
                png = cv2.imencode(".png", made[..., ::-1])[1].tobytes()
                write_whole(file, partial(_put, png))
            if used + made.nbytes <= KEPT_BYTES:
                self._memory[i] = made
                used += made.nbytes
            if watch is not None:
                watch(Moment(i + 1, len(images), {}, (time.monotonic() - began) / (i + 1), "teacher"))

    def __len__(self) -> int:
        return len(self._images)

    def pair(self, i: int) -> tuple[Picture, Picture]:
        """A source and the teacher's answer."""
        made = self._memory.get(i)
        if made is None:
            made = _read(self._files[i])
        if made is None:
            raise UnreadableFile("the teacher's image is gone", remedy="Run the training again", path=self._files[i])
        return self._images.load(i), made

    def first(self, most: int) -> list[tuple[Picture, Picture]]:
        """At most ``most`` pairs."""
        return [self.pair(i) for i in range(min(most, len(self)))]


def _read(path: Path) -> RGB | None:
    if not path.is_file():
        return None
    read = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    return None if read is None else np.ascontiguousarray(read[..., ::-1], np.uint8)


def _put(data: bytes, stream: IO[bytes]) -> None:
    stream.write(data)
