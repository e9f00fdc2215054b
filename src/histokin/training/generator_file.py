"""Generators as files: written as ONNX and checked against PyTorch, or read back as a start."""

import json
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from histokin.errors import EncoderError, UnreadableFile, UnsupportedFormat
from histokin.nets.generator import KEY
from histokin.nets.manifest import file_digest
from histokin.training.checkpoint import FILE
from histokin.training.files import write_whole

OPSET = 17
TOLERANCE = 1e-3
"""Largest difference allowed between PyTorch and ONNX, in units where colors are -1 to 1 (a grey level is 0.008)."""

SHAPES = ((1, 64, 96), (2, 40, 32), (1, 128, 128))


def write_generator(
    network: torch.nn.Module, path: Path, metadata: Mapping[str, str], *, channels: int = 3
) -> tuple[str, float]:
    """Write ``network`` as ONNX with float32 "image" in and out, "n c h w" all left open.

    Returns
    -------
    The SHA-256 of the file, and the largest absolute difference from PyTorch over images of several sizes.

    Raises
    ------
    EncoderError
        when that difference is above 0.001.
    UsageError
        when the file cannot be written.
    """
    import onnx

    here = network.to("cpu").eval()
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "fresh.onnx"
        with torch.no_grad(), warnings.catch_warnings():
            # The exporter that traces is the one measured to keep all four dimensions open.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                here,
                (torch.zeros(1, channels, 64, 64),),
                str(fresh),
                input_names=["image"],
                output_names=["made"],
                dynamic_axes={name: {0: "n", 2: "h", 3: "w"} for name in ("image", "made")},
                opset_version=OPSET,
                dynamo=False,
            )
        graph = onnx.load(str(fresh))
        entry = graph.metadata_props.add()
        entry.key, entry.value = KEY, json.dumps(dict(metadata), sort_keys=True)
        data = graph.SerializeToString()
    write_whole(path, lambda stream: stream.write(data))
    difference = _difference(here, path, channels)
    if not difference <= TOLERANCE:
        raise EncoderError(f"ONNX and PyTorch differ by {difference:.2e}", path=path, remedy="Use the pinned versions")
    return file_digest(path), difference


def read_start(path: Path, modules: Mapping[str, torch.nn.Module]) -> list[str]:
    """Load a start into ``modules``: a checkpoint of ours (all networks), or published weights of ``forward`` alone.

    Published generators are PyTorch state dictionaries whose convolutions come in the order of the network.
    Returns the names of the networks that were loaded.

    Raises
    ------
    UnreadableFile
        when the file is missing or holds no tensors.
    UnsupportedFormat
        when its tensors have other shapes than the networks here.
    """
    where = path / FILE if path.is_dir() else path
    try:
        stored = torch.load(where, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for files that are not its own
        raise UnreadableFile(
            f"the weights cannot be read ({type(error).__name__})",
            remedy="Give checkpoint.pt of a training, or a PyTorch state dictionary",
            path=where,
        ) from None
    wanted = dict(modules) if isinstance(stored, dict) and "modules" in stored else {"forward": modules["forward"]}
    for name, module in wanted.items():
        tensors = stored["modules"].get(name, {}) if "modules" in stored else stored
        _fill(module, tensors, name, where)
    return list(wanted)


def _fill(module: torch.nn.Module, tensors: object, name: str, where: Path) -> None:
    given = tensors.items() if isinstance(tensors, dict) else ()
    values = [value for key, value in given if isinstance(value, torch.Tensor) and "running_" not in str(key)]
    values = [value for value in values if value.ndim]
    ours = list(module.parameters())
    if [value.shape for value in values] != [parameter.shape for parameter in ours]:
        raise UnsupportedFormat(
            f"its {len(values)} tensors do not fit the network '{name}' of {len(ours)}",
            remedy="Choose the profile that it was trained with",
            path=where,
        )
    with torch.no_grad():
        for parameter, value in zip(ours, values, strict=True):
            parameter.copy_(value)


def _difference(network: torch.nn.Module, path: Path, channels: int) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    draws = np.random.default_rng(0)
    worst = 0.0
    for n, height, width in SHAPES:
        images = draws.uniform(-1, 1, (n, channels, height, width)).astype(np.float32)
        images[0] = np.linspace(-1, 1, width, dtype=np.float32)
        ours = session.run(None, {"image": images})[0]
        with torch.no_grad():
            theirs = network(torch.from_numpy(images)).numpy()
        worst = max(worst, float(np.abs(ours - theirs).max()))
    return worst
