"""Pathology foundation models: the table, what is said when they are not here, and small stand-ins that run."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from histokin.encoders import foundation, weight_files
from histokin.encoders.foundation_models import FOUNDATION, FoundationModel
from histokin.encoders.hub_names import timm_names
from histokin.encoders.registry import ENCODERS, encoder
from histokin.encoders.weight_files import needs_of
from histokin.errors import EncoderError, UnknownName
from histokin.testing.encoders import check_encoder

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights on this computer, and no network."""
    monkeypatch.setenv("HISTOKIN_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def timm() -> Any:
    if find_spec("timm") is None:
        pytest.skip("timm is not installed (extra foundation)")
    from histokin.nets.torchvision_compat import torchvision_models

    torchvision_models()
    return pytest.importorskip("timm")


TINY = FoundationModel(
    name="tiny",
    hub="nobody/tiny",
    dim=32,
    parameters=0,
    licence="CC-BY-NC-ND-4.0",
    gated=True,
    network="vit_tiny_patch16_224",
    input_px=64,
    options=(("embed_dim", 32), ("depth", 2), ("num_heads", 2)),
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> FoundationModel:
    """A network small enough to run, in the table for this test."""
    return _in_table(monkeypatch, TINY)


def _in_table(monkeypatch: pytest.MonkeyPatch, model: FoundationModel) -> FoundationModel:
    table = MappingProxyType({**FOUNDATION, model.name: model})
    monkeypatch.setattr(foundation, "FOUNDATION", table)
    monkeypatch.setattr(weight_files, "FOUNDATION", table)
    return model


def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every package were there, and nothing in the hub's cache."""
    monkeypatch.setattr(weight_files, "absent_modules", lambda needs: [])
    monkeypatch.setattr(weight_files, "find_spec", lambda name: None)


@pytest.mark.parametrize("name", sorted(FOUNDATION))
def test_an_entry_is_complete(name: str) -> None:
    model = FOUNDATION[name]
    assert model.name == name in ENCODERS.names()
    assert re.fullmatch(r"[\w-]+/[\w.-]+", model.hub)
    assert model.dim % 128 == 0
    assert model.input_px in (224, 448)
    assert model.licence
    assert model.files
    assert all(0 < std < 1 and 0 < mean < 1 for mean, std in zip(*model.color, strict=True))
    assert 0.9 < model.megabytes / (4 * model.parameters / 1e6) < 1.1
    needs = needs_of(name)
    assert needs is not None
    assert needs.gated == model.gated


def test_names_asked_for_are_there() -> None:
    wanted = "uni uni2-h conch virchow virchow2 h-optimus-0 h-optimus-1 h0-mini phikon phikon-v2 prov-gigapath"
    assert set(wanted.split()) <= set(FOUNDATION)


def test_a_gated_model_offline_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch)
    with pytest.raises(EncoderError, match="weights of encoder 'uni' are not on this computer") as caught:
        encoder("uni")
    assert "HF_HUB_OFFLINE" in caught.value.reason
    place = str(tmp_path / "weights" / "uni")
    for word in ("CC-BY-NC-ND-4.0", "https://huggingface.co/MahmoodLab/UNI", "pytorch_model.bin", place, "uni=FILE"):
        assert word in caught.value.remedy


def test_an_open_model_offline_asks_for_no_acceptance(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    with pytest.raises(EncoderError) as caught:
        encoder("phikon-v2")
    assert "Accept" not in caught.value.remedy
    assert "Owkin non-commercial" in caught.value.remedy


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_files, "find_spec", lambda name: None if name in ("timm", "conch") else True)
    with pytest.raises(EncoderError, match="needs timm, which is not installed") as caught:
        encoder("virchow2")
    assert "pip install 'histokin[foundation]'" in caught.value.remedy
    with pytest.raises(EncoderError, match="needs timm and conch") as caught:
        encoder("conch")
    assert "github.com/mahmoodlab/CONCH" in caught.value.remedy


def test_unknown_name() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'uni2-h'"):
        encoder("uni2h")
    with pytest.raises(UnknownName, match="no foundation model"):
        foundation.foundation("resnet50")
    with pytest.raises(AttributeError):
        _ = foundation.nobody


@pytest.mark.parametrize("name", sorted(set(FOUNDATION) - {"conch"}))
def test_networks_have_the_parameters_and_the_length_of_the_table(name: str, timm: Any) -> None:
    model = FOUNDATION[name]
    with torch.device("meta"):
        network = foundation.build(model)
    assert sum(parameter.numel() for parameter in network.parameters()) == model.parameters
    assert network.num_features * (2 if model.features == "cls+mean" else 1) == model.dim


def test_contract(tiny: FoundationModel, timm: Any) -> None:
    made = foundation.foundation("tiny", weights="random")
    check_encoder(made)
    assert made.spec.name == "tiny-random"
    assert made.spec.space.startswith("tiny/random-")
    assert made.spec.mpp == 0.5


def test_features_by_hand(timm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = replace(TINY, dim=64, features="cls+mean", options=(*TINY.options, ("reg_tokens", 4)), swiglu=True)
    network = foundation.build(model).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        tokens = network.forward_features(images)
        assert tokens.shape == (2, 1 + 4 + 16, 32)
        made = foundation.features("cls+mean", network, images)
        assert torch.equal(made[:, :32], tokens[:, 0])
        assert torch.allclose(made[:, 32:], tokens[:, 5:].mean(dim=1))
        assert torch.allclose(foundation.features("cls", network, images), network(images))


def test_a_file_put_into_the_folder_is_found(tiny: FoundationModel, timm: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = foundation.build(tiny)
    place = tmp_path / "weights" / "tiny" / "pytorch_model.bin"
    place.parent.mkdir(parents=True)
    torch.save(network.state_dict(), place)
    made = foundation.foundation("tiny")
    assert made.spec.space == foundation.foundation("tiny", weights=place).spec.space
    assert "random" not in made.spec.name
    torch.save({**network.state_dict(), "cls_token": torch.zeros(1, 1, 16)}, place)
    with pytest.raises(EncoderError, match="another network") as caught:
        foundation.foundation("tiny")
    assert caught.value.path == str(place)


PLAIN = {"layernorm_before": "norm1", "layernorm_after": "norm2", "intermediate.dense": "mlp.fc1"}


def renamed(state: dict[str, Any], kind: str) -> dict[str, Any]:
    """timm's tensors under the names that transformers gives them, written down here a second time."""
    made = {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.position_embeddings": state["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": state["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": state["patch_embed.proj.bias"],
        "layernorm.weight": state["norm.weight"],
        "layernorm.bias": state["norm.bias"],
        "pooler.dense.weight" if kind == "vit" else "embeddings.mask_token": torch.zeros(2, 2),
    }
    parts = {**PLAIN, "output.dense": "mlp.fc2", "attention.output.dense": "attn.proj"}
    if kind == "dinov2":
        parts = {p: p for p in ("norm1", "norm2", "mlp.fc1", "mlp.fc2")} | {"attention.output.dense": "attn.proj"}
    for number in range(2):
        theirs, ours = f"encoder.layer.{number}", f"blocks.{number}"
        for end in ("weight", "bias"):
            made |= {f"{theirs}.{their}.{end}": state[f"{ours}.{our}.{end}"] for their, our in parts.items()}
            thirds = state[f"{ours}.attn.qkv.{end}"].chunk(3)
            for name, third in zip(("query", "key", "value"), thirds, strict=True):
                made[f"{theirs}.attention.attention.{name}.{end}"] = third
        if kind == "dinov2":
            made |= {f"{theirs}.layer_scale{i}.lambda1": state[f"{ours}.ls{i}.gamma"] for i in (1, 2)}
    return made


@pytest.mark.parametrize("kind", ["vit", "dinov2"])
@pytest.mark.parametrize("prefix", ["", "own"])
def test_files_with_the_names_of_transformers(kind: Any, prefix: str, timm: Any) -> None:
    options = TINY.options if kind == "vit" else (*TINY.options, ("init_values", 1e-5))
    state = foundation.build(replace(TINY, options=options)).state_dict()
    theirs = renamed(state, kind)
    if prefix:
        theirs = {f"{kind}.{name}": tensor for name, tensor in theirs.items()}
    made = timm_names(theirs, kind)
    assert set(made) == set(state)
    assert all(torch.equal(made[name], state[name]) for name in state)
    assert timm_names(state, kind) == state


def test_a_file_without_keys_is_refused_not_guessed() -> None:
    state = {"encoder.layer.0.attention.attention.query.weight": torch.zeros(2, 2), "odd": torch.zeros(1)}
    assert set(timm_names(state, "vit")) == {"odd"}


def test_index_stops_before_anything_is_read(tile_set: Path, tmp_path: Path) -> None:
    """A whole process, with a hub that nobody answers for."""
    for variables in ({"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}):
        done = subprocess.run(
            [sys.executable, "-m", "histokin", "index", tile_set, "-a", tmp_path / "archive", "--encoder", "uni"],
            env={**os.environ, **variables, "HISTOKIN_WEIGHTS": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "encoder 'uni'" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "archive").exists()


def test_vectors_of_stand_ins_differ(tiny: FoundationModel, timm: Any) -> None:
    draws = np.random.default_rng(0)
    images = [draws.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(3)]
    vectors = foundation.foundation("tiny", weights="random").encode(images)
    assert np.linalg.norm(vectors[0] - vectors[1]) > 1e-3
