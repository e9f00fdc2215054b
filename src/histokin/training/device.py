"""Where a training runs. PyTorch."""

import torch

from histokin.errors import UsageError


def choose_device(name: str | None) -> torch.device:
    """The device called ``name``; None for a GPU where there is one, else the CPU. Raises :class:`UsageError`."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"the device '{name}' cannot be used ({str(error).splitlines()[0][:100]})",
            remedy="Choose cpu, cuda or cuda:1, or leave --device out",
        ) from None
    return device


def describe_device(device: torch.device) -> str:
    """In words, with the number of threads on the CPU."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}"
    return f"{device.type}, {torch.get_num_threads()} threads"
