"""StainNet's weights: what they are, how they are read and written. No PyTorch."""

import base64
import binascii
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from histokin.errors import UnreadableFile, UnsupportedFormat, UsageError
from histokin.nets.torch_file import read_torch_tensors

LARGEST_FILE = 1 << 26
KIND = "stainnet"

_NOT_ONE = "Give weights that `histokin train stainnet` wrote, or a checkpoint published with StainNet"


@final
@dataclass(frozen=True, eq=False)
class Layer:
    """One convolution: weights "out in k k" and biases "out"."""

    weight: Float32[np.ndarray, "o i k k"]
    bias: Float32[np.ndarray, "o"]

    @property
    def side(self) -> int:
        """Side of the kernel in pixels; odd."""
        return int(self.weight.shape[2])


@final
@dataclass(frozen=True, eq=False)
class StainNetWeights:
    """The convolutions of one StainNet, and what is known of where they come from.

    Between two convolutions the negative is cut off (ReLU); after the last one nothing is. Colors are -1 to 1 on
    both sides; at the edges of the image a convolution sees zeros. The published network has three layers of side
    1 and 32 channels: 1283 numbers. Source: H. Kang et al., StainNet: a fast and robust stain normalization
    network, Frontiers in Medicine 2021.

    Raises
    ------
    UsageError
        when the layers do not fit each other, do not lead from 3 channels to 3, or hold a number that is not finite.
    """

    layers: tuple[Layer, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if problem := _problem(self.layers):
            raise UsageError(f"these are no StainNet weights: {problem}", remedy=_NOT_ONE)

    @property
    def pointwise(self) -> bool:
        """True when every pixel is treated by its color alone."""
        return self.reach == 0

    @property
    def reach(self) -> int:
        """Pixels to each side that an output pixel depends on."""
        return sum(layer.side // 2 for layer in self.layers)

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return sum(layer.weight.size + layer.bias.size for layer in self.layers)

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits of the numbers and their shapes; where they come from does not enter."""
        found = hashlib.blake2b(digest_size=16)
        for layer in self.layers:
            found.update(json.dumps(layer.weight.shape).encode())
            for part in (layer.weight, layer.bias):
                found.update(np.ascontiguousarray(part, "<f4").tobytes())
        return found.hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, numbers and all (1283 of them take 7 kB)."""
        layers = [
            {"shape": list(layer.weight.shape), "weight": _text(layer.weight), "bias": _text(layer.bias)}
            for layer in self.layers
        ]
        return {"layers": layers, "metadata": dict(self.metadata)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "StainNetWeights":
        """What :meth:`to_dict` described. Raises :class:`UsageError` when it is damaged."""
        try:
            layers = tuple(
                Layer(
                    _array(layer["weight"]).reshape([int(n) for n in layer["shape"]]),
                    _array(layer["bias"]),
                )
                for layer in stored["layers"]
            )
            metadata = {str(key): str(value) for key, value in stored.get("metadata", {}).items()}
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
            raise UsageError(
                "the stored StainNet weights are damaged", remedy="Restore the archive, or index again"
            ) from None
        return cls(layers, metadata)


def read_stainnet(path: str | PathLike[str]) -> StainNetWeights:
    """Weights from a safetensors file of ours, or from a published checkpoint (``.pth``), told apart by content.

    Raises
    ------
    UnreadableFile
        when the file is missing or damaged.
    UnsupportedFormat
        when it holds something other than a StainNet.
    """
    where = Path(path).expanduser()
    try:
        with where.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UnreadableFile(
            f"the weights cannot be read ({error.strerror or error})", remedy="Check the path", path=where
        ) from None
    if len(data) > LARGEST_FILE:
        raise UnsupportedFormat("the file is too large for a StainNet", remedy=_NOT_ONE, path=where)
    metadata: dict[str, str] = {}
    if data[:2] == b"PK":
        tensors: Mapping[str, np.ndarray] = read_torch_tensors(where)
    else:
        tensors, metadata = _safetensors(data, where)
    if metadata.get("kind", KIND) != KIND:
        raise UnsupportedFormat(f"the file holds a {metadata['kind']}, not a StainNet", remedy=_NOT_ONE, path=where)
    try:
        return StainNetWeights(_layers(tensors), metadata)
    except UsageError as error:
        raise UnsupportedFormat(error.reason, remedy=error.remedy, path=where) from None


def write_stainnet(weights: StainNetWeights, path: str | Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Write a safetensors file, at once or not at all.

    Tensors are ``layers.{i}.weight`` ("out in k k", float32) and ``layers.{i}.bias``. ``metadata`` (texts; default:
    the weights' own) tells the source style, the target, the teacher, the profile and the steps; ``kind`` is added.

    Raises
    ------
    UsageError
        when the file cannot be written.
    """
    from safetensors.numpy import save

    tensors = {}
    for i, layer in enumerate(weights.layers):
        tensors[f"layers.{i}.weight"] = np.ascontiguousarray(layer.weight)
        tensors[f"layers.{i}.bias"] = np.ascontiguousarray(layer.bias)
    data = save(tensors, {**(weights.metadata if metadata is None else metadata), "kind": KIND})
    where = Path(path)
    try:
        with tempfile.NamedTemporaryFile(dir=where.parent, prefix=f".{where.name}.", delete=False) as stream:
            stream.write(data)
        Path(stream.name).chmod(0o644)
        os.replace(stream.name, where)  # noqa: PTH105 - replaces atomically on every platform
    except OSError as error:
        raise UsageError(
            f"the weights cannot be written ({error.strerror or error})", remedy="Choose another place", path=where
        ) from None
    return where


def _safetensors(data: bytes, where: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors: dict[str, np.ndarray] = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        raise UnreadableFile(
            "the file is damaged, or neither safetensors nor a PyTorch weight file",
            remedy="Copy or download it again",
            path=where,
        ) from None
    return tensors, {str(key): str(value) for key, value in header.get("__metadata__", {}).items()}


def _layers(tensors: Mapping[str, np.ndarray]) -> tuple[Layer, ...]:
    """Weights and biases by layer: ours by number, others in the file's order."""
    names = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    if all(name.startswith("layers.") and name[7:].isdigit() for name in names):
        names.sort(key=lambda name: int(name[7:]))
    wanted = {f"{name}.{part}" for name in names for part in ("weight", "bias")}
    if wanted != set(tensors):
        odd = sorted(wanted ^ set(tensors))[0]
        raise UsageError(f"these are no StainNet weights: '{odd[:60]}' is out of place", remedy=_NOT_ONE)
    pairs = [(tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in names]
    for weight, bias in pairs:
        square = weight.ndim == 4 and weight.shape[2] == weight.shape[3]
        if not square or bias.shape != weight.shape[:1] or {weight.dtype.kind, bias.dtype.kind} != {"f"}:
            raise UsageError("these are no StainNet weights: they are not convolutions with biases", remedy=_NOT_ONE)
    return tuple(Layer(weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in pairs)


def _problem(layers: Sequence[Layer]) -> str | None:
    channels = 3
    for i, layer in enumerate(layers):
        outputs, inputs, height, width = layer.weight.shape
        if inputs != channels:
            return f"layer {i} takes {inputs} channels, {channels} come in"
        if height != width or height % 2 == 0 or layer.bias.shape != (outputs,) or not outputs:
            return f"layer {i} is no convolution with an odd square kernel"
        if not (np.isfinite(layer.weight).all() and np.isfinite(layer.bias).all()):
            return f"layer {i} holds numbers that are not finite"
        channels = outputs
    if not layers or channels != 3:
        return f"{channels} channels come out, not 3" if layers else "there is no layer"
    return None


def _text(numbers: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers, "<f4").tobytes()).decode()


def _array(text: str) -> Float32[np.ndarray, "n"]:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
