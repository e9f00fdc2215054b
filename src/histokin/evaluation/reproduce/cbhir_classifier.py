"""The supervised comparator of the histopathology retrieval page: VGG19 on every color version."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from histokin.encoders.pixels import prepare
from histokin.errors import EncoderError, UsageError
from histokin.evaluation.reproduce.cbhir_networks import folder_name
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.reproduce.versions import Version
from histokin.metrics.classification import roc_auc
from histokin.nets.onnx_session import open_session
from histokin.training.report import require_torch
from histokin.training.vgg19 import CLASSIFIER, PROFILES, UNTRAINED, train_vgg19


@final
@dataclass(frozen=True)
class Classified:
    """How a classifier, trained on the archive's hospitals, ranks the queries of the other one."""

    auc: float
    untrained_auc: float
    steps: str


def classify_versions(run: Run, versions: Sequence[Version], minutes: float) -> dict[str, Classified] | str:
    """One VGG19 per version, ``minutes`` in all; why there are none, where something needed is not installed."""
    if run.quick:
        return "No VGG19: its 20 million weights are too many for --quick."
    try:
        require_torch()
        return {version.name: _classify(run, version, minutes / len(versions)) for version in versions}
    except (UsageError, EncoderError) as error:
        return f"No VGG19: {error}"


def _classify(run: Run, version: Version, minutes: float) -> Classified:
    folder = run.out / "networks" / folder_name(version.hospitals.name) / f"vgg19-{version.name}"
    profile = PROFILES["reduced"]
    images = version.to_train()
    labels = {str(case.path): case.label for case in version.hospitals.archive}
    say = run.teller(f"{version.hospitals.name}, {version.title}: VGG19")
    done = train_vgg19(
        images,
        labels,
        folder,
        profile=profile,
        minutes=minutes,
        watch=say,
    )
    place = done.report["classes"].index(version.hospitals.positive)
    auc, raw = (_auc(version, folder / name, profile.side, place) for name in (CLASSIFIER, UNTRAINED))
    return Classified(auc, raw, f"{done.report['steps']['done']} ({done.report['weights_at_start']} weights)")


def _auc(version: Version, file: Path, side: int, place: int) -> float:
    session = open_session(file, 1)
    logits = []
    for images in version.images(version.hospitals.queries):
        stack = np.stack([prepare(image, side) for image in images]).transpose(0, 3, 1, 2)
        logits.append(session.run(["logits"], {"image": np.ascontiguousarray(stack, np.float32) / np.float32(255)})[0])
    scores = np.concatenate(logits).astype(np.float64)
    # Of two classes the difference of logits ranks as the probability does.
    margin = scores[:, place] - np.delete(scores, place, axis=1).max(axis=1)
    truth = version.hospitals.labels[1]
    return roc_auc(truth == version.hospitals.positive, margin)
