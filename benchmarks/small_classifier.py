"""A trained classifier beside logistic regression on the color histogram, on the same test groups; and its maps masked.

    histokin train classifier crc5 --groups benchmarks/groups/crc5.csv --out crc5-small
    python benchmarks/small_classifier.py crc5 crc5-small --groups benchmarks/groups/crc5.csv

The regression's strength is chosen on the validation images, like the classifier's epoch. Masking: a fifth of the image
is painted with the tile's mean color, where the class activation map is highest, or in as many random cells of it; the
logit of the true class should fall further in the first case. Needs the extras torch and khan (scikit-learn).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from histokin.classifiers.base import Classifier
from histokin.classifiers.cam import top_share, upsampled
from histokin.classifiers.registry import classifier
from histokin.encoders.color_histogram import ColorHistogram
from histokin.metrics.class_scores import class_scores
from histokin.stain.registry import appearance_from_dict
from histokin.training.class_labels import read_classes
from histokin.training.class_split import split_classes
from histokin.training.images import ImageSet

STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
SHARE = 0.2


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--groups", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="that of the training")
    parser.add_argument("--masked", type=int, default=150, help="correctly classified tiles to mask")
    given = parser.parse_args()
    images, labels = read_classes(given.data, groups=given.groups)
    parts = split_classes(images, labels, given.seed)
    model = classifier(given.model)
    model.spec.require_classes(sorted(set(labels.values())))
    truth = [np.array([model.spec.class_number(labels[name]) for name in part.names]) for part in parts]
    tiles = _tiles(parts[2], model)
    logits = model.logits(tiles)
    strength, regression = _regression(parts, truth, list(model.spec.classes))
    found = {
        "test": {"images": len(parts[2]), "groups": len(set(parts[2].groups))},
        "classifier": _brief(
            class_scores(logits.astype(np.float64), truth[2], model.spec.classes, model.spec.temperature)
        ),
        "logistic_regression_on_color_histogram": {"strength": strength, **_brief(regression)},
        "masking": _masking(model, tiles, truth[2], logits, given.masked),
    }
    print(json.dumps(found, indent=2))


def _tiles(part: ImageSet, model: Classifier) -> list[np.ndarray]:
    """The images as the classifier wants them: normalized group by group where it learned so."""
    tiles = [part.load(i) for i in range(len(part))]
    if model.spec.normalizer is None:
        return tiles
    method, out = appearance_from_dict(model.spec.normalizer), list(tiles)
    for group in dict.fromkeys(part.groups):
        places = [i for i, name in enumerate(part.groups) if name == group]
        fitted = method.fit([tiles[i] for i in places[:16]])
        for i in places:
            out[i] = np.asarray(fitted(tiles[i]), np.uint8)
    return out


def _regression(
    parts: tuple[ImageSet, ImageSet, ImageSet], truth: list[np.ndarray], classes: list[str]
) -> tuple[float, dict[str, Any]]:
    from sklearn.linear_model import LogisticRegression

    rows = [ColorHistogram().encode([part.load(i) for i in range(len(part))]) for part in parts]
    fits = [(c, LogisticRegression(C=c, max_iter=3000).fit(rows[0], truth[0])) for c in STRENGTHS]
    scores = [(c, [class_scores(m.decision_function(rows[k]), truth[k], classes) for k in (1, 2)]) for c, m in fits]
    strength, (_, test) = max(scores, key=lambda one: float(one[1][0]["macro_f1"]))
    return strength, test


def _brief(scores: dict[str, Any]) -> dict[str, Any]:
    names = ("accuracy", "macro_f1", "mean_average_precision", "macro_auroc", "ece_before", "ece")
    return {name: round(float(scores[name]), 3) for name in names}


def _masking(
    model: Classifier, tiles: list[np.ndarray], truth: np.ndarray, logits: np.ndarray, most: int
) -> dict[str, Any]:
    draws = np.random.default_rng(0)
    right = draws.permutation(np.flatnonzero(logits.argmax(axis=1) == truth))[:most]
    lower = 0
    for i in right:
        tile, number = tiles[i], int(truth[i])
        cam = model.cam([tile], [number])[0]
        random = draws.random(cam.shape).astype(np.float32)
        hot = top_share(upsampled(cam, *tile.shape[:2]), SHARE)
        cold = top_share(np.kron(random, np.ones(-(-np.array(tile.shape[:2]) // cam.shape), np.float32)), SHARE)
        both = [_painted(tile, mask[: tile.shape[0], : tile.shape[1]]) for mask in (hot, cold)]
        fallen = logits[i, number] - model.logits(both)[:, number]
        lower += bool(fallen[0] > fallen[1])
    return {"tiles": len(right), "fell_further_than_by_random_cells": round(lower / max(1, len(right)), 3)}


def _painted(tile: np.ndarray, mask: np.ndarray) -> np.ndarray:
    painted = tile.copy()
    painted[mask] = tile.mean(axis=(0, 1)).astype(np.uint8)
    return painted


if __name__ == "__main__":
    main()
