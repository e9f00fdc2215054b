"""Encoders of others, as folders that ``--encoder FOLDER`` takes; made from weight files that may not be shipped.

    python -m benchmarks.peer_encoders --weights DIR --out DIR

DIR holds ``coral/*.tflite`` (MobileNetV1, int8, Apache-2.0) and ``diag-bigan/encoder_bigan.h5`` (DIAG Nijmegen, BiGAN
encoder trained on histology). Needs ``pip install onnx h5py ai-edge-litert``.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from histokin.nets.manifest import WeightManifest, file_digest

FILE = "model.onnx"


def main() -> None:
    """Write both folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    print(mobilenet(next((given.weights / "coral").glob("*.tflite")), given.out / "mobilenet-v1"))
    print(bigan(given.weights / "diag-bigan" / "encoder_bigan.h5", given.out / "diag-bigan"))


def mobilenet(file: Path, out: Path) -> Path:
    """MobileNetV1 with its 8-bit arithmetic: every activation is rounded to the level that the file says."""
    from ai_edge_litert.interpreter import Interpreter  # not in the extras: it serves this file only

    run = Interpreter(str(file))
    run.allocate_tensors()
    about = {each["index"]: each for each in run.get_tensor_details()}
    graph = _Graph()
    source = run.get_input_details()[0]
    scale, zero = source["quantization"]
    graph.constant("in.scale", np.float32(scale))
    graph.constant("in.zero", np.float32(zero))
    graph.node("Sub", ["image", "in.zero"], "in.centered")
    value = {source["index"]: graph.node("Mul", ["in.centered", "in.scale"], "in.value")}
    for number, step in enumerate(run._get_ops_details()):
        if step["op_name"] not in {"CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D"}:
            continue
        inside, outside = [int(i) for i in step["inputs"]], int(step["outputs"][0])
        name = f"step{number}"
        if step["op_name"] == "AVERAGE_POOL_2D":
            raw = graph.node("GlobalAveragePool", [value[inside[0]]], f"{name}.mean")
        else:
            raw = _convolution(graph, run, about, step["op_name"], inside, outside, value[inside[0]], name)
        scale, zero = about[outside]["quantization"]
        value[outside] = _rounded(graph, raw, scale, zero, name)
    last = value[int(run.get_output_details()[0]["index"])]
    graph.node("Flatten", [last], "features", axis=1)
    _check_mobilenet(run, graph.save(out, 224, 1024))
    return _described(
        out, "mobilenet-v1", 224, 1024, "graph", "Apache-2.0", "Coral MobileNetV1 1.0/224 int8, ImageNet", "cosine"
    )


def _convolution(
    graph: "_Graph", run: Any, about: Any, kind: str, inside: list[int], outside: int, source: str, name: str
) -> str:
    weights, bias = run.get_tensor(inside[1]), run.get_tensor(inside[2])
    scale, zero = about[inside[1]]["quantization"]
    real = (weights.astype(np.float32) - zero) * np.float32(scale)
    depthwise = kind == "DEPTHWISE_CONV_2D"
    kernel = real.transpose(3, 0, 1, 2) if depthwise else real.transpose(0, 3, 1, 2)
    graph.constant(f"{name}.w", np.ascontiguousarray(kernel))
    graph.constant(f"{name}.b", bias.astype(np.float32) * np.float32(about[inside[2]]["quantization"][0]))
    before, after = about[inside[0]]["shape"], about[outside]["shape"]
    stride = int(before[1] // after[1])
    size = kernel.shape[2]
    # TensorFlow's "same": what cannot be halved goes to the right and below.
    total = max((int(after[1]) - 1) * stride + size - int(before[1]), 0)
    low = total // 2
    pads = [low, low, total - low, total - low]
    group = kernel.shape[0] if depthwise else 1
    inputs = [source, f"{name}.w", f"{name}.b"]
    return graph.node("Conv", inputs, f"{name}.conv", strides=[stride, stride], pads=pads, group=group)


def _rounded(graph: "_Graph", source: str, scale: float, zero: int, name: str) -> str:
    graph.constant(f"{name}.scale", np.float32(scale))
    graph.constant(f"{name}.zero", np.uint8(zero))
    graph.node("QuantizeLinear", [source, f"{name}.scale", f"{name}.zero"], f"{name}.q")
    return graph.node("DequantizeLinear", [f"{name}.q", f"{name}.scale", f"{name}.zero"], f"{name}.dq")


def _check_mobilenet(run: Any, path: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    image[:, 60:160, 40:200] = (190, 120, 170)
    run.set_tensor(run.get_input_details()[0]["index"], image)
    run.invoke()
    detail = run.get_output_details()[0]
    scale, zero = detail["quantization"]
    wanted = (run.get_tensor(detail["index"]).astype(np.float32).ravel() - zero) * scale
    ours = session.run(None, {"image": image.transpose(0, 3, 1, 2).astype(np.float32)})[0].ravel()
    cosine = float(ours @ wanted / (np.linalg.norm(ours) * np.linalg.norm(wanted)))
    # Rounding differs by a level here and there; 27 layers of it add up.
    print(f"mobilenet-v1: cosine with the original runtime {cosine:.5f}")
    assert cosine > 0.99


def bigan(file: Path, out: Path) -> Path:
    """Four strided convolutions with LeakyReLU and batch normalization, and a dense layer: 64 pixels to 128 numbers."""
    import h5py

    with h5py.File(file) as stored:
        arrays: dict[str, np.ndarray] = {}
        stored.visititems(
            lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    kernels = sorted((n for n in arrays if n.endswith("kernel:0")), key=_order)
    norms = sorted((n for n in arrays if n.endswith("gamma:0")), key=_order)
    graph = _Graph()
    graph.constant("scale", np.float32(1 / 127.5))
    graph.constant("one", np.float32(1))
    graph.node("Mul", ["image", "scale"], "scaled")
    value = graph.node("Sub", ["scaled", "one"], "source")
    for number, kernel in enumerate(kernels[:4]):
        graph.constant(f"w{number}", np.ascontiguousarray(arrays[kernel].transpose(3, 2, 0, 1)))
        graph.constant(f"b{number}", arrays[kernel.replace("kernel", "bias")])
        value = graph.node("Conv", [value, f"w{number}", f"b{number}"], f"conv{number}", strides=[2, 2])
        value = graph.node("LeakyRelu", [value], f"act{number}", alpha=0.2)
        names = [norms[number].replace("gamma", part) for part in ("gamma", "beta", "moving_mean", "moving_variance")]
        for name, part in zip(names, "gbmv", strict=True):
            graph.constant(f"{part}n{number}", arrays[name])
        inputs = [value, *(f"{part}n{number}" for part in "gbmv")]
        value = graph.node("BatchNormalization", inputs, f"norm{number}", epsilon=1e-3)
    value = graph.node("Transpose", [value], "last", perm=[0, 2, 3, 1])
    value = graph.node("Flatten", [value], "flat", axis=1)
    graph.constant("dense", arrays[kernels[4]])
    graph.constant("offset", arrays[kernels[4].replace("kernel", "bias")])
    graph.node("Gemm", [value, "dense", "offset"], "features")
    graph.save(out, 64, 128)
    licence = "none stated"
    return _described(out, "diag-bigan", 64, 128, "graph", licence, "DIAG Nijmegen, neural-image-compression", "cosine")


def _order(name: str) -> tuple[bool, int]:
    digits = "".join(c for c in name.split("/")[-2] if c.isdigit())
    return "dense" in name, int(digits or 0)


class _Graph:
    """A graph in the making."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, name: str, value: Any) -> None:
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))

    def node(self, kind: str, inputs: list[str], output: str, **options: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], **options))
        return output

    def save(self, out: Path, side: int, dim: int) -> Path:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, side, side])
        features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", dim])
        graph = helper.make_graph(self._nodes, "encoder", [image], [features], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model)
        out.mkdir(parents=True, exist_ok=True)
        onnx.save(model, str(out / FILE))
        return out / FILE


def _described(
    out: Path, name: str, side: int, dim: int, preprocessing: Any, licence: str, upstream: str, metric: Any
) -> Path:
    digest = file_digest(out / FILE)
    WeightManifest(
        name=name,
        file=FILE,
        sha256=digest,
        input_px=side,
        dim=dim,
        preprocessing=preprocessing,
        metric=metric,
        licence=licence,
        upstream=upstream,
    ).save(out)
    return out


if __name__ == "__main__":
    main()
