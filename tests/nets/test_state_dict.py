"""Weight files of PyTorch networks."""

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from histokin.errors import EncoderError
from histokin.nets.backbones import build
from histokin.nets.state_dict import digest, filled, read_state

torch = pytest.importorskip("torch")


def small() -> Any:
    return build("dcnn", 3)


@pytest.fixture(scope="module")
def network() -> Any:
    return build("dcnn", 3, seed=7)


def saved(folder: Path, what: Any, name: str = "weights.pth") -> Path:
    torch.save(what, folder / name)
    return folder / name


def test_the_same_numbers_have_the_same_digest_whatever_the_file(network: Any, tmp_path: Path) -> None:
    state = network.state_dict()
    save_file(state, tmp_path / "w.safetensors")
    files = [
        tmp_path / "w.safetensors",
        saved(tmp_path, state, "plain.pth"),
        saved(tmp_path, {"state_dict": state, "epoch": 3}, "checkpoint.pth"),
        saved(tmp_path, {f"module.{name}": tensor for name, tensor in state.items()}, "parallel.pt"),
        saved(tmp_path, {n: t for n, t in state.items() if not n.endswith("batches_tracked")}, "old.bin"),
    ]
    assert {digest(filled(small, read_state(path), path)) for path in files} == {digest(network)}


def test_one_changed_number_is_another_digest(network: Any) -> None:
    other = build("dcnn", 3, seed=7)
    assert digest(other) == digest(network)
    with torch.no_grad():
        other.body[0].weight[0, 0, 0, 0] += 1e-3
    assert digest(other) != digest(network)
    assert digest(other, leave_out="body.0") == digest(network, leave_out="body.0")


def test_filled_is_the_network_as_it_was(network: Any, tmp_path: Path) -> None:
    made = filled(small, read_state(saved(tmp_path, network.state_dict())), tmp_path)
    images = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(made(images), network(images))
    assert not made.training


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fc.weight": None}, "1 tensors are missing, such as fc.weight"),
        ({"extra": torch.zeros(1)}, "1 are unknown, such as extra"),
        ({"fc.weight": torch.zeros(4, 256)}, r"fc.weight is \(4, 256\), not \(3, 256\)"),
    ],
)
def test_weights_of_another_network_are_refused(
    network: Any, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    state = {name: t for name, t in {**network.state_dict(), **change}.items() if t is not None}
    with pytest.raises(EncoderError, match=said) as caught:
        filled(small, state, tmp_path / "w.pth")
    assert caught.value.path == str(tmp_path / "w.pth")
    assert caught.value.remedy


def test_files_that_are_no_weights(network: Any, tmp_path: Path) -> None:
    whole = saved(tmp_path, network.state_dict()).read_bytes()
    bad = {
        "none.pth": (None, "no such weight file"),
        "cut.pth": (whole[: len(whole) // 2], "cannot be read"),
        "text.pth": (b"hello", "cannot be read"),
        "empty.safetensors": (b"", "cannot be read"),
    }
    for name, (content, said) in bad.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(EncoderError, match=said) as caught:
            read_state(tmp_path / name)
        assert caught.value.path == str(tmp_path / name)
        assert "\n" not in caught.value.reason


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    with pytest.raises(EncoderError, match="cannot be read"):
        read_state(saved(tmp_path, {"a": Trap()}))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("what", [[1, 2], {}, {"a": 1}, 3.5])
def test_a_file_of_other_things(tmp_path: Path, what: Any) -> None:
    with pytest.raises(EncoderError, match="other than named tensors"):
        read_state(saved(tmp_path, what))
