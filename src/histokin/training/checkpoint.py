"""State of an unfinished training on disk: written at once or not at all, refused where it belongs to another."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from histokin.errors import UnreadableFile, UsageError
from histokin.training.files import write_whole

FILE = "checkpoint.pt"
FORMAT = 1


def save_checkpoint(folder: Path, state: Mapping[str, Any], configuration: Mapping[str, Any]) -> Path:
    """Write ``state`` (tensors, numbers, texts, lists and dictionaries of them). Raises :class:`UsageError`."""
    stored = {"format": FORMAT, "configuration": json.dumps(configuration, sort_keys=True), **state}
    return write_whole(folder / FILE, lambda stream: torch.save(stored, stream))


def load_checkpoint(folder: Path, configuration: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state in ``folder``, on the CPU; None where there is none.

    Raises
    ------
    UsageError
        when it belongs to another configuration; names the first difference.
    UnreadableFile
        when it is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        stored: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = stored["format"]
        theirs = json.loads(stored["configuration"])
    except Exception as error:  # torch raises a dozen kinds for damaged files
        raise UnreadableFile(
            f"the checkpoint is damaged ({type(error).__name__})",
            remedy="Delete it to train from the start",
            path=path,
        ) from None
    if found != FORMAT:
        raise UsageError(
            f"the checkpoint is of format {found}, this program writes {FORMAT}", remedy="Choose another --out"
        )
    ours = json.loads(json.dumps(configuration, sort_keys=True))
    if theirs != ours:
        key = next(key for key in sorted({*theirs, *ours}) if theirs.get(key) != ours.get(key))
        raise UsageError(
            f"the folder holds a training of another configuration: {key} is {_short(theirs.get(key))} there "
            f"and {_short(ours.get(key))} here",
            remedy="Choose another --out, or repeat the options of that training to go on with it",
            path=folder,
        )
    return stored


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
