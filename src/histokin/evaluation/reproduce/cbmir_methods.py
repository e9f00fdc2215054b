"""The methods of Table II as encoders: the autoencoder and its untrained copy, the paper's rivals, and two of ours."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float64, Int64

from histokin.encoders.base import Encoder
from histokin.encoders.registry import DEFAULT_ENCODER, encoder
from histokin.errors import HistokinError
from histokin.evaluation.reproduce.cbmir_data import Modalities
from histokin.evaluation.reproduce.cbmir_features import read_features, write_features
from histokin.evaluation.reproduce.cbmir_networks import Networks
from histokin.evaluation.reproduce.cbmir_scores import (
    COUNTS,
    Ranked,
    Scores,
    counts_within,
    ranking,
    relevant_to,
    score,
)
from histokin.evaluation.reproduce.run import Run
from histokin.types import Vectors

PROPOSED, UNTRAINED, HISTOGRAM = "proposed", "untrained", "histogram"

BACKBONES = {"alexnet": "AlexNet", "vgg16": "VGG16", "resnet50": "ResNet50"}

TITLES = {
    PROPOSED: "autoencoder (proposed)",
    UNTRAINED: "autoencoder, untrained",
    "dcnn": "DCNN",
    "dcnn-untrained": "DCNN, untrained",
    **BACKBONES,
    HISTOGRAM: "color histogram",
    "shipped": f"shipped encoder ({DEFAULT_ENCODER})",
}

CHUNK = 32

REDUCED_PX = 112
"""Side of the backbones' input on a CPU: images of this page have 64 to 256 pixels, and it costs a third."""


@final
@dataclass(frozen=True, eq=False)
class Result:
    """One method on one set.

    ``weights`` says where they come from; ``rows`` are the ranked rows of the database with their ``distances``.

    ``images_per_second`` counts resizing and the network, on this computer; ``file_bytes`` is the size of the weights
    where they are one file.
    """

    key: str
    weights: str
    dim: int
    images_per_second: float
    rows: Int64[np.ndarray, "q n"]
    distances: Float64[np.ndarray, "q n"]
    scores: Scores
    file_bytes: int | None = None

    @property
    def title(self) -> str:
        """For tables."""
        return TITLES[self.key]

    @property
    def bytes_per_image(self) -> int:
        """Of the vector, in single precision."""
        return 4 * self.dim


@final
@dataclass(frozen=True)
class Compared:
    """All methods that could be had, and why the others could not."""

    results: dict[str, Result]
    absent: tuple[str, ...]


@final
@dataclass(frozen=True)
class _Choice:
    key: str
    weights: str
    make: Callable[[], Encoder]
    file: Path | None = None


def compare(run: Run, images: Modalities, networks: Networks) -> Compared:
    """Encode database and queries with every method, search, and measure."""
    results: dict[str, Result] = {}
    absent = [networks.absent] if networks.absent else []
    for choice in [*_trained(networks), *_fixed()]:
        run.say(f"{images.name}: {TITLES[choice.key]}")
        try:
            results[choice.key] = _result(run, images, choice.key, choice.make(), choice.weights, choice.file)
        except HistokinError as error:
            absent.append(f"{TITLES[choice.key]}: {error}")
    for key in BACKBONES:
        if run.quick:
            absent.append(f"{TITLES[key]}: left out of a quick run")
            continue
        run.say(f"{images.name}: {TITLES[key]}")
        try:
            made, weights = _backbone(key)
            results[key] = _result(run, images, key, made, weights)
        except HistokinError as error:
            absent.append(f"{TITLES[key]}: {error}")
    return Compared({key: results[key] for key in TITLES if key in results}, tuple(absent))


def _trained(networks: Networks) -> list[_Choice]:
    choices = []
    for key, raw, training in (
        (PROPOSED, UNTRAINED, networks.autoencoder),
        ("dcnn", "dcnn-untrained", networks.dcnn),
    ):
        if training is not None:
            folder = training.folder
            choices.append(_onnx(key, training.steps, folder))
            choices.append(_onnx(raw, "random, as before training", folder / "untrained"))
    return choices


def _onnx(key: str, weights: str, folder: Path) -> _Choice:
    return _Choice(key, weights, lambda: encoder("onnx", path=folder), folder / "encoder.onnx")


def _fixed() -> list[_Choice]:
    return [
        _Choice(HISTOGRAM, "none", lambda: encoder("color-histogram")),
        _Choice("shipped", "shipped with histokin", lambda: encoder(DEFAULT_ENCODER)),
    ]


@lru_cache(maxsize=len(BACKBONES))
def _backbone(name: str) -> tuple[Encoder, str]:
    """With the official weights where they can be had, with random ones otherwise.

    On a GPU where there is one; on a CPU with an input of half the side, which the description of the weights says.
    """
    from importlib.util import find_spec

    options: dict[str, Any] = {"input_px": REDUCED_PX}
    if find_spec("torch") is not None:
        import torch

        options = {"device": "cuda"} if torch.cuda.is_available() else options
    reduced = f", input reduced to {REDUCED_PX} px" if "input_px" in options else ""
    try:
        return encoder(name, weights="official", **options), f"ImageNet, official{reduced}"
    except HistokinError as error:
        why = error.reason
    return encoder(name, weights="random", **options), f"RANDOM weights ({why}){reduced}"


def _result(run: Run, images: Modalities, key: str, made: Encoder, weights: str, file: Path | None = None) -> Result:
    """Encode, search and measure; the autoencoder's database is the JSON file, as in the paper."""
    database, queries = images.places("train"), images.places("test")
    _encode(made, images, database[:2])  # the first call of a network is slower
    archived, seconds = _encode(made, images, database)
    asked, more = _encode(made, images, queries)
    if key == PROPOSED:
        names, own = [str(images.paths[i]) for i in database], [images.labels[i] for i in database]
        path = run.out / images.slug / "features.json"
        archived = read_features(write_features(path, names, own, archived, made.spec.space))[2]
    labels, truth = images.label_array("train"), images.label_array("test")
    most = max(counts_within(min(len(labels), max(COUNTS))))
    found = ranking(archived, asked, made.spec.metric, most)
    groups = np.array([images.groups[i] for i in queries], np.int64)
    ranked: Ranked = labels[found.rows]
    return Result(
        key,
        weights,
        made.spec.dim,
        (len(database) + len(queries)) / (seconds + more),
        found.rows,
        found.distances,
        score(ranked, truth, relevant_to(labels, truth), groups),
        file.stat().st_size if file else None,
    )


def _encode(made: Encoder, images: Modalities, places: Sequence[int]) -> tuple[Vectors, float]:
    """Vectors, and seconds without reading the files."""
    rows, seconds = [], 0.0
    for start in range(0, len(places), CHUNK):
        pictures = [images.image(i) for i in places[start : start + CHUNK]]
        began = time.perf_counter()
        rows.append(made.encode(pictures))
        seconds += time.perf_counter() - began
    return np.concatenate(rows), seconds
