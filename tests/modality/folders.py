"""Trained folders for the tests: tiny networks with known answers, as ONNX files."""

from pathlib import Path

import torch

from histokin.modality.folder import FILE, NetworkFile, TrainedFolder
from histokin.modality.preparing import Input
from histokin.training.image_onnx import write_image_network


class Mean(torch.nn.Module):  # type: ignore[misc]
    """The mean of all channels, times a gain."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(gain))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean(dim=1, keepdim=True) * self.gain


class Repeated(torch.nn.Module):  # type: ignore[misc]
    """Three times the mean of all channels, with its sign changed."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return -image.mean(dim=1, keepdim=True).repeat(1, 3, 1, 1)


def comir_folder(path: Path, *, gain: float = 1.0, shrink: int = 1, scale: tuple[float, float] = (0.0, 1.0)) -> Path:
    """Brightfield: the mean of the channels; SHG: ln(1 + x)."""
    inputs = {"brightfield": Input(3, shrink=shrink), "shg": Input(1, logarithm=True, shrink=shrink)}
    networks = {}
    for modality, network, channels in (("brightfield", Mean(gain), 3), ("shg", Mean(1.0), 1)):
        sha256, _ = write_image_network(network, path / f"{modality}.onnx", channels, 8)
        networks[modality] = NetworkFile(f"{modality}.onnx", sha256)
    facts = {"profile": "tiny", "steps": {"done": 1, "published": 736}}
    folder = TrainedFolder(
        "comir", ("brightfield", "shg"), inputs, networks, 8, scale, {"brightfield": 1, "shg": 1}, facts, 4
    )
    (path / FILE).write_text(folder.to_json())
    return path


def translation_folder(path: Path, kind: str) -> Path:
    """Towards either modality: the image with its gray levels turned over."""
    inputs = {"brightfield": Input(3, signed=True), "shg": Input(3, signed=True)}
    networks = {}
    for modality in inputs:
        sha256, _ = write_image_network(Repeated(), path / f"{modality}.onnx", 3, 4)
        networks[modality] = NetworkFile(f"{modality}.onnx", sha256)
    channels = {"brightfield": 3, "shg": 1}
    folder = TrainedFolder(kind, ("brightfield", "shg"), inputs, networks, 4, (-1.0, 1.0), channels)
    (path / FILE).write_text(folder.to_json())
    return path
