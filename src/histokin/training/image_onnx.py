"""Networks from image to image as ONNX files, checked against PyTorch. PyTorch."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

from histokin.errors import EncoderError
from histokin.nets.manifest import file_digest
from histokin.training.files import write_whole

OPSET = 17
TOLERANCE = 1e-3
"""Largest difference allowed between PyTorch and ONNX, as a share of the largest value (or of 1, if that is less)."""


def write_image_network(network: torch.nn.Module, path: Path, channels: int, multiple: int) -> tuple[str, float]:
    """Write ``network`` with float32 "image" "n channels h w" in and "made" out; n, h and w are left open.

    Sides are multiples of ``multiple``. The network is left in evaluation mode on the CPU.

    Returns
    -------
    The SHA-256 of the file, and the largest relative difference from PyTorch over images of two sizes.

    Raises
    ------
    EncoderError
        when that difference is above 0.001.
    UsageError
        when the file cannot be written.
    """
    here = network.to("cpu").eval()
    unit = max(multiple, -(-64 // multiple) * multiple) if multiple < 64 else multiple
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad(), warnings.catch_warnings():
        # The exporter that traces is the one measured to keep all dimensions open.
        warnings.simplefilter("ignore")
        fresh = Path(scratch) / "fresh.onnx"
        torch.onnx.export(
            here,
            (torch.zeros(1, channels, unit, unit),),
            str(fresh),
            input_names=["image"],
            output_names=["made"],
            dynamic_axes={name: {0: "n", 2: "h", 3: "w"} for name in ("image", "made")},
            opset_version=OPSET,
            dynamo=False,
        )
        data = fresh.read_bytes()
    write_whole(path, lambda stream: stream.write(data))
    difference = _difference(here, path, channels, unit, multiple)
    if not difference <= TOLERANCE:
        raise EncoderError(f"ONNX and PyTorch differ by {difference:.2e}", path=path, remedy="Use the pinned versions")
    return file_digest(path), difference


def _difference(network: torch.nn.Module, path: Path, channels: int, unit: int, multiple: int) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    draws = np.random.default_rng(0)
    worst = 0.0
    for n, height, width in ((1, unit, unit + multiple), (2, unit, unit)):
        images = draws.random((n, channels, height, width), np.float32)
        ours = session.run(None, {"image": images})[0]
        with torch.no_grad():
            theirs = network(torch.from_numpy(images)).numpy()
        worst = max(worst, float(np.abs(ours - theirs).max()) / max(1.0, float(np.abs(theirs).max())))
    return worst
