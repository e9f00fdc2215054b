"""Writing a classifier's folder: ``classifier.onnx``, checked against PyTorch, then ``classifier.json``. PyTorch."""

import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from histokin.errors import EncoderError
from histokin.nets.classifier_file import INPUT, MANIFEST, OUTPUTS, WEIGHTS, ClassifierFile
from histokin.nets.classifier_network import ClassifierNetwork
from histokin.nets.manifest import file_digest
from histokin.nets.onnx_session import open_session
from histokin.training.files import write_whole
from histokin.training.onnx_file import OPSET, TOLERANCE


def write_classifier(
    network: ClassifierNetwork,
    out: Path,
    *,
    name: str,
    classes: Sequence[str],
    input_px: int,
    temperature: float = 1.0,
    mpp: float | None = None,
    normalizer: Mapping[str, Any] | None = None,
    licence: str = "that of its weights and images",
    training_data: str = "",
) -> tuple[ClassifierFile, dict[str, float]]:
    """Write the two files of a classifier; the description last, so that a folder that has one is whole.

    Returns what was written, and the largest differences: of each output from PyTorch, as a share of its largest
    value, and of the mean of a class activation map plus bias from the logit ("cam").

    Raises
    ------
    EncoderError
        when a difference is above 0.001.
    UsageError
        when a file cannot be written.
    """
    here = network.to("cpu").float().eval()
    data = _exported(here, input_px)
    path = write_whole(out / WEIGHTS, lambda stream: stream.write(data))
    weights, bias = (np.ascontiguousarray(p.detach().numpy(), np.float32) for p in (here.head.weight, here.head.bias))
    found, differences = _checked(here, path, input_px, weights, bias)
    made = ClassifierFile(
        name=name,
        file=WEIGHTS,
        sha256=file_digest(path),
        classes=tuple(classes),
        input_px=input_px,
        grid=(int(found["maps"].shape[2]), int(found["maps"].shape[3])),
        weights=weights,
        bias=bias,
        mpp=mpp,
        temperature=float(temperature),
        licence=licence,
        training_data=training_data,
        normalizer=normalizer,
        scaling={
            "input": "float32 RGB, n 3 input_px input_px, 0 to 1",
            "applied_by": "graph",
            "mean": [float(str(v)) for v in here.mean.flatten().numpy()],
            "std": [float(str(v)) for v in here.std.flatten().numpy()],
        },
    )
    text = json.dumps(made.to_dict(), indent=1) + "\n"
    write_whole(out / MANIFEST, lambda stream: stream.write(text.encode()))
    return made, differences


class _Views(torch.nn.Module):  # type: ignore[misc]
    """All outputs of a classifier as its answer."""

    def __init__(self, network: ClassifierNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.network.views(image)


def _exported(network: ClassifierNetwork, side: int) -> bytes:
    axes = {name: {0: "n"} for name in (INPUT, *OUTPUTS)}
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fresh = Path(scratch) / "fresh.onnx"
        torch.onnx.export(
            _Views(network).eval(),
            (torch.zeros(2, 3, side, side),),
            str(fresh),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
        return fresh.read_bytes()


def _checked(
    network: ClassifierNetwork, path: Path, side: int, weights: np.ndarray, bias: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """What the file answers for three trial images, and how far that is from PyTorch."""
    images = np.random.default_rng(0).random((3, 3, side, side), np.float32)
    images[1] = np.linspace(0, 1, side, dtype=np.float32)
    images[2] = 1
    with torch.no_grad():
        wanted = [answer.numpy() for answer in network.views(torch.from_numpy(images))]
    found = dict(zip(OUTPUTS, open_session(path, 1).run(list(OUTPUTS), {INPUT: images}), strict=True))
    differences = {name: _apart(found[name], answer) for name, answer in zip(OUTPUTS, wanted, strict=True)}
    cams = np.einsum("ck,nkyx->ncyx", weights, found["maps"])
    differences["cam"] = _apart(cams.mean(axis=(2, 3)) + bias, found["logits"])
    worst = max(differences, key=lambda name: differences[name])
    if not differences[worst] <= TOLERANCE:
        raise EncoderError(
            f"ONNX and PyTorch differ by {differences[worst]:.2e} in {worst}", path=path, remedy="Use pinned versions"
        )
    return found, differences


def _apart(ours: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(ours - wanted).max() / max(1e-6, float(np.abs(wanted).max())))
