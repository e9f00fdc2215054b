"""TC-Net as an encoder: its crops, gray images, ten views, and what is refused. No training."""

from pathlib import Path

import numpy as np
import pytest

from histokin.encoders.crops import views, whole_side
from histokin.encoders.registry import chosen, encoder
from histokin.errors import EncoderError, UsageError
from histokin.nets.backbones import IMAGENET_MEAN, IMAGENET_STD
from histokin.testing.encoders import CHECKS, check_refusals

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from histokin.nets.tc_net import TcNet
    from histokin.training.tc_net_run import write_tc_net

    out = tmp_path_factory.mktemp("tc-net")
    torch.manual_seed(0)
    write_tc_net(TcNet("small", 16), out, 45, "nothing", "untrained")
    return out


def picture(side: int = 64, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, channels), dtype=np.uint8)


def test_256_for_225_and_others_in_proportion() -> None:
    assert whole_side(225) == 256
    assert whole_side(112) == 127
    image = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    assert np.array_equal(views(image, 6)[0], image[1:7, 1:7])
    ten = views(image, 6, 10)
    assert len(ten) == 10
    assert np.array_equal(ten[3], image[2:, 2:])
    assert np.array_equal(ten[9], image[1:7, 1:7][:, ::-1])
    assert len({square.tobytes() for square in ten}) == 10


def test_contract(folder: Path) -> None:
    """Gray images are taken, unlike by other encoders; everything else is refused as theirs."""
    made = encoder("tc-net", path=folder)
    for check in CHECKS:
        if check is not check_refusals:
            check(made)
    for wrong in (np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3), np.float32), np.zeros((0, 9, 3), np.uint8)):
        with pytest.raises(EncoderError, match="cannot be encoded"):
            made.encode([wrong])


def test_the_vector_is_the_networks_of_the_middle(folder: Path) -> None:
    from histokin.nets.tc_net import TcNet

    made = encoder("tc-net", path=folder)
    assert (made.spec.dim, made.spec.input_px, made.spec.metric) == (16, 51, "euclidean")
    torch.manual_seed(0)
    network = TcNet("small", 16).eval()
    image = picture(51)
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    batch = ((torch.from_numpy(image[3:48, 3:48].copy()).permute(2, 0, 1) / 255 - mean) / std)[None]
    with torch.no_grad():
        wanted = network(batch).numpy()
    np.testing.assert_allclose(made.encode([image]), wanted, rtol=1e-4, atol=1e-5)


def test_ten_views_do_not_see_a_mirror(folder: Path) -> None:
    one, ten = (encoder("tc-net", path=folder, views=n) for n in (1, 10))
    image = picture(51)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    assert np.abs(one.encode([image]) - one.encode([mirrored])).max() > 1e-4
    # Corners swap; the middle of 51 pixels lies symmetrically.
    np.testing.assert_allclose(ten.encode([image]), ten.encode([mirrored]), atol=1e-6)
    assert one.spec.space != ten.spec.space


def test_gray_is_three_equal_channels(folder: Path) -> None:
    made, gray = encoder("tc-net", path=folder), picture(80, 1)
    np.testing.assert_array_equal(made.encode([gray]), made.encode([np.repeat(gray, 3, axis=2)]))


def test_names_with_folders_and_refusals(folder: Path, tmp_path: Path) -> None:
    assert chosen(f"tc-net={folder}") == ("tc-net", {"path": folder})
    with pytest.raises(UsageError, match="2 views"):
        encoder("tc-net", path=folder, views=2)
    with pytest.raises(EncoderError, match="manifest cannot be read"):
        encoder("tc-net", path=tmp_path)
    for name in ("encoder.json", "encoder.onnx"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "encoder.json").write_text((folder / "encoder.json").read_text().replace('"tc-net"', '"cbhir"'))
    with pytest.raises(EncoderError, match="holds the encoder 'cbhir'"):
        encoder("tc-net", path=tmp_path)
