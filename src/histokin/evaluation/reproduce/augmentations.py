"""Figure 5a of the StainNet paper: the two augmentations, each applied to a few images."""

from histokin.evaluation.figures import gallery
from histokin.evaluation.page.model import Figure
from histokin.evaluation.reproduce.pairs import PairSet
from histokin.evaluation.reproduce.records import load
from histokin.stain.augment.hed import BRH
from histokin.stain.augment.light import BR

SAMPLES = 6


def augmentations_figure(pairs: PairSet) -> Figure:
    """Originals, and what BR and BRH make of them when they are applied (in training: to one image in four)."""
    originals = [load(pair.source, 256) for pair in pairs.test[:SAMPLES]]
    ways = {"BR": BR(p=1, seed=1), "BRH": BRH(p=1, seed=1)}
    rows = [originals, *([way(image) for image in originals] for way in ways.values())]
    caption = (
        "BR: brightness and contrast times U(0.75, 1.25), rotation by U(-180, 180) degrees. BRH: the same, and "
        f"hematoxylin, eosin and DAB times U(0.75, 1.25). In training with probability 0.25. {pairs.about}."
    )
    columns = [pair.label or f"image {i + 1}" for i, pair in enumerate(pairs.test[:SAMPLES])]
    return Figure("Figure 5a: augmentations", gallery(rows, ["original", *ways], columns), caption)
