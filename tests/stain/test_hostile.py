"""Images that no laboratory would want, through every normalizer there is."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from histokin.errors import UsageError
from histokin.nets.stainnet import Layer, StainNetWeights
from histokin.stain.base import Appearance
from histokin.stain.registry import NORMALIZERS, normalizer
from histokin.testing.appearance import hostile_images, synthetic_he

NAMES = sorted(set(NORMALIZERS.names()))


def identity_net() -> StainNetWeights:
    """A StainNet of one layer that changes nothing."""
    return StainNetWeights((Layer(np.eye(3, dtype=np.float32)[:, :, None, None], np.zeros(3, np.float32)),), {})


@pytest.fixture(scope="module", name="built")
def built_fixture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Appearance]:
    generator = tmp_path_factory.mktemp("weights") / "tiny.onnx"

    def build(name: str) -> Appearance:
        if name == "stainnet":
            return normalizer(name, weights=identity_net())
        if name == "stain-gan":
            return normalizer(name, weights=generator if generator.exists() else tiny_generator(generator))
        return normalizer(name)

    return build


def tiny_generator(path: Path) -> Path:
    """A generator of one convolution, as ONNX."""
    onnx = pytest.importorskip("onnx", reason="needs the torch extra")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shape = ["n", 3, "h", "w"]
    weight = np.zeros((3, 3, 3, 3), np.float32)
    weight[[0, 1, 2], [0, 1, 2], 1, 1] = 1
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weight"], ["made"], pads=[1, 1, 1, 1])],
        "tiny",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("made", kind, shape)],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"histokin": '{"kind": "stain-gan"}'})
    onnx.save(model, path)
    return path


def pictures() -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = dict(hostile_images())
    pen = synthetic_he(px=96)
    for color, y in (((20, 30, 160), 20), ((0, 120, 40), 50), ((5, 5, 5), 80)):
        cv2.line(pen, (0, y), (95, y), color, 9)
    thin = np.full((1, 500, 3), 240, np.uint8)
    thin[:, ::7] = (90, 40, 120)
    return {**found, "pen": pen, "one row": thin, "one column": thin.transpose(1, 0, 2).copy()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("what", sorted(pictures()))
def test_it_comes_back_as_it_is_or_as_an_image(built: Callable[[str], Appearance], name: str, what: str) -> None:
    image = pictures()[what]
    before = image.copy()
    image.flags.writeable = False
    appearance = built(name)
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        fitted = appearance.fit([image])
        mapped, status = fitted.apply(image)
        elsewhere, _ = fitted.apply(synthetic_he(px=32))
    assert np.array_equal(image, before)
    assert mapped.dtype == np.uint8
    assert mapped.shape == image.shape
    assert elsewhere.shape == (32, 32, 3)
    if not status.ok:
        assert status.reason
        assert np.array_equal(mapped, image)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 3), np.uint16),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((2, 8, 8, 3), np.uint8),
    ],
    ids=["RGBA", "gray", "16-bit", "float", "batch"],
)
def test_other_kinds_are_refused_with_a_remedy(
    built: Callable[[str], Appearance], name: str, wrong: np.ndarray
) -> None:
    appearance = built(name)
    good = appearance.fit([synthetic_he(px=32)])
    # The import hook of the tests may check shapes before we can.
    for use in (lambda: good.apply(wrong), lambda: appearance.fit([wrong])):
        with pytest.raises((UsageError, TypeCheckError)) as caught:
            use()
        assert not isinstance(caught.value, UsageError) or caught.value.remedy


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"none", "stainnet", "stain-gan"}))
@pytest.mark.parametrize("what", ["white", "black", "one color", "one pixel", "gray noise"])
def test_a_degenerate_target_is_a_named_error(name: str, what: str) -> None:
    image = pictures().get(what, np.repeat(np.random.default_rng(0).integers(0, 256, (20, 20, 1), np.uint8), 3, axis=2))
    made: Appearance | None = None
    with suppress(UsageError):
        made = normalizer(name, target=image)
    assert made is None or made.fit([synthetic_he(px=64)])(synthetic_he(px=64)).shape == (64, 64, 3)
