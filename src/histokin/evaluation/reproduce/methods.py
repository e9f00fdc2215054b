"""Ways to give a source the colors of a reference, all with one face, for the tables of this folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import UInt8

from histokin.errors import UsageError
from histokin.evaluation.synthetic.scanners import ScannerMap
from histokin.stain.registry import normalizer
from histokin.types import RGB, ImageMap

Map = Callable[[UInt8[np.ndarray, "_ _ 3"]], UInt8[np.ndarray, "_ _ 3"]]
Fit = Callable[[UInt8[np.ndarray, "_ _ 3"]], Map]

TITLES = {
    "none": "untouched source",
    "reinhard": "Reinhard",
    "macenko": "Macenko",
    "vahadane": "Vahadane",
    "khan": "Khan",
    "bksvd": "BKSVD",
    "ruifrok": "Ruifrok-Johnston",
    "histogram": "histogram matching",
    "stain-gan": "StainGAN",
    "stainnet": "StainNet",
}
"""Names as the papers write them."""


@final
@dataclass(frozen=True)
class Method:
    """A normalizer ready to be scored.

    ``towards(reference)`` gives the fit, the fit of a source gives its map, the map takes an image. ``note`` says
    how far a network was trained. ``published`` is the key of the paper's row, empty where it has none.
    """

    title: str
    towards: Callable[[UInt8[np.ndarray, "_ _ 3"]], Fit]
    published: str = ""
    note: str = ""

    def fitted(self, source: RGB, reference: UInt8[np.ndarray, "_ _ 3"]) -> Map | None:
        """The map of this source, or None where the reference has no stains that could be taken over."""
        try:
            return self.towards(reference)(source)
        except UsageError:
            return None


def untouched() -> Method:
    """The source as it is: what every method must beat."""
    return Method(TITLES["none"], lambda _: lambda _: lambda image: image)


def by_reference(name: str) -> Method:
    """A registered normalizer that takes its target from a reference image and is fitted on every source."""

    def towards(reference: UInt8[np.ndarray, "_ _ 3"]) -> Fit:
        appearance = normalizer(name, target=reference)
        return lambda source: appearance.fit([source])

    return Method(TITLES.get(name, name), towards, name)


def trained(name: str, weights: Path, *, title: str = "", note: str = "", published: bool = True) -> Method:
    """A network with its weights; references mean nothing to it."""
    mapping: ImageMap = normalizer(name, weights=weights).fit([])
    return Method(title or TITLES[name], lambda _: lambda _: mapping, name if published else "", note)


def known(color_map: ScannerMap) -> Method:
    """The true color map of a synthetic set: the ceiling of every method that maps color by color."""
    return Method("the known color map (ceiling)", lambda _: lambda _: color_map.apply)


def classical(names: Sequence[str] = ("reinhard", "macenko", "vahadane", "khan")) -> tuple[Method, ...]:
    """The paper's conventional methods."""
    return tuple(by_reference(name) for name in names)
