"""Weight files of PyTorch networks: read, matched with a network, identified. PyTorch is imported when called."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from histokin.errors import EncoderError

Network = Any
"""A ``torch.nn.Module``; tensors are Any too: PyTorch is not imported for the sake of annotations."""

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts put the weights."""

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".torch")

_COUNTERS = "num_batches_tracked"


def read_state(path: str | Path) -> dict[str, Any]:
    """The tensors of a ``.safetensors`` file or a PyTorch state dictionary, by name, on the CPU.

    Nothing in the file is run. A dictionary inside ``state_dict`` or ``model`` is taken out, and the prefix ``module.``
    of networks trained on several cards is dropped.

    Raises
    ------
    EncoderError
        when the file is missing, damaged, or holds something other than named tensors.
    """
    import torch

    where = Path(path)
    if not where.is_file():
        raise EncoderError("there is no such weight file", path=where, remedy="Check the path of the weights")
    try:
        if where.suffix == ".safetensors":
            from safetensors.torch import load_file

            stored: Any = load_file(where)
        else:
            stored = torch.load(where, map_location="cpu", weights_only=True)
    except Exception as error:  # both libraries raise a dozen kinds for files that are not theirs
        raise EncoderError(
            f"the weights cannot be read ({type(error).__name__})",
            path=where,
            remedy="Copy or download the file again; it must be .safetensors, or torch.save(model.state_dict(), path)",
        ) from None
    for key in WRAPPERS:
        if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping):
            stored = stored[key]
    if not isinstance(stored, Mapping) or not stored or not all(isinstance(v, torch.Tensor) for v in stored.values()):
        raise EncoderError(
            "the file holds something other than named tensors",
            path=where,
            remedy="Save plain weights: torch.save(model.state_dict(), path)",
        )
    return {str(name).removeprefix("module."): tensor for name, tensor in stored.items()}


def filled(build: Callable[[], Network], state: Mapping[str, Any], path: str | Path) -> Network:
    """The network that ``build`` makes, with the tensors of ``state`` as its weights, in evaluation mode.

    Raises
    ------
    EncoderError
        when tensors are missing, left over, or of other shapes; ``path`` is named.
    """
    import torch

    with torch.device("meta"):
        network = build()
    wanted = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith(_COUNTERS)}
    given = {name: tensor for name, tensor in state.items() if not name.endswith(_COUNTERS)}
    if problem := _difference(wanted, given):
        raise EncoderError(
            f"the weights belong to another network ({problem})",
            path=Path(path),
            remedy="Give the file that was made for this encoder",
        )
    kept = {name for name, _ in network.named_buffers()} <= set(network.state_dict())
    # Buffers that no file holds have to be computed as usual.
    network = network.to_empty(device="cpu") if kept else build()
    network.load_state_dict(given, strict=False)
    for name, buffer in network.named_buffers():
        if name.endswith(_COUNTERS):
            buffer.zero_()
    return network.eval()


def digest(network: Network, leave_out: str = "") -> str:
    """SHA-256 of all weights but those whose names begin with ``leave_out``: 64 hexadecimal digits.

    The same numbers give the same digest, whatever the kind of file they came in.
    """
    import torch

    made = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        if name.endswith(_COUNTERS) or (leave_out and name.startswith(leave_out)):
            continue
        made.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        made.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return made.hexdigest()


def _difference(wanted: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """What does not fit, as one clause; empty when all does."""
    missing = sorted(set(wanted) - set(given))
    surplus = sorted(set(given) - set(wanted))
    shapes = sorted(name for name in set(wanted) & set(given) if wanted[name].shape != given[name].shape)
    found = []
    if missing:
        found.append(f"{len(missing)} tensors are missing, such as {missing[0][:60]}")
    if surplus:
        found.append(f"{len(surplus)} are unknown, such as {surplus[0][:60]}")
    if shapes:
        name = shapes[0]
        found.append(f"{name[:60]} is {tuple(given[name].shape)}, not {tuple(wanted[name].shape)}")
    return "; ".join(found)
