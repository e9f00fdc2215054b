"""Whether an activation map says what a classifier looks at: its highest fifth is masked, and a random fifth instead.

The random fifth is made of whole cells of the map's own grid, so that both masks are made of pieces of one size.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from histokin.classifiers.base import Classifier
from histokin.classifiers.cam import top_share, upsampled
from histokin.classifiers.onnx import OnnxClassifier
from histokin.evaluation.page.model import Table
from histokin.evaluation.reproduce.colorectal_answers import Answers, prepared, read_arrays, write_arrays
from histokin.evaluation.reproduce.colorectal_networks import Model
from histokin.evaluation.reproduce.colorectal_scores import share_interval, text
from histokin.evaluation.reproduce.run import Run

SHARE = 0.2
ROUNDS = 4
"""Random masks of each tile; their mean drop counts."""

WAYS = ("blur", "mean color")
BLUR = 1 / 16
"""Standard deviation of the blur, as a share of the tile's side."""

WANTED = 0.8
MOST = 200
"""Tiles at most, spread evenly."""

Picture = UInt8[np.ndarray, "_ _ 3"]


@final
class Drops(NamedTuple):
    """By how much the logit of a tile's class falls; ``least`` is of the lowest fifth of the map."""

    top: Float64[np.ndarray, "n"]
    random: Float64[np.ndarray, "n"]
    least: Float64[np.ndarray, "n"]


def hidden(image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], way: str) -> UInt8[np.ndarray, "h w 3"]:
    """The image, blurred or painted with its mean color where ``mask`` is true."""
    import cv2

    if way == "blur":
        soft = cv2.GaussianBlur(image, (0, 0), BLUR * image.shape[0], borderType=cv2.BORDER_REFLECT)
    else:
        soft = np.broadcast_to(image.mean(axis=(0, 1)).round().astype(np.uint8), image.shape)
    made: UInt8[np.ndarray, "h w 3"] = np.where(mask[..., None], soft, image)
    return made


def random_cells(grid: tuple[int, int], side: int, draws: np.random.Generator) -> Float32[np.ndarray, "side side"]:
    """A map of noise, one value for each cell: its highest fifth is a random one."""
    import cv2

    noise = draws.random(grid, np.float32)
    return np.asarray(cv2.resize(noise, (side, side), interpolation=cv2.INTER_NEAREST), np.float32)


def drops_of(
    made: Classifier,
    images: list[Picture],
    labels: Sequence[str],
    maps: Float32[np.ndarray, "n gh gw"],
    way: str = WAYS[0],
) -> Drops:
    """The fall of the logit of each tile's class, by name, under the three masks; ``maps`` are of these classes."""
    draws = np.random.default_rng(0)
    classes = np.array([made.spec.class_number(label) for label in labels], np.int64)
    before = made.logits(images)[np.arange(len(images)), classes].astype(np.float64)

    def fall(masks: list[Bool[np.ndarray, "_ _"]]) -> Float64[np.ndarray, "n"]:
        changed = [hidden(image, mask, way) for image, mask in zip(images, masks, strict=True)]
        after = made.logits(changed)[np.arange(len(images)), classes].astype(np.float64)
        fallen: Float64[np.ndarray, "n"] = before - after
        return fallen

    grown = [upsampled(own, *image.shape[:2]) for own, image in zip(maps, images, strict=True)]
    at_random = [
        fall([top_share(random_cells(maps.shape[1:], image.shape[0], draws), SHARE) for image in images])
        for _ in range(ROUNDS)
    ]
    return Drops(
        fall([top_share(own, SHARE) for own in grown]),
        np.mean(at_random, axis=0),
        fall([top_share(-own, SHARE) for own in grown]),
    )


def masked(run: Run, model: Model, answers: Answers, way: str, *, untrained: bool = False) -> tuple[Drops, list[int]]:
    """Drops of the tiles that are classified rightly (of an untrained copy: of any), and which those are."""
    assert answers.maps is not None
    able = list(range(len(answers.right))) if untrained else np.flatnonzero(answers.right).tolist()
    places = [able[int(i)] for i in np.linspace(0, len(able) - 1, min(MOST, len(able))).round()] if able else []
    sha = str(model.report["weights"]["sha256"])
    told = f"{sha} {untrained} {answers.tiles.digest} {places} {SHARE} {ROUNDS} {way} {BLUR}"
    key = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
    path = run.out / "answers" / f"masked-{model.job.name.replace('/', '-')}-{key}.npz"
    kept = read_arrays(path)
    if kept is None:
        made = OnnxClassifier(model.untrained if untrained else model.folder)
        tiles = prepared(answers.tiles, made.spec.input_px, model.job.method)
        chosen = answers.predicted[places]
        labels = [answers.tiles.classes[number] for number in chosen]
        found = drops_of(made, [tiles.image(i) for i in places], labels, answers.maps[places, chosen], way)
        kept = write_arrays(path, found._asdict())
    return Drops(**kept), places


def masking_table(run: Run, asked: list[tuple[Model, Answers, Answers]]) -> Table:
    """A row per network and one for its untrained copy."""
    rows: list[tuple[object, ...]] = []
    for model, answers, raw in asked:
        for way in WAYS:
            rows.append(_row(run, model, answers, way, untrained=False))
            rows.append(_row(run, model, raw, way, untrained=True))
    columns = (
        *("classifier", "tiles of", "masked with", "tiles", "top fifth lowers it more", "mean drop, top fifth"),
        *("random fifth", "lowest fifth", f"{WANTED:.0%} reached"),
    )
    note = (
        "The highest fifth of the predicted class's activation map is blurred (Gaussian, standard deviation a "
        "sixteenth of the side) or painted with the tile's mean color, and instead of it a random fifth in whole cells "
        "of the map (mean of four). Share of "
        "the rightly classified test tiles whose logit falls more under the first, with its 95 % interval by group. Of "
        "the untrained copies any tile counts: that they pass as well says that the map tells what a network uses, "
        "and not that what it uses is right."
    )
    return Table("Do activation maps mean something?", columns, tuple(rows), note, run.command)


def _row(run: Run, model: Model, answers: Answers, way: str, *, untrained: bool) -> tuple[object, ...]:
    title = f"{model.title}, untrained" if untrained else model.title
    drops, places = masked(run, model, answers, way, untrained=untrained)
    if not places:
        return (title, answers.tiles.name, way, 0, *("-" * 5))
    hits = share_interval(drops.top > drops.random, answers.tiles.unit_names[places])
    means = (float(drops.top.mean()), float(drops.random.mean()), float(drops.least.mean()))
    reached = "-" if untrained else hits.value >= WANTED
    return (title, answers.tiles.name, way, len(places), text(hits), *means, reached)
