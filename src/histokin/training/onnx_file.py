"""A network of fixed input size as ONNX, checked against PyTorch."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

from histokin.errors import EncoderError
from histokin.training.files import write_whole

OPSET = 17
TOLERANCE = 1e-3
"""Largest difference allowed between PyTorch and ONNX, as a share of the largest value."""


def write_onnx(network: torch.nn.Module, path: Path, side: int, answer: str) -> tuple[int, float]:
    """Write ``network`` with float32 "image" "n 3 side side" in and ``answer`` out; n is left open.

    Returns the length of the answer's second axis, and the largest relative difference from PyTorch.

    Raises
    ------
    EncoderError
        when that difference is above 0.001.
    UsageError
        when the file cannot be written.
    """
    here = network.to("cpu").eval()
    data = _exported(here, side, answer)
    write_whole(path, lambda stream: stream.write(data))
    images = _trial(side)
    with torch.no_grad():
        wanted = here(torch.from_numpy(images)).numpy()
    difference = _difference(path, images, wanted)
    if not difference <= TOLERANCE:
        raise EncoderError(f"ONNX and PyTorch differ by {difference:.2e}", path=path, remedy="Use the pinned versions")
    return int(wanted.shape[1]), difference


def _exported(network: torch.nn.Module, side: int, answer: str) -> bytes:
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad(), warnings.catch_warnings():
        # The exporter that traces is the one measured to work.
        warnings.simplefilter("ignore")
        fresh = Path(scratch) / "fresh.onnx"
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, side, side),),
            str(fresh),
            input_names=["image"],
            output_names=[answer],
            dynamic_axes={"image": {0: "n"}, answer: {0: "n"}},
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
