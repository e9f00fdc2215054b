"""A trained classifier from its folder, run by onnxruntime. No PyTorch."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, final

import numpy as np
from jaxtyping import Float32

from histokin.classifiers.base import Classifier, ClassifierSpec
from histokin.cores import usable_cores
from histokin.errors import UsageError
from histokin.nets.classifier_file import ClassifierFile, ClassifierSession
from histokin.types import Image, Images

T = TypeVar("T")


@final
class OnnxClassifier(Classifier):
    """The classifier that ``histokin train classifier`` wrote.

    Images are spread over cores and the network sees one at a time, so that an answer depends neither on the images
    beside it nor on the number of cores.

    Parameters
    ----------
    path : the folder with ``classifier.json`` and ``classifier.onnx``, or either of the two files.
    threads : how many cores to use; None for all that this process may use.

    Raises
    ------
    EncoderError
        when a file is missing, damaged, or they do not belong together; the file is named.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}", remedy="Give a number of cores from 1, or leave it out")
        self._session = ClassifierSession(path)
        self._threads = threads or usable_cores()
        self._spec = _spec(self._session.about)

    @property
    def spec(self) -> ClassifierSpec:
        return self._spec

    @property
    def bias(self) -> Float32[np.ndarray, "c"]:
        return self._session.about.bias

    @property
    def weights(self) -> Float32[np.ndarray, "c d"]:
        """The last layer: a row for each class."""
        return self._session.about.weights

    def logits(self, images: Images) -> Float32[np.ndarray, "n c"]:
        rows = self._each(images, lambda image: self._session.run(image, ("logits",))[0])
        return np.array(rows, np.float32).reshape(len(images), len(self._spec.classes))

    def features(self, images: Images) -> Float32[np.ndarray, "n d"]:
        rows = self._each(images, lambda image: self._session.run(image, ("pooled",))[0])
        return np.array(rows, np.float32).reshape(len(images), self._spec.dim)

    def class_maps(self, images: Images) -> tuple[Float32[np.ndarray, "n c"], Float32[np.ndarray, "n c gh gw"]]:
        # The maps of the classes are kept, not the network's own: a hundred times smaller.
        found = self._each(images, self._class_maps)
        count = len(self._spec.classes)
        logits = np.array([one[0] for one in found], np.float32).reshape(len(images), count)
        maps = np.array([one[1] for one in found], np.float32).reshape(len(images), count, *self._spec.grid)
        return logits, maps

    def _class_maps(self, image: Image) -> tuple[np.ndarray, np.ndarray]:
        logits, maps = self._session.run(image, ("logits", "maps"))
        return logits, np.tensordot(self.weights, maps, axes=1)

    def _each(self, images: Images, one: Callable[[Image], T]) -> list[T]:
        workers = min(self._threads, len(images))
        if workers <= 1:
            return [one(image) for image in images]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(one, images))


def _spec(about: ClassifierFile) -> ClassifierSpec:
    return ClassifierSpec(
        name=about.name,
        space=about.space,
        classes=about.classes,
        input_px=about.input_px,
        dim=about.dim,
        grid=about.grid,
        mpp=about.mpp,
        temperature=about.temperature,
        licence=about.licence,
        normalizer=about.normalizer,
    )
