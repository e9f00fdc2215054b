"""The contract of every classifier: images in, scores of classes and class activation maps out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, final

import numpy as np
from jaxtyping import Float32, Int64

from histokin.errors import UsageError
from histokin.types import Images

Scores = Float32[np.ndarray, "n c"]
Maps = Float32[np.ndarray, "n gh gw"]


@final
@dataclass(frozen=True)
class ClassifierSpec:
    """What a classifier is and what it takes.

    Parameters
    ----------
    name : of the network. space : its identity, with the digest of the weights.
    classes : their names, in the order of the scores.
    input_px : side of the square input; images are resized to it, down to ``least_px`` on their shorter side.
    dim, grid : length of the pooled features; height and width of a class activation map.
    mpp : microns per pixel of the images it learned from, at ``input_px`` after resizing; None where unknown.
    temperature : what logits are divided by before the softmax, fitted on images that were not learned from.
    normalizer : what mapped the images it learned from (``name``, ``options``, ``target``: as
        ``Appearance.to_dict``), None for nothing. A classifier does not apply it: its caller does.
    """

    name: str
    space: str
    classes: tuple[str, ...]
    input_px: int
    dim: int
    grid: tuple[int, int]
    mpp: float | None = None
    temperature: float = 1.0
    licence: str = "unknown"
    normalizer: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def least_px(self) -> int:
        """Images with a shorter side than this are refused: they would be enlarged more than twice."""
        return -(-self.input_px // 2)

    def class_number(self, name: str) -> int:
        """The place of a class. Raises :class:`UsageError` with the choices."""
        if name not in self.classes:
            raise UsageError(
                f"the classifier '{self.name}' has no class '{name}'", remedy=f"Its classes: {', '.join(self.classes)}"
            )
        return self.classes.index(name)

    def require_classes(self, wanted: Sequence[str]) -> None:
        """Raises :class:`UsageError`, both lists named, unless every one of ``wanted`` is a class of this one."""
        strange = [name for name in dict.fromkeys(wanted) if name not in self.classes]
        if strange:
            raise UsageError(
                f"the class list does not match the classifier '{self.name}': it has no {', '.join(strange[:8])}",
                remedy=f"Its classes are {', '.join(self.classes)}; rename yours, or train with your own classes",
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@final
class Explained(NamedTuple):
    """Scores and the maps behind them, from one pass over the images.

    ``probabilities`` are the softmax of logits divided by the temperature; ``classes`` says which class each map of
    ``maps`` is of.
    """

    logits: Float32[np.ndarray, "n c"]
    probabilities: Float32[np.ndarray, "n c"]
    classes: Int64[np.ndarray, "n"]
    maps: Float32[np.ndarray, "n gh gw"]


class Classifier(ABC):
    """Tells classes apart. Construction may load weights; methods may be called from one thread.

    Images are ``uint8`` RGB arrays "h w 3" of any size from ``spec.least_px`` on. An answer does not depend on the
    other images of the call.
    """

    @property
    @abstractmethod
    def spec(self) -> ClassifierSpec:
        """What this classifier is."""

    @property
    @abstractmethod
    def bias(self) -> Float32[np.ndarray, "c"]:
        """What is added to the mean of a class's map to give its logit."""

    @abstractmethod
    def class_maps(self, images: Images) -> tuple[Float32[np.ndarray, "n c"], Float32[np.ndarray, "n c gh gw"]]:
        """Logits, and the class activation maps of all classes, from one pass over the images.

        ``CAM_c(x, y) = sum over k of W[c, k] A_k(x, y)`` of the last maps A, so that its mean over the positions plus
        ``bias[c]`` is logit c (B. Zhou et al., "Learning deep features for discriminative localization", CVPR 2016).

        Raises
        ------
        TooSmall
            for an image below ``spec.least_px``.
        EncoderError
            for an image that is no 8-bit RGB, or when the network does not keep its word.
        """

    @abstractmethod
    def features(self, images: Images) -> Float32[np.ndarray, "n d"]:
        """What the last layer sees: the mean of every last map. Raises as :meth:`class_maps`."""

    @abstractmethod
    def logits(self, images: Images) -> Float32[np.ndarray, "n c"]:
        """One score for each class, before softmax and temperature. Raises as :meth:`class_maps`."""

    def explain(self, images: Images, classes: Sequence[int] | None = None) -> Explained:
        """Logits, probabilities and one class activation map for each image, from one pass.

        Parameters
        ----------
        classes : whose map, by number, one for each image; None for the class with the highest score.

        Raises
        ------
        UsageError
            when there are not as many classes as images, or one does not exist; otherwise as :meth:`class_maps`.
        """
        logits, maps = self.class_maps(images)
        numbers = checked_classes(classes, logits)
        chosen = maps[np.arange(len(numbers)), numbers]
        return Explained(logits, probabilities(logits, self.spec.temperature), numbers, chosen)

    def predict(self, images: Images) -> Float32[np.ndarray, "n c"]:
        """Probabilities: the softmax of the logits divided by the temperature; rows add up to 1."""
        return probabilities(self.logits(images), self.spec.temperature)

    def cam(self, images: Images, classes: Sequence[int]) -> Float32[np.ndarray, "n gh gw"]:
        """The class activation maps of :meth:`explain`, in the units of the logits, not scaled."""
        return self.explain(images, classes).maps


def probabilities(logits: Float32[np.ndarray, "n c"], temperature: float | int = 1.0) -> Float32[np.ndarray, "n c"]:
    """Softmax of ``logits / temperature``, row by row."""
    scaled = logits.astype(np.float64) / temperature
    shares = np.exp(scaled - scaled.max(axis=1, keepdims=True)) if scaled.size else scaled
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


def checked_classes(classes: Sequence[int] | None, logits: Float32[np.ndarray, "n c"]) -> Int64[np.ndarray, "n"]:
    """Class numbers for each row of ``logits``; the best ones for None. Raises :class:`UsageError`."""
    if classes is None:
        return np.asarray(logits.argmax(axis=1), np.int64)
    numbers = np.asarray(list(classes), np.int64)
    if len(numbers) != len(logits):
        raise UsageError(f"{len(numbers)} classes for {len(logits)} images", remedy="Give one class for each image")
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < logits.shape[1]):
        wrong = int(next(n for n in numbers if not 0 <= n < logits.shape[1]))
        raise UsageError(f"there is no class number {wrong}", remedy=f"Give numbers from 0 to {logits.shape[1] - 1}")
    return numbers
