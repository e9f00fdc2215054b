"""What classifiers say of tiles: logits and class activation maps, kept on disk; and the baselines beside them."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from histokin.classifiers.onnx import OnnxClassifier
from histokin.encoders.color_histogram import ColorHistogram
from histokin.evaluation.reproduce.colorectal_data import Tiles
from histokin.evaluation.reproduce.colorectal_networks import Model
from histokin.evaluation.reproduce.run import Run
from histokin.extras import needed
from histokin.metrics.calibration import fit_temperature
from histokin.metrics.classification import macro_f1
from histokin.stain.registry import normalizer
from histokin.training.classifier_images import ClassifierImages

BATCH = 32
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Of the logistic regression (scikit-learn's C): the one with the best macro-F1 on the validation tiles."""


@final
@dataclass(frozen=True, eq=False)
class Answers:
    """Logits in the order of ``tiles.classes``. ``maps`` is None where the method has none.

    ``temperature`` is what they are divided by before the softmax.
    """

    tiles: Tiles
    logits: Float64[np.ndarray, "n c"]
    temperature: float
    maps: Float32[np.ndarray, "n c gh gw"] | None = None

    @property
    def truth(self) -> Int64[np.ndarray, "n"]:
        """Class numbers."""
        return self.tiles.truth

    @property
    def predicted(self) -> Int64[np.ndarray, "n"]:
        """The classes with the highest logits."""
        return np.asarray(self.logits.argmax(axis=1), np.int64)

    @property
    def right(self) -> Bool[np.ndarray, "n"]:
        """True where the prediction is the truth."""
        return np.asarray(self.predicted == self.truth, np.bool_)


def prepared(tiles: Tiles, side: int, method: str) -> ClassifierImages:
    """The tiles as a classifier of this input sees them: normalized by group, resized."""
    return ClassifierImages(tiles.images, side, None if method == "none" else normalizer(method))


def answers_of(run: Run, model: Model, tiles: Tiles, *, untrained: bool = False, method: str | None = None) -> Answers:
    """A trained classifier, or its untrained copy, asked about tiles, after the normalizer of its training.

    Kept in ``out/answers``: a run that was stopped does not ask again.
    """
    how = model.job.method if method is None else method
    sha = str(model.report["weights"]["sha256"])
    key = hashlib.blake2b(f"{sha} {untrained} {tiles.digest} {how}".encode(), digest_size=8).hexdigest()
    path = run.out / "answers" / f"{model.job.name.replace('/', '-')}-{tiles.slug}-{key}.npz"
    kept = read_arrays(path)
    made = OnnxClassifier(model.untrained if untrained else model.folder)
    if kept is None:
        order = [made.spec.classes.index(name) for name in tiles.classes]
        images = prepared(tiles, made.spec.input_px, how)
        rows = [made.class_maps([images.image(i) for i in part]) for part in _batches(len(tiles))]
        logits = np.concatenate([row[0] for row in rows])[:, order].astype(np.float64)
        maps = np.concatenate([row[1] for row in rows])[:, order]
        kept = write_arrays(path, {"logits": logits, "maps": maps})
    return Answers(tiles, kept["logits"], made.spec.temperature, kept["maps"])


def histogram_answers(run: Run, train: Tiles, tests: Sequence[Tiles], method: str) -> list[Answers]:
    """Logistic regression on the color histogram: learned from the training tiles, its strength from the validation.

    It sees whole tiles, normalized as for the network; bins are standardized, which makes it the stronger rival.

    Raises
    ------
    UsageError
        without scikit-learn.
    """
    told = " ".join(["standardized logits", train.digest, method, *(test.digest for test in tests)])
    key = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
    path = run.out / "answers" / f"histogram-{train.slug}-{method}-{key}.npz"
    kept = read_arrays(path)
    if kept is None:
        logits, temperature = _regress(train, tests, method)
        kept = write_arrays(path, {f"logits{i}": one for i, one in enumerate(logits)} | {"t": np.array([temperature])})
    return [Answers(test, kept[f"logits{i}"], float(kept["t"][0])) for i, test in enumerate(tests)]


def _regress(train: Tiles, tests: Sequence[Tiles], method: str) -> tuple[list[Float64[np.ndarray, "_ c"]], float]:
    needed("the color histogram baseline", "sklearn", extra="khan")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    learn, held = train.part("train"), train.part("validation")
    known, checked = histograms(learn, method), histograms(held, method)
    tried = []
    for strength in STRENGTHS:
        regression = LogisticRegression(C=strength, max_iter=5000)
        model = make_pipeline(StandardScaler(), regression).fit(known, learn.truth)
        tried.append((macro_f1(held.truth, _logits(model, checked).argmax(axis=1)), -strength, model))
    best = max(tried, key=lambda one: one[:2])[2]
    temperature = fit_temperature(_logits(best, checked), held.truth)
    return [_logits(best, histograms(test, method)) for test in tests], temperature


def histograms(tiles: Tiles, method: str) -> Float32[np.ndarray, "n 512"]:
    """A row per tile."""
    images = prepared(tiles, min(tiles.images.load(0).shape[:2]), method)
    return np.concatenate([ColorHistogram().encode([images.image(i) for i in part]) for part in _batches(len(tiles))])


def _logits(model: object, rows: Float32[np.ndarray, "n 512"]) -> Float64[np.ndarray, "n c"]:
    """Of two classes scikit-learn gives one logit: the second's, where the first has 0."""
    found = np.asarray(model.decision_function(rows), np.float64)  # type: ignore[attr-defined]
    return found if found.ndim == 2 else np.stack([np.zeros(len(found)), found], axis=1)


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Arrays that were kept; None where there are none, or what is there is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        return None


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Keep arrays, whole or not at all; gives them back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(path)
    return arrays


def _batches(count: int) -> list[range]:
    return [range(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
