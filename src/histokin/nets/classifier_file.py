"""The folder of a trained classifier: ``classifier.json``, the ONNX file it describes, and running it. No PyTorch."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32
from PIL import Image as Pillow

from histokin.errors import EncoderError, TooSmall
from histokin.nets.manifest import file_digest
from histokin.nets.onnx_session import first_line, open_session
from histokin.types import Image

MANIFEST, WEIGHTS = "classifier.json", "classifier.onnx"
FORMAT = 1
INPUT, OUTPUTS = "image", ("logits", "maps", "pooled")
REMEDY = "Give a folder that 'histokin train classifier' wrote, whole and unchanged"


@final
@dataclass(frozen=True, eq=False)
class ClassifierFile:
    """What ``classifier.json`` says.

    The network takes float32 "image" "n 3 input_px input_px" (RGB in 0 to 1; it standardizes them itself) and answers
    with "logits" "n c", the last "maps" "n dim gh gw" and their means "pooled" "n dim". ``weights`` "c dim" and
    ``bias`` "c" are its last layer: ``logits = pooled @ weights.T + bias``.
    """

    name: str
    file: str
    sha256: str
    classes: tuple[str, ...]
    input_px: int
    grid: tuple[int, int]
    weights: Float32[np.ndarray, "c d"]
    bias: Float32[np.ndarray, "c"]
    mpp: float | None = None
    temperature: float = 1.0
    licence: str = "unknown"
    training_data: str = ""
    normalizer: Mapping[str, Any] | None = None
    scaling: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        """Length of the pooled features."""
        return int(self.weights.shape[1])

    @property
    def space(self) -> str:
        """Identity of the features: the network and the digest of its weights."""
        return f"classifier-{self.name}/{self.sha256[:12].lower()}/fp32"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; reading it gives the same float32 weights back."""
        return {
            "format": FORMAT,
            "name": self.name,
            "file": self.file,
            "sha256": self.sha256,
            "classes": list(self.classes),
            "input_px": self.input_px,
            "scaling": dict(self.scaling),
            "mpp": self.mpp,
            "normalizer": None if self.normalizer is None else dict(self.normalizer),
            "temperature": self.temperature,
            "cam": "exact",
            "grid": list(self.grid),
            "licence": self.licence,
            "training_data": self.training_data,
            "bias": _short(self.bias),
            "weights": [_short(row) for row in self.weights],
        }


def read_classifier(path: str | Path) -> tuple[ClassifierFile, Path]:
    """What ``classifier.json`` says, and the ONNX file beside it.

    Parameters
    ----------
    path : the folder, or either of the two files.

    Raises
    ------
    EncoderError
        when either file is missing or damaged, or they do not belong together.
    """
    place = Path(path).expanduser()
    where = place if place.suffix == ".json" else (place.parent if place.suffix == ".onnx" else place) / MANIFEST
    try:
        raw = json.loads(where.read_text(encoding="utf-8"))
    except OSError as error:
        why = error.strerror or "no such file"
        raise EncoderError(f"the classifier cannot be read ({why})", path=where, remedy=REMEDY) from None
    except ValueError:
        raise EncoderError("the description of the classifier is not JSON", path=where, remedy=REMEDY) from None
    made = _parsed(raw, where)
    weights = where.parent / made.file
    if not weights.is_file():
        raise EncoderError("the weight file of the classifier is missing", path=weights, remedy=REMEDY)
    found = file_digest(weights)
    if found != made.sha256.lower():
        raise EncoderError(
            f"the weights differ from their description (sha256 {found[:12]}, expected {made.sha256[:12]})",
            path=weights,
            remedy=REMEDY,
        )
    return made, weights


@final
class ClassifierSession:
    """A classifier's network, ready to run on the CPU, one image at a time on one core.

    :meth:`run` may be called from several threads at once. Raises :class:`EncoderError` as :func:`read_classifier`,
    and when the file is no network of that description.
    """

    def __init__(self, path: str | Path) -> None:
        self.about, self._weights = read_classifier(path)
        self._session = open_session(self._weights, 1)
        names = [one.name for one in self._session.get_inputs()]
        answers = {one.name for one in self._session.get_outputs()}
        if names != [INPUT] or not answers >= set(OUTPUTS):
            raise EncoderError(
                f"the network is no classifier of ours: it takes {', '.join(names)} and answers with "
                f"{', '.join(sorted(answers))}",
                path=self._weights,
                remedy=REMEDY,
            )

    def run(self, image: Image, outputs: tuple[str, ...], *, enlarge: bool = False) -> tuple[np.ndarray, ...]:
        """These outputs for one image, without the axis of images.

        Parameters
        ----------
        enlarge : take images of any size.

        Raises
        ------
        TooSmall
            when a side of the image is below half of ``input_px``, unless ``enlarge``.
        EncoderError
            when the image is no 8-bit RGB, or the network answers with another shape or values that are not finite.
        """
        batch = planes(sized(image, self.about.input_px, enlarge=enlarge))[None]
        try:
            found = self._session.run(list(outputs), {INPUT: batch})
        except Exception as error:  # onnxruntime's own exception types share no public base
            raise EncoderError(
                f"the network cannot run on an input of shape {batch.shape} ({first_line(error)})",
                path=self._weights,
                remedy=REMEDY,
            ) from None
        return tuple(self._checked(name, answer) for name, answer in zip(outputs, found, strict=True))

    def _checked(self, name: str, answer: np.ndarray) -> np.ndarray:
        about = self.about
        wanted = {"logits": (len(about.classes),), "maps": (about.dim, *about.grid), "pooled": (about.dim,)}[name]
        if answer.shape != (1, *wanted):
            raise EncoderError(
                f"the network answers {name} of shape {answer.shape}, its description says {(1, *wanted)}",
                path=self._weights,
                remedy=REMEDY,
            )
        if not np.isfinite(answer).all():
            raise EncoderError(f"the network answers {name} that are not finite", path=self._weights, remedy=REMEDY)
        return np.asarray(answer[0], np.float32)


def sized(image: Image, side: int, *, enlarge: bool = False) -> np.ndarray:
    """``image`` at ``side`` x ``side`` pixels: itself where it has that size, else by an antialiased linear filter.

    Raises
    ------
    EncoderError
        when the image is not ``uint8`` "h w 3", or empty.
    TooSmall
        when a side is below half of ``side``, unless ``enlarge``.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise EncoderError(
            f"an image of shape {image.shape} and type {image.dtype} cannot be classified",
            remedy="Give RGB images: uint8, height x width x 3",
        )
    height, width = image.shape[:2]
    if 2 * min(height, width) < side and not enlarge:
        raise TooSmall(
            f"an image of {width} x {height} pixels, the classifier takes {side} x {side}: "
            "it would be enlarged more than twice",
            remedy=f"Give images of at least {-(-side // 2)} pixels on each side, at the scale it learned",
        )
    if (height, width) == (side, side):
        return image
    return np.asarray(Pillow.fromarray(image).resize((side, side), Pillow.Resampling.BILINEAR))


def planes(image: np.ndarray) -> Float32[np.ndarray, "3 h w"]:
    """8-bit RGB "h w 3" as float32 "3 h w" in 0 to 1."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / np.float32(255)


def _parsed(raw: Any, where: Path) -> ClassifierFile:
    def wrong(reason: str) -> EncoderError:
        return EncoderError(reason, path=where, remedy=REMEDY)

    needed = ("format", "name", "file", "sha256", "classes", "input_px", "grid", "temperature", "bias", "weights")
    if not isinstance(raw, dict):
        raise wrong("the description of the classifier is not a JSON object")
    if missing := [key for key in needed if key not in raw]:
        raise wrong(f"the description of the classifier lacks {', '.join(missing)}")
    if raw["format"] != FORMAT:
        raise wrong(f"the classifier is of format {raw['format']}, this program reads {FORMAT}")
    try:
        weights, bias = np.array(raw["weights"], np.float32), np.array(raw["bias"], np.float32)
    except (TypeError, ValueError):
        raise wrong("weights or bias of the classifier are not tables of numbers") from None
    if problem := _problem(raw, weights, bias):
        raise wrong(problem)
    optional = {key: raw[key] for key in ("licence", "training_data", "scaling") if raw.get(key)}
    return ClassifierFile(
        name=raw["name"],
        file=raw["file"],
        sha256=raw["sha256"],
        classes=tuple(raw["classes"]),
        input_px=raw["input_px"],
        grid=(raw["grid"][0], raw["grid"][1]),
        weights=weights,
        bias=bias,
        mpp=None if raw.get("mpp") is None else float(raw["mpp"]),
        temperature=float(raw["temperature"]),
        normalizer=raw.get("normalizer"),
        **optional,
    )


def _problem(raw: dict[str, Any], weights: np.ndarray, bias: np.ndarray) -> str | None:
    """The first thing wrong with the values, as one clause, or None."""
    classes, grid, mpp = raw["classes"], raw["grid"], raw.get("mpp")
    texts = all(isinstance(raw[key], str) and raw[key] for key in ("name", "file", "sha256"))
    rules = (
        (texts and Path(raw["file"]).name == raw["file"], "name, file or sha256 is no text, or file no plain name"),
        (
            isinstance(classes, list) and len(classes) > 1 and all(isinstance(c, str) and c for c in classes),
            "classes is no list of at least two names",
        ),
        (isinstance(classes, list) and len({str(c) for c in classes}) == len(classes), "a class is named twice"),
        (_whole(raw["input_px"]), "input_px is not a whole number above 0"),
        (isinstance(grid, list) and len(grid) == 2 and all(map(_whole, grid)), "grid is not two whole numbers above 0"),
        (_positive(raw["temperature"]), "temperature is not a number above 0"),
        (mpp is None or _positive(mpp), "mpp is neither null nor a number above 0"),
        (raw.get("normalizer") is None or isinstance(raw["normalizer"], dict), "normalizer is neither null nor a map"),
        (
            weights.ndim == 2 and bias.shape == (len(classes),) and len(weights) == len(classes),
            f"the class list does not match: {len(classes)} classes, weights of shape {weights.shape}, "
            f"bias of shape {bias.shape}",
        ),
        (bool(np.isfinite(weights).all() and np.isfinite(bias).all()), "weights or bias are not finite"),
    )
    return next((reason for good, reason in rules if not good), None)


def _whole(value: Any) -> bool:
    return type(value) is int and value > 0


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _short(values: np.ndarray) -> list[float]:
    """The shortest decimal numbers that read back as the same float32."""
    return [float(str(value)) for value in np.asarray(values, np.float32)]
