"""The part of an answer's page that says what a classifier thinks of the query and of the hits, and why."""

from dataclasses import dataclass
from typing import Any, final

import cv2
import numpy as np

from histokin.app.pages.pictures import Picture, as_picture
from histokin.classifiers.cam import overlay
from histokin.retrieval.answer import Answer
from histokin.retrieval.classifying.opinions import Opinion, Opinions, likeliest

LEAST_PX = 160


@final
@dataclass(frozen=True)
class Shown:
    """One picture with its activation map over it, and the likeliest classes."""

    title: str
    label: str | None
    picture: Picture | None
    map: Picture | None
    classes: tuple[tuple[str, float], ...]
    note: str
    differs: bool


def classes_context(answer: Answer, opinions: Opinions) -> dict[str, Any]:
    """What the template of the section needs."""
    hits = [
        _shown(f"hit {hit.rank}", hit.label, opinion, opinions.classes)
        for hit, opinion in zip(answer.hits, opinions.hits, strict=True)
    ]
    seen = next((one for one in opinions.query if one.picture is not None), None)
    query = _shown("query", answer.query.label, seen, opinions.classes) if seen else None
    shares = [] if opinions.shares is None else likeliest(opinions.shares, opinions.classes, len(opinions.classes))
    return {
        "says": opinions.says,
        "disagree": opinions.disagree,
        "shares": shares,
        "patches": sum(one.picture is not None for one in opinions.query),
        "cards": ([query] if query else []) + hits,
    }


def _shown(title: str, label: str | None, opinion: Opinion, classes: tuple[str, ...]) -> Shown:
    if opinion.picture is None or opinion.map is None or opinion.probabilities is None:
        return Shown(title, label, None, None, (), opinion.note, False)
    best = tuple(likeliest(opinion.probabilities, classes))
    image = opinion.picture
    if min(image.shape[:2]) < LEAST_PX:
        image = np.asarray(cv2.resize(image, (LEAST_PX, LEAST_PX), interpolation=cv2.INTER_LINEAR), np.uint8)
    over = np.asarray(overlay(image, opinion.map), np.uint8)
    differs = label in classes and label != best[0][0]
    return Shown(title, label, as_picture(image), as_picture(over), best, "", differs)
