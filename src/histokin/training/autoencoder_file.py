"""Autoencoders as files: encoder with manifest and whole network as ONNX, checked against PyTorch; or read back."""

import tempfile
from pathlib import Path

import torch

from histokin.errors import UnreadableFile, UnsupportedFormat
from histokin.nets.manifest import MANIFEST, WeightManifest, file_digest
from histokin.training.autoencoder import AUTOENCODER, ENCODER
from histokin.training.checkpoint import FILE
from histokin.training.files import write_whole
from histokin.training.onnx_file import write_onnx


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
    _, one = write_onnx(_Part(here, "image"), out / AUTOENCODER, side, "reconstruction")
    dim, other = write_onnx(_Part(here, "features"), out / ENCODER, side, "features")
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
        text = manifest.save(Path(scratch)).read_bytes()
    write_whole(out / MANIFEST, lambda stream: stream.write(text))
    return manifest, max(one, other)


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
