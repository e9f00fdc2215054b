"""Vectors of one set by several encoders, each picture mapped once for all of them, and what that cost."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from histokin.encoders.base import Encoder
from histokin.encoders.registry import chosen
from histokin.evaluation.labelled import Fit
from histokin.evaluation.pictures import Pictures
from histokin.retrieval.preparing import FIT_SAMPLE, fast_form, spread
from histokin.retrieval.report import Progress
from histokin.stain.base import Appearance
from histokin.types import Vectors

BASELINE = "color-histogram"


@final
@dataclass(frozen=True)
class Choice:
    """An encoder as a table names it: a registered name and the options of its constructor."""

    label: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def choices(texts: Sequence[str]) -> list[Choice]:
    """What ``NAME``, ``NAME=FILE`` and folders stand for, and the color histogram at the end if none is it.

    Raises
    ------
    UsageError
        when an encoder takes no file.
    """
    found = [(text, *chosen(text)) for text in dict.fromkeys(texts)]
    labels = [_label(text, name) for text, name, _ in found]
    twice = {label for label in labels if labels.count(label) > 1}
    made = [
        Choice(text if label in twice else label, name, options)
        for label, (text, name, options) in zip(labels, found, strict=True)
    ]
    return made if any(each.name == BASELINE for each in made) else [*made, Choice(BASELINE, BASELINE)]


def _label(text: str, name: str) -> str:
    """A file or folder is called by its last part."""
    if name == text:
        return text
    _, given, file = text.partition("=")
    return f"{name}={Path(file).name}" if given and name != "onnx" else Path(text).name


@final
@dataclass(frozen=True, eq=False)
class Encoded:
    """The vectors of one set by one encoder, and the CPU seconds per image for mapping and encoding it."""

    vectors: Vectors
    seconds: float


def encode_pictures(
    pictures: Pictures,
    style: str,
    appearance: Appearance,
    encoders: Sequence[Encoder],
    fit: Fit = "set",
    *,
    progress: Progress,
) -> list[Encoded]:
    """One set of vectors per encoder, of pictures that one normalizer mapped.

    ``style`` chooses trained weights by laboratory; the stain is fitted once on an even sample of the set, or on
    every picture by itself.
    """
    began = time.process_time()
    styled = appearance.for_style(style)
    sample = spread(range(len(pictures)), FIT_SAMPLE) if styled.looks_at_source and fit == "set" else []
    shared = styled.fit([pictures[place] for place in sample]) if fit == "set" or not styled.looks_at_source else None
    fast = None if shared is None else fast_form(shared, len(pictures) * pictures.grid.patch_px**2)
    mapping = time.process_time() - began
    rows: list[list[Vectors]] = [[] for _ in encoders]
    spent = [0.0] * len(encoders)
    for batch in pictures.batches():
        began = time.process_time()
        mapped = [(styled.fit([picture]) if fast is None else fast)(picture) for picture in batch]
        mapping += time.process_time() - began
        for place, encoder in enumerate(encoders):
            began = time.process_time()
            rows[place].append(encoder.encode(mapped))
            spent[place] += time.process_time() - began
        progress.advance(len(batch))
    count = max(len(pictures), 1)
    return [Encoded(np.concatenate(each), (mapping + one) / count) for each, one in zip(rows, spent, strict=True)]
