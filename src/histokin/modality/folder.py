"""The folder of a trained representation: ``representation.json`` and one ONNX file for each of its networks."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

from histokin.errors import NotComparable, UnreadableFile, UnsupportedFormat, UsageError
from histokin.modality.preparing import Input

FILE = "representation.json"
FORMAT = 1

_REMEDY = "Train it again, or restore the folder from a copy"


@final
@dataclass(frozen=True)
class NetworkFile:
    """A network of the folder: its file, and the SHA-256 that the file must have."""

    file: str
    sha256: str


@final
@dataclass(frozen=True)
class TrainedFolder:
    """What ``representation.json`` says.

    Parameters
    ----------
    kind : comir, pix2pix or cyclegan.
    modalities : the two names, in the order of the training pairs.
    inputs : how images of either modality are prepared.
    networks : by the name of a modality: for CoMIR that of its input, for the others that of its output.
    multiple : both sides of what a network takes must be multiples of it.
    scale : what becomes 0 and what becomes 255 in the 8-bit output.
    channels : of the output, by the name of a network.
    facts : profile, seed, ``steps`` (done, published), digest of the pairs, ...; no part of the space.
    margin : images are mirrored by so many pixels at least on every side before a network sees them.
    """

    kind: str
    modalities: tuple[str, str]
    inputs: dict[str, Input]
    networks: dict[str, NetworkFile]
    multiple: int
    scale: tuple[float, float]
    channels: dict[str, int]
    facts: Mapping[str, Any] = field(default_factory=dict)
    margin: int = 0

    def digest(self, network: str | None = None) -> str:
        """12 hexadecimal digits of all that decides what comes out; of one network alone where it is named."""
        names = sorted(self.networks) if network is None else [network]
        told = {
            "kind": self.kind,
            "modalities": list(self.modalities),
            "inputs": {name: made.to_dict() for name, made in self.inputs.items()},
            "networks": {name: self.networks[name].sha256 for name in names},
            "multiple": self.multiple,
            "margin": self.margin,
            "scale": list(self.scale),
            "channels": {name: self.channels[name] for name in names},
        }
        return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=6).hexdigest()

    def to_json(self) -> str:
        """The content of the file."""
        told = {
            "format": FORMAT,
            "kind": self.kind,
            "modalities": list(self.modalities),
            "inputs": {name: made.to_dict() for name, made in self.inputs.items()},
            "networks": {name: asdict(made) for name, made in self.networks.items()},
            "multiple": self.multiple,
            "margin": self.margin,
            "scale": list(self.scale),
            "channels": self.channels,
            "facts": dict(self.facts),
        }
        return json.dumps(told, indent=2) + "\n"


def read_folder(path: Path, kind: str, digest: str | None = None) -> TrainedFolder:
    """The description in ``path``; networks are opened when they are needed.

    Raises
    ------
    UnreadableFile
        when there is none, or it is damaged.
    UnsupportedFormat
        when it is of another kind or format.
    NotComparable
        when ``digest`` is given and its own is another one.
    """
    where = path / FILE
    try:
        raw = json.loads(where.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableFile(
            f"there is no trained representation ({error.strerror or error})",
            remedy=f"Give the folder that `histokin train {kind}` wrote",
            path=where,
        ) from None
    except ValueError:
        raise UnreadableFile("the description is not JSON", remedy=_REMEDY, path=where) from None
    found = raw.get("kind") if isinstance(raw, dict) else None
    if found != kind or raw.get("format") != FORMAT:
        raise UnsupportedFormat(
            f"the folder holds {f'a {found}' if isinstance(found, str) else 'something else'}, not a {kind} of "
            f"format {FORMAT}",
            remedy="Give the right folder",
            path=where,
        )
    trained = _parsed(raw, where)
    if digest is not None and trained.digest() != digest:
        raise NotComparable(
            f"the trained representation has changed ({trained.digest()}, {digest} was used before)",
            remedy="Put the earlier folder back, or index into a new archive with this one",
            path=where,
        )
    return trained


def _parsed(raw: Mapping[str, Any], where: Path) -> TrainedFolder:
    try:
        first, second = raw["modalities"]
        low, high = raw["scale"]
        trained = TrainedFolder(
            raw["kind"],
            (str(first), str(second)),
            {str(name): Input.from_dict(made) for name, made in raw["inputs"].items()},
            {str(name): NetworkFile(Path(made["file"]).name, made["sha256"]) for name, made in raw["networks"].items()},
            int(raw["multiple"]),
            (float(low), float(high)),
            {str(name): int(count) for name, count in raw["channels"].items()},
            dict(raw.get("facts", {})),
            int(raw.get("margin", 0)),
        )
    except (KeyError, TypeError, ValueError, AttributeError, UsageError):
        trained = None
    if trained is None or not _sound(trained):
        raise UnreadableFile("the description is damaged", remedy=_REMEDY, path=where)
    return trained


def _sound(trained: TrainedFolder) -> bool:
    names = set(trained.modalities)
    return (
        len(names) == 2
        and set(trained.inputs) == names
        and bool(trained.networks)
        and set(trained.networks) <= names
        and set(trained.channels) == set(trained.networks)
        and all(count in (1, 3) for count in trained.channels.values())
        and trained.multiple >= 1
        and trained.margin >= 0
        and trained.scale[0] < trained.scale[1]
    )
