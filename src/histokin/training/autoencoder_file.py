"""Autoencoders as files: encoder with manifest and whole network as ONNX, checked against PyTorch; or read back."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

from histokin.errors import EncoderError, UnreadableFile, UnsupportedFormat
from histokin.nets.manifest import MANIFEST, WeightManifest, file_digest
from histokin.training.autoencoder import AUTOENCODER, ENCODER
from histokin.training.checkpoint import FILE
from histokin.training.files import write_whole

OPSET = 17
TOLERANCE = 1e-3
"""Largest difference allowed between PyTorch and ONNX, as a share of the largest value."""


class _Part(torch.nn.Module):  # type: ignore[misc]
    """One of the two answers of an autoencoder."""

    def __init__(self, network: torch.nn.Module, answer: str) -> None:
        super().__init__()
        self.network, self.answer = network, answer

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = getattr(self.network(image), self.answer)
        return found


def write_autoencoder(
    kind: str, network: torch.nn.Module, out: Path, side: int, training_data: str, steps: str
) -> tuple[WeightManifest, float]:
    """Write ``encoder.onnx``, ``autoencoder.onnx`` and, last, ``encoder.json``.

    Returns the manifest and the largest relative difference of either file from PyTorch.

    Raises
    ------
    EncoderError
        when that difference is above 0.001.
    UsageError
        when a file cannot be written.
    """
    here = network.to("cpu").eval()
    images = _trial(side)
    worst = 0.0
    dim = 0
    for file, answer, name in ((AUTOENCODER, "image", "reconstruction"), (ENCODER, "features", "features")):
        part = _Part(here, answer).eval()
        _write(out / file, _exported(part, side, name))
        with torch.no_grad():
            wanted = part(torch.from_numpy(images)).numpy()
        worst = max(worst, _difference(out / file, images, wanted))
        dim = wanted.shape[1]
    if not worst <= TOLERANCE:
        raise EncoderError(f"ONNX and PyTorch differ by {worst:.2e}", path=out, remedy="Use the pinned versions")
    manifest = WeightManifest(
        name=kind,
        file=ENCODER,
        sha256=file_digest(out / ENCODER),
        input_px=side,
        dim=dim,
        licence="that of the images it was trained on",
        upstream=f"histokin train {kind}: {steps}",
        layer="the vector between encoder and decoder",
        training_data=training_data,
    )
    with tempfile.TemporaryDirectory() as scratch:
        _write(out / MANIFEST, manifest.save(Path(scratch)).read_bytes())
    return manifest, worst


def read_autoencoder(path: Path, network: torch.nn.Module) -> None:
    """Load the weights of a training's ``checkpoint.pt`` (or of its folder) into ``network``.

    Raises
    ------
    UnreadableFile
        when the file is missing or is no checkpoint.
    UnsupportedFormat
        when its tensors have other shapes than the network here.
    """
    where = path / FILE if path.is_dir() else path
    try:
        stored = torch.load(where, map_location="cpu", weights_only=True)["modules"]["network"]
    except Exception as error:  # torch raises a dozen kinds for files that are not its own
        raise UnreadableFile(
            f"the weights cannot be read ({type(error).__name__})",
            remedy="Give checkpoint.pt of a training",
            path=where,
        ) from None
    try:
        network.load_state_dict(stored)
    except RuntimeError:
        raise UnsupportedFormat(
            "its tensors do not fit the network", remedy="Choose the profile that it was trained with", path=where
        ) from None


def _write(path: Path, data: bytes) -> None:
    write_whole(path, lambda stream: stream.write(data))


def _exported(part: torch.nn.Module, side: int, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad(), warnings.catch_warnings():
        # The exporter that traces is the one measured to work.
        warnings.simplefilter("ignore")
        fresh = Path(scratch) / "fresh.onnx"
        torch.onnx.export(
            part,
            (torch.zeros(2, 3, side, side),),
            str(fresh),
            input_names=["image"],
            output_names=[name],
            dynamic_axes={"image": {0: "n"}, name: {0: "n"}},
            opset_version=OPSET,
            dynamo=False,
        )
        return fresh.read_bytes()


def _trial(side: int) -> np.ndarray:
    images = np.random.default_rng(0).random((3, 3, side, side), np.float32)
    images[1] = np.linspace(0, 1, side, dtype=np.float32)
    images[2] = 1
    return images


def _difference(path: Path, images: np.ndarray, wanted: np.ndarray) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    ours = session.run(None, {"image": images})[0]
    return float(np.abs(ours - wanted).max() / max(1e-6, float(np.abs(wanted).max())))
