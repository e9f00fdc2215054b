"""Two networks into one space, after their training: run, scaled to bytes, drawn and written. PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float32

from histokin.modality.folder import FILE, NetworkFile, TrainedFolder
from histokin.modality.pixels import to_bytes
from histokin.modality.preparing import Input
from histokin.modality.tiling import run_on
from histokin.training.files import write_whole
from histokin.training.image_onnx import write_image_network
from histokin.training.pair_views import PairViews
from histokin.training.pictures import write_panel

SIDES = "one", "other"
"""Names of the networks: of the first and of the second modality."""

CALIBRATED = 64
"""Training pairs that decide the 8-bit scale, at most."""

PERCENTILES = (1.0, 99.0)

Values = Float32[np.ndarray, "_ _ _"]
Modules = Mapping[str, torch.nn.Module]


@final
@dataclass(frozen=True)
class CommonSpace:
    """What the two networks take and give.

    Parameters
    ----------
    kind : name of the representation.
    modalities, inputs : of both sides, and how their images are prepared.
    multiple : sides of images are extended to multiples of this.
    latent : channels of an answer.
    margin : mirrored pixels round an image.
    """

    kind: str
    modalities: tuple[str, str]
    inputs: tuple[Input, Input]
    multiple: int
    latent: int
    margin: int = 0

    def run(self, network: torch.nn.Module, values: Values) -> Values:
        """A network's answer to a prepared image of any size."""
        before, device = network.training, next(network.parameters()).device
        network.eval()

        def answer(batch: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                made: np.ndarray = network(torch.from_numpy(batch).to(device)).float().cpu().numpy()
            return made

        try:
            return run_on(values, self.multiple, answer, self.margin)
        finally:
            network.train(before)

    def pair(self, modules: Modules, one: Values, other: Values) -> tuple[Values, Values]:
        """Both answers to a prepared pair."""
        return self.run(modules[SIDES[0]], one), self.run(modules[SIDES[1]], other)

    def maps(self, modules: Modules, views: PairViews, most: int) -> list[tuple[Values, Values]]:
        """Answers to at most so many pairs, evenly spread."""
        return [self.pair(modules, *views.prepared(place)) for place in spread(views, most)]

    def write(self, modules: Modules, learned: PairViews, out: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Both networks as ONNX, and the file that makes the folder a representation; what a report says of it.

        The 8-bit scale is that of the pairs that were learned from.
        """
        scale = joint_scale([side for pair in self.maps(modules, learned, CALIBRATED) for side in pair])
        files, differences = {}, {}
        for side, modality, given in zip(SIDES, self.modalities, self.inputs, strict=True):
            name = f"{side}.onnx"
            sha256, differences[modality] = write_image_network(
                modules[side], out / name, given.channels, self.multiple
            )
            files[modality] = NetworkFile(name, sha256)
        folder = TrainedFolder(
            self.kind,
            self.modalities,
            dict(zip(self.modalities, self.inputs, strict=True)),
            files,
            self.multiple,
            scale,
            dict.fromkeys(self.modalities, self.latent),
            facts,
            self.margin,
        )
        write_whole(out / FILE, lambda stream: stream.write(folder.to_json().encode()))
        return {"file": FILE, "digest": folder.digest(), "scale": list(scale), "onnx_max_difference": differences}

    def panel(self, trained: Modules, untrained: Modules, shown: PairViews, path: Path) -> None:
        """A picture of some pairs and both answers to them, trained and not."""
        columns: dict[str, list[np.ndarray]] = {}
        for place in range(min(3, len(shown))):
            pair = shown.prepared(place)
            for modality, values in zip(self.modalities, pair, strict=True):
                drawn = to_bytes(values, float(values.min()), float(values.max()) + 1e-6)
                columns.setdefault(modality, []).append(_rgb(drawn))
            for title, networks in (("trained", trained), ("untrained", untrained)):
                made = self.pair(networks, *pair)
                scale = joint_scale(made)
                for modality, values in zip(self.modalities, made, strict=True):
                    columns.setdefault(f"{modality}, {title}", []).append(_rgb(to_bytes(values, *scale)))
        write_panel(columns, path)


def spread(views: PairViews, most: int) -> list[int]:
    """Places of at most so many pairs, evenly spread."""
    return [int(place) for place in np.linspace(0, len(views) - 1, min(most, len(views))).round()]


def joint_scale(maps: Sequence[Values]) -> tuple[float, float]:
    """The 1st and the 99th percentile of all values of both modalities together; never equal."""
    pool = np.concatenate([values.ravel()[:: max(1, values.size // 100_000)] for values in maps])
    low, high = (float(value) for value in np.percentile(pool, PERCENTILES))
    return (low, high) if high - low > 1e-6 else (low - 0.5, low + 0.5)


def _rgb(image: np.ndarray) -> np.ndarray:
    return image if image.shape[2] == 3 else np.repeat(image[..., :1], 3, axis=2)
