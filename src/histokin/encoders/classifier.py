"""A trained classifier's penultimate layer as an encoder: what its last linear layer sees."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import final

import numpy as np

from histokin.encoders.base import Encoder, EncoderSpec
from histokin.errors import UsageError
from histokin.nets.classifier_file import ClassifierSession
from histokin.types import Image, Images, Vectors


@final
class ClassifierFeatures(Encoder):
    """Means of the last maps of a classifier that ``histokin train classifier`` wrote; Euclidean distance.

    The network sees one image at a time, on one core, and images are spread over cores.

    Parameters
    ----------
    path : the classifier's folder, or one of its two files.
    threads : how many cores to use; None for all that this process may use.

    Raises
    ------
    EncoderError
        when a file is missing or damaged, or they do not belong together.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}", remedy="Give a number of cores from 1, or leave it out")
        self._session = ClassifierSession(path)
        self._threads = threads or _cores()
        about = self._session.about
        self._spec = EncoderSpec(
            name="classifier",
            space=about.space,
            dim=about.dim,
            input_px=about.input_px,
            mpp=about.mpp,
            licence=about.licence,
        )

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    def encode(self, images: Images) -> Vectors:
        """One row per image; see :meth:`histokin.encoders.base.Encoder.encode`. Small images are enlarged."""
        workers = max(1, min(self._threads, len(images)))
        with ThreadPoolExecutor(workers) as pool:
            rows = list(pool.map(self._one, images))
        return np.array(rows, np.float32).reshape(len(images), self._spec.dim)

    def _one(self, image: Image) -> np.ndarray:
        return self._session.run(image, ("pooled",), enlarge=True)[0]


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
