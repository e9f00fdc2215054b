"""PyTorch weight files read without PyTorch, and refused when they hold anything else."""

import collections
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histokin.errors import HistokinError, UnreadableFile, UnsupportedFormat
from histokin.nets.torch_file import read_torch_tensors

torch = pytest.importorskip("torch")


def saved(folder: Path, what: Any) -> Path:
    path = folder / "weights.pth"
    torch.save(what, path)
    return path


def zipped(folder: Path, pickled: bytes, **members: bytes) -> Path:
    """A file laid out like PyTorch's, with any pickle in it."""
    path = folder / "made.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, data in members.items():
            archive.writestr(f"archive/{name.replace('__', '/')}", data)
    return path


def repacked(path: Path, **changed: bytes | None) -> Path:
    """The file with some members' content replaced (None: left out)."""
    out = path.with_name("repacked.pth")
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(out, "w") as after:
        for name in before.namelist():
            data = changed.get(name.split("/", 1)[1].replace("/", "__").replace(".", "_"), before.read(name))
            if data is not None:
                after.writestr(name, data)
    return out


def test_a_state_dict_of_a_network(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU(), torch.nn.Conv2d(5, 2, 1)).double()
    read = read_torch_tensors(saved(tmp_path, net.state_dict()))
    assert list(read) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    for name, tensor in net.state_dict().items():
        assert read[name].dtype == np.float64
        assert np.array_equal(read[name], tensor.numpy())


def test_views_halves_parameters_and_plain_dictionaries(tmp_path: Path) -> None:
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    given = {
        "turned": whole.T,
        "part": whole[1:3, ::2],
        "half": whole.half(),
        "parameter": torch.nn.Parameter(whole[0]),
        "number": torch.tensor(2.5),
        "nothing": torch.zeros(0, 3),
    }
    read = read_torch_tensors(saved(tmp_path, given))
    for name, tensor in given.items():
        assert np.array_equal(read[name], tensor.detach().numpy()), name
        assert read[name].dtype == tensor.detach().numpy().dtype
        assert read[name].flags.writeable


def test_big_endian_files(tmp_path: Path) -> None:
    path = saved(tmp_path, {"x": torch.tensor([1.0, -2.0, 3.5])})
    swapped = np.array([1.0, -2.0, 3.5], ">f4").tobytes()
    with zipfile.ZipFile(path) as archive:
        key = next(name.split("/")[-1] for name in archive.namelist() if "/data/" in name)
    out = repacked(path, byteorder=b"big", **{f"data__{key}": swapped})
    assert np.array_equal(read_torch_tensors(out)["x"], [1.0, -2.0, 3.5])


class Wicked:
    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_nothing_in_the_file_is_ever_run(tmp_path: Path, protocol: int) -> None:
    trap = tmp_path / "trapped"
    for call, arguments in (
        (os.mkdir, (str(trap),)),
        (exec, (f"open({str(trap)!r}, 'w')",)),
        (eval, (f"__import__('os').mkdir({str(trap)!r})",)),
        (__import__, ("os",)),
        (collections.Counter, ()),
    ):
        for wrapped in (Wicked(call, *arguments), {"x": Wicked(call, *arguments)}, [Wicked(call, *arguments)]):
            path = zipped(tmp_path, pickle.dumps(wrapped, protocol))
            with pytest.raises(UnsupportedFormat) as caught:
                read_torch_tensors(path)
            assert caught.value.path == str(path)
            assert caught.value.remedy
            assert not trap.exists()


@pytest.mark.parametrize(
    "what",
    [
        {"x": torch.zeros(2, dtype=torch.int64)},
        {"x": torch.zeros(2, dtype=torch.bfloat16)},
        {"x": torch.zeros(2), "epoch": 3},
        {"state_dict": {"x": torch.zeros(2)}},
        {1: torch.zeros(2)},
        {},
        [torch.zeros(2)],
        torch.zeros(2),
        torch.nn.Linear(2, 2),
    ],
    ids=["integers", "bfloat16", "a number", "nested", "no name", "empty", "list", "tensor", "whole model"],
)
def test_other_than_named_tensors_is_refused(tmp_path: Path, what: Any) -> None:
    with pytest.raises(UnsupportedFormat):
        read_torch_tensors(saved(tmp_path, what))


def test_a_pickle_that_would_unfold_without_end_is_refused_at_once(tmp_path: Path) -> None:
    deep: Any = ()
    for _ in range(200):
        deep = (deep, deep)
    as_key = b"".join(b"q%ch%c\x86" % (i, i) for i in range(200))
    for pickled in (pickle.dumps({"x": deep}, 2), b"\x80\x02})" + as_key + b"K\x01s."):
        with pytest.raises(UnsupportedFormat):
            read_torch_tensors(zipped(tmp_path, pickled))


def test_descriptions_that_reach_beyond_their_numbers_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {"x": torch.arange(6, dtype=torch.float32)})
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        described = archive.read(next(n for n in names if n.endswith("data.pkl")))
        key = next(n.split("/")[-1] for n in names if "/data/" in n)
    assert described.count(b"K\x06") == 2
    longer = described[::-1].replace(b"\x06K", b"\x07K", 1)[::-1]
    for changed in (
        {"data_pkl": longer},
        {"data_pkl": described.replace(b"K\x06", b"M\xff\xff")},
        {f"data__{key}": b"\0" * 20},
        {f"data__{key}": None},
        {"data_pkl": described[:-5]},
        {"data_pkl": b""},
    ):
        with pytest.raises(UnreadableFile):
            read_torch_tensors(repacked(path, **changed))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="No such file"):
        read_torch_tensors(tmp_path / "missing.pth")
    with pytest.raises(UnreadableFile):
        read_torch_tensors(tmp_path)
    for data in (b"", b"PK\x03\x04", b"not a zip" * 50, pickle.dumps({"x": 1})):
        path = tmp_path / "bad.pth"
        path.write_bytes(data)
        with pytest.raises(UnreadableFile):
            read_torch_tensors(path)
    old = tmp_path / "old.pth"
    torch.save({"x": torch.zeros(2)}, old, _use_new_zipfile_serialization=False)
    with pytest.raises(UnreadableFile):
        read_torch_tensors(old)
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(UnsupportedFormat, match="no PyTorch weights"):
        read_torch_tensors(tmp_path / "plain.zip")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_bytes_give_typed_errors_or_the_tensors(tmp_path: Path, data: st.DataObject) -> None:
    """Any byte of the description changed: an error of ours, or tensors of float numbers; never another exception."""
    buffer = io.BytesIO()
    torch.save(torch.nn.Linear(3, 2).state_dict(), buffer)
    with zipfile.ZipFile(buffer) as archive:
        pickled = bytearray(archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl"))))
        members = {n.split("/", 1)[1]: archive.read(n) for n in archive.namelist() if not n.endswith("data.pkl")}
    for _ in range(data.draw(st.integers(1, 4))):
        pickled[data.draw(st.integers(0, len(pickled) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "fuzzed.pth"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("archive/data.pkl", bytes(pickled))
        for name, content in members.items():
            made.writestr(f"archive/{name}", content)
    try:
        read = read_torch_tensors(path)
    except HistokinError:
        return
    assert all(isinstance(array, np.ndarray) and array.dtype.kind == "f" for array in read.values())
