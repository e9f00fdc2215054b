"""Shared fixtures. Array shapes and types in annotations are enforced while the tests run."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("histokin", "beartype.beartype")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Color tables are kept for this run only, not in the user's cache."""
    os.environ["HISTOKIN_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images: ``HISTOKIN_DATA``, or ``shared/data`` beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HISTOKIN_DATA", default))
    if not (folder / "MANIFEST.csv").is_file():
        pytest.skip(f"no real images at {folder}; set HISTOKIN_DATA to the folder that has them")
    return folder


@pytest.fixture(scope="session")
def tile_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of twelve synthetic stained tiles each, as PNG files in one folder per class."""
    import cv2
    import numpy as np

    from histokin.testing.appearance import synthetic_he

    root = tmp_path_factory.mktemp("tiles")
    for label, grain in (("coarse", 12), ("fine", 2)):
        (root / label).mkdir()
        for seed in range(12):
            noise = synthetic_he(px=224 // grain + 1, seed=seed, gain=(1.0 + 0.05 * seed, 1.0))
            grown = cv2.resize(noise, None, fx=grain, fy=grain, interpolation=cv2.INTER_CUBIC)
            tile = np.ascontiguousarray(grown[:224, :224, ::-1])
            assert cv2.imwrite(str(root / label / f"{label}_{seed:02d}.png"), tile)
    return root


@pytest.fixture
def classifier_folder(tmp_path: Path) -> Path:
    """Three classes from the means of red, green and blue in the quarters of a square of 16 pixels."""
    import json

    import numpy as np
    import onnx

    from histokin.nets.classifier_file import ClassifierFile
    from histokin.nets.manifest import file_digest

    weights = np.array([[2, 0, 0], [0, 1, -1], [0, 0, 3]], np.float32)
    bias = np.array([0.5, -1, 0.25], np.float32)
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("AveragePool", ["image"], ["maps"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("GlobalAveragePool", ["maps"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["pooled"]),
        helper.make_node("Gemm", ["pooled", "w", "b"], ["logits"], transB=1),
    ]
    shapes = {"logits": ["n", 3], "maps": ["n", 3, 2, 2], "pooled": ["n", 3]}
    stored = [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(bias, "b")]
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info("image", kind, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    out = tmp_path / "by-hand"
    out.mkdir()
    onnx.save(model, str(out / "classifier.onnx"))
    made = ClassifierFile(
        name="by-hand",
        file="classifier.onnx",
        sha256=file_digest(out / "classifier.onnx"),
        classes=("red", "green", "blue"),
        input_px=16,
        grid=(2, 2),
        weights=weights,
        bias=bias,
        mpp=0.5,
        temperature=2.0,
    )
    (out / "classifier.json").write_text(json.dumps(made.to_dict()))
    return out
