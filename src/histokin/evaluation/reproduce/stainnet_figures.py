"""Figures of the StainNet paper, made from the images at hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from histokin.evaluation.figures import curves, gallery, profiles
from histokin.evaluation.page.model import Figure, Table
from histokin.evaluation.reproduce.methods import Method, classical
from histokin.evaluation.reproduce.networks import KERNELS, Network, Networks
from histokin.evaluation.reproduce.orders import shown
from histokin.evaluation.reproduce.pairs import Pair, PairSet
from histokin.evaluation.reproduce.records import load
from histokin.evaluation.reproduce.run import Run
from histokin.evaluation.reproduce.stainnet_tables import another
from histokin.metrics.image_quality import ssim_source
from histokin.types import RGB

SHOWN = 256
"""Pixels of a side of the pictures in a gallery."""


def segment(image: RGB) -> tuple[tuple[int, int], tuple[int, int]]:
    """A horizontal line where the image is busiest: start and end as (x, y), a third of the width long."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    height, width = grey.shape
    middle = grey[height // 8 : height - height // 8]
    y = int(np.argmax(np.abs(np.diff(middle, axis=1)).sum(axis=1))) + height // 8
    length = max(width // 3, 2)
    busy = np.convolve(np.abs(np.diff(grey[y])), np.ones(length - 1), "valid")
    x = int(np.argmax(busy))
    return (x, y), (min(x + length, width) - 1, y)


def normalized_figure(number: str, pair: Pair, method: Method, about: str) -> Figure | None:
    """Figure 2: source, target and one method's image of one field, with gray profiles."""
    return _profiles_of(f"Figure {number}", pair, (method,), about)


def comparison_figure(number: str, pair: Pair, methods: Sequence[Method], about: str) -> Figure | None:
    """Figures 3 and 4: source, target and the images of several methods of one field, with gray profiles."""
    return _profiles_of(f"Figure {number}", pair, methods, about)


def _profiles_of(title: str, pair: Pair, methods: Sequence[Method], about: str) -> Figure | None:
    source, target = load(pair.source), load(pair.target)
    images: dict[str, RGB] = {"source": source, "target": target}
    for method in methods:
        mapping = method.fitted(source, target)
        if mapping is not None:
            images[method.title] = mapping(source)
    if len(images) == 2:
        return None
    start, end = segment(source)
    caption = f"{about} Gray values along the line from {start} to {end} below."
    return Figure(title, profiles(images, start, end), caption)


def kernels_figure(pair: Pair, kernels: Mapping[str, Network], about: str) -> Figure | None:
    """Figure 4: the four mixes of 1x1 and 3x3 layers."""
    methods = [
        kernels[name].method(f"{name.count('1')} x 1x1, {name.count('3')} x 3x3", published=False)
        for name in KERNELS
        if name in kernels
    ]
    return comparison_figure("4: 1x1 and 3x3 convolutions", pair, methods, about)


def samples_figure(pairs: PairSet, networks: Networks) -> Figure | None:
    """Figure 5b: images of the test set as they are and as either network makes them."""
    methods = [n.method() for n in (networks.gan, networks.net) if n]
    chosen = _by_label(pairs.test, 3)
    sources = [load(pair.source, SHOWN) for pair in chosen]
    if not methods or not sources:
        return None
    rows = [sources, *([_mapped(method, source) for source in sources] for method in methods)]
    names = ["original", *(method.title for method in methods)]
    columns = [pair.label or f"image {i + 1}" for i, pair in enumerate(chosen)]
    return Figure("Figure 5b: original and normalized samples", gallery(rows, names, columns), pairs.about)


def reference_figure(pairs: PairSet) -> Figure | None:
    """Figure 6: what another reference does to the classical methods."""
    if len(pairs.test) < 2:
        return None
    i, j = 0, another(pairs, 0)
    source = load(pairs.test[i].source, SHOWN)
    references = [load(pairs.test[k].target, SHOWN) for k in (i, j)]
    rows, names = [], []
    for method in classical():
        maps = [method.fitted(source, reference) for reference in references]
        if all(maps):
            (same, other) = (m(source) for m in maps if m)
            rows.append([source, references[0], same, references[1], other])
            names.append(method.title)
    if not rows:
        return None
    columns = ["source", "matching target", "with it", "another target", "with it"]
    caption = f"{pairs.about}. Another target: the next target image of the same class."
    return Figure("Figure 6: effect of the reference image", gallery(rows, names, columns), caption)


def transfer(run: Run, networks: Networks, others: Mapping[str, Sequence[Path]]) -> tuple[Table, Figure] | None:
    """Figure 7: the trained networks on images they were not made for, and how much of the source they keep."""
    methods = [n.method() for n in (networks.gan, networks.net) if n]
    if not methods or not others:
        return None
    images = {name: [load(path, SHOWN) for path in paths] for name, paths in others.items()}
    rows = []
    for name, sources in images.items():
        kept = [[ssim_source(_mapped(method, source), source) for source in sources] for method in methods]
        rows.append(
            (name, len(sources), *(cell for k in kept for cell in (shown(float(np.mean(k)), 3), shown(min(k), 3))))
        )
    columns = ("images of", "images", *(f"{m.title} {w}" for m in methods for w in ("mean", "least")))
    note = (
        "SSIM source: 1 keeps all structure of the source. No target exists for these images, so color is not scored."
    )
    table = Table("Trained networks on other data: SSIM source", columns, tuple(rows), note, run.command)
    first = [sources[0] for sources in images.values()][:6]
    pictures = [first, *([_mapped(method, image) for image in first] for method in methods)]
    names = ["original", *(method.title for method in methods)]
    figure = Figure(
        "Figure 7: trained networks on other data",
        gallery(pictures, names, list(images)[:6]),
        "One image of each set; the networks were trained on none of them.",
    )
    return table, figure


def curves_figure(networks: Networks) -> Figure | None:
    """How the losses went down."""
    runs = {"StainGAN": networks.gan, **{f"StainNet {name}": n for name, n in networks.kernels.items()}}
    series = {name: network.curve for name, network in runs.items() if network and network.curve}
    if not series:
        return None
    return Figure("Training", curves(series, "step", "loss"), "Loss by step; StainGAN's is that of its generators.")


def _mapped(method: Method, image: RGB) -> RGB:
    mapping = method.fitted(image, image)
    return image if mapping is None else mapping(image)


def _by_label(pairs: Sequence[Pair], each: int) -> list[Pair]:
    labels = dict.fromkeys(pair.label for pair in pairs)
    return [pair for label in labels for pair in [p for p in pairs if p.label == label][:each]]
