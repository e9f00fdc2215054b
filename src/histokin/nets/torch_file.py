"""Reading a PyTorch weight file without PyTorch, and without running anything that is in it.

The file is a zip with one pickle, which describes tensors, and the raw numbers of each beside it. The pickle is
not unpickled: its instructions are listed by :mod:`pickletools`, which executes nothing, and the few that a
dictionary of tensors needs are followed here. A pickle that asks for anything else is refused.
"""

import pickletools
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float

from histokin.errors import UnreadableFile, UnsupportedFormat

LARGEST_FILE = 1 << 30
LARGEST_PICKLE = 1 << 22

STORAGES = {"torch FloatStorage": "f4", "torch DoubleStorage": "f8", "torch HalfStorage": "f2"}
DICT = "collections OrderedDict"
TENSOR = "torch._utils _rebuild_tensor_v2"
PARAMETER = "torch._utils _rebuild_parameter"
KNOWN = frozenset({*STORAGES, DICT, TENSOR, PARAMETER})

Tensors = dict[str, Float[np.ndarray, "..."]]

_REMEDY = "Save plain weights: torch.save(model.state_dict(), path), in PyTorch 1.6 or later"


@final
@dataclass(frozen=True)
class _Global:
    """A class or function that the pickle names; it is never looked up."""

    name: str


@final
@dataclass(frozen=True)
class _Storage:
    kind: str
    key: str
    count: int


@final
@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RefusedError(Exception):
    """The pickle holds something other than tensors; the message says what."""


def read_torch_tensors(path: str | Path) -> Tensors:
    """The tensors of a state dict, by name, in the file's order; half, single or double precision as stored.

    Raises
    ------
    UnreadableFile
        when the file is missing, cut off or damaged.
    UnsupportedFormat
        for a file of another kind, or one that holds more than a flat dictionary of floating-point tensors.
    """
    where = Path(path)
    try:
        if where.stat().st_size > LARGEST_FILE:
            raise _RefusedError("the file is too large for weights of this kind")
        with zipfile.ZipFile(where) as archive:
            return _tensors(archive)
    except OSError as error:
        raise UnreadableFile(
            f"the weights cannot be read ({error.strerror or error})", remedy="Check the path", path=where
        ) from None
    except _RefusedError as error:
        raise UnsupportedFormat(str(error), remedy=_REMEDY, path=where) from None
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        EOFError,
        OverflowError,
    ):
        raise UnreadableFile(
            "the file is damaged, or no PyTorch weight file", remedy="Copy or download it again", path=where
        ) from None


def _tensors(archive: zipfile.ZipFile) -> Tensors:
    pickles = [info for info in archive.infolist() if info.filename.split("/")[-1] == "data.pkl"]
    if len(pickles) != 1:
        raise _RefusedError("the zip file holds no PyTorch weights")
    if pickles[0].file_size > LARGEST_PICKLE:
        raise _RefusedError("its description of tensors is implausibly long")
    prefix = pickles[0].filename.removesuffix("data.pkl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pickletools lets Python warn of odd escapes in damaged texts
        found = _follow(archive.read(pickles[0]))
    if not isinstance(found, dict) or not found:
        raise _RefusedError("the file holds no dictionary of tensors")
    mark = f"{prefix}byteorder"
    big = mark in archive.namelist() and archive.read(mark).strip() == b"big"
    tensors: Tensors = {}
    size = 0
    for name, tensor in found.items():
        if not isinstance(tensor, _Tensor):
            raise _RefusedError(f"the dictionary holds more than tensors, at {name[:60]!r}")
        tensors[name] = _numbers(archive, prefix, tensor, big)
        size += tensors[name].nbytes
        if size > LARGEST_FILE:
            raise _RefusedError("its tensors are too large for weights of this kind")
    return tensors


def _numbers(archive: zipfile.ZipFile, prefix: str, tensor: _Tensor, big: bool) -> Float[np.ndarray, "..."]:
    """The tensor's numbers, copied out of its storage, which must hold all of them."""
    dtype = np.dtype(STORAGES[tensor.storage.kind]).newbyteorder(">" if big else "<")
    info = archive.getinfo(f"{prefix}data/{tensor.storage.key}")
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != tensor.storage.count * dtype.itemsize:
        raise ValueError("a storage has another size than its description says")
    if len(tensor.shape) != len(tensor.strides) or min((tensor.offset, *tensor.shape, *tensor.strides)) < 0:
        raise ValueError("a tensor's shape is impossible")
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if 0 not in tensor.shape and last >= tensor.storage.count:
        raise ValueError("a tensor reaches beyond its storage")
    if np.prod(tensor.shape, dtype=object) > tensor.storage.count:
        raise ValueError("a tensor repeats its storage")
    stored = np.frombuffer(archive.read(info), dtype)[tensor.offset :]
    steps = tuple(step * dtype.itemsize for step in tensor.strides)
    view = np.lib.stride_tricks.as_strided(stored, tensor.shape, steps, writeable=False)
    return view.astype(dtype.newbyteorder("="))


_MARK = object()


def _follow(pickle: bytes) -> Any:
    """What the pickle describes: dictionaries, tuples, texts, numbers, tensors."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    arg: Any
    for opcode, arg, _ in pickletools.genops(pickle):
        if opcode.name == "STOP":
            return stack.pop()
        if opcode.name in _CONSTANTS:
            stack.append(_CONSTANTS[opcode.name]())
        elif opcode.name in _LITERALS:
            stack.append(arg)
        elif opcode.name in ("BINPUT", "LONG_BINPUT"):
            memo[arg] = stack[-1]
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[arg])
        elif opcode.name == "GLOBAL":
            stack.append(_named(arg))
        elif opcode.name in _STEPS:
            _STEPS[opcode.name](stack)
        elif opcode.name not in ("PROTO", "FRAME"):
            raise _RefusedError(f"the file holds more than tensors (pickle instruction {opcode.name})")
    raise EOFError


def _named(name: str) -> _Global:
    if name not in KNOWN:
        raise _RefusedError(f"the file asks for '{name.replace(' ', '.')[:80]}', which weights have no need of")
    return _Global(name)


def _since_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1 - stack[::-1].index(_MARK)
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _tuple(count: int | None) -> Callable[[list[Any]], None]:
    def step(stack: list[Any]) -> None:
        items = _since_mark(stack) if count is None else [stack.pop() for _ in range(count)][::-1]
        stack.append(tuple(items))

    return step


def _set_items(stack: list[Any]) -> None:
    items = _since_mark(stack)
    for key, value in zip(items[::2], items[1::2], strict=True):
        _set(stack[-1], key, value)


def _set_item(stack: list[Any]) -> None:
    value, key = stack.pop(), stack.pop()
    _set(stack[-1], key, value)


def _set(where: Any, key: Any, value: Any) -> None:
    if not isinstance(where, dict) or not isinstance(key, str):
        raise _RefusedError("the file holds a dictionary that is not by name")
    where[key] = value


def _leave_state(stack: list[Any]) -> None:
    """A state dict's attributes (``_metadata``) are of no use here."""
    stack.pop()
    if not isinstance(stack[-1], dict):
        raise _RefusedError("the file holds more than tensors (an object with a state)")


def _storage(stack: list[Any]) -> None:
    match stack.pop():
        case ("storage", _Global(name=kind), str() as key, _, int() as count) if kind in STORAGES:
            stack.append(_Storage(kind, key, count))
        case _:
            raise _RefusedError("the file holds other numbers than half, single or double precision")


def _call(stack: list[Any]) -> None:
    """The outcome of the three calls that a state dict is made of; nothing is called."""
    arguments, function = stack.pop(), stack.pop()
    match (function, arguments):
        case (_Global(name="collections OrderedDict"), ()):
            stack.append({})
        case (_Global(name="torch._utils _rebuild_parameter"), (_Tensor() as tensor, *_)):
            stack.append(tensor)
        case (
            _Global(name="torch._utils _rebuild_tensor_v2"),
            (_Storage() as storage, int() as offset, tuple() as shape, tuple() as strides, *_),
        ) if all(type(n) is int for n in (*shape, *strides)):
            stack.append(_Tensor(storage, offset, shape, strides))
        case _:
            raise _RefusedError("the file holds more than tensors (a call of something else)")


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": lambda: (),
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_LITERALS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE"})
_STEPS: dict[str, Callable[[list[Any]], None]] = {
    "TUPLE": _tuple(None),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "BUILD": _leave_state,
    "BINPERSID": _storage,
    "REDUCE": _call,
}
