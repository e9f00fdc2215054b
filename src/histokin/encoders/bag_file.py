"""A bag of words on disk: ``bag.json`` and ``vocabulary.npy`` in one folder."""

import io
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from histokin.errors import EncoderError
from histokin.nets.manifest import file_digest

MANIFEST, WORDS = "bag.json", "vocabulary.npy"
KIND, VERSION = "bag-of-words", 1
AGAIN = "Learn it again with: histokin train vocabulary"


@final
@dataclass(frozen=True)
class BagManifest:
    """What a vocabulary is of.

    ``features`` and ``options`` make the local features again, ``features_space`` tells whether they are the same;
    ``space`` is the encoder's; ``learned`` holds facts about the learning, which nothing depends on.
    """

    features: str
    options: dict[str, Any]
    features_space: str
    space: str
    words: int
    dim: int
    input_px: int
    learned: dict[str, Any] = field(default_factory=dict)


def write_bag(folder: Path, manifest: BagManifest, vocabulary: Float32[np.ndarray, "k d"]) -> Path:
    """Write both files, the manifest last; raises :class:`EncoderError` where that is impossible."""
    buffer = io.BytesIO()
    np.save(buffer, vocabulary, allow_pickle=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        (folder / WORDS).write_bytes(buffer.getvalue())
        said = {"kind": KIND, "version": VERSION, **asdict(manifest), "sha256": file_digest(folder / WORDS)}
        (folder / MANIFEST).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise EncoderError(
            f"the vocabulary cannot be written ({error.strerror})", path=folder, remedy="Give another folder"
        ) from None
    return folder


def read_bag(folder: Path) -> tuple[BagManifest, Float32[np.ndarray, "k d"]]:
    """The manifest and the words; raises :class:`EncoderError` for a folder that holds none, or a damaged one."""
    manifest, digest = _manifest(folder / MANIFEST)
    file = folder / WORDS
    try:
        if file_digest(file) != digest:
            raise EncoderError(f"its digest is not the one in {MANIFEST}", path=file, remedy=AGAIN)
        words = np.load(file, allow_pickle=False)
    except OSError as error:
        raise EncoderError(
            f"the vocabulary cannot be read ({error.strerror or 'damaged'})", path=file, remedy=AGAIN
        ) from None
    except ValueError:
        raise EncoderError("is no array of numbers", path=file, remedy=AGAIN) from None
    if words.dtype != np.float32 or words.shape != (manifest.words, manifest.dim):
        raise EncoderError(
            f"holds {words.dtype} {words.shape}, the manifest says float32 ({manifest.words}, {manifest.dim})",
            path=file,
            remedy=AGAIN,
        )
    return manifest, words


def _manifest(path: Path) -> tuple[BagManifest, str]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EncoderError(
            f"the manifest cannot be read ({error.strerror or 'no such file'})",
            path=path,
            remedy=f"Give a folder that holds {MANIFEST} and {WORDS}. {AGAIN}",
        ) from None
    except ValueError:
        raise EncoderError("the manifest is not JSON", path=path, remedy=AGAIN) from None
    if not isinstance(raw, dict) or raw.get("kind") != KIND:
        raise EncoderError("the manifest is not that of a bag of words", path=path, remedy=AGAIN)
    if raw.get("version") != VERSION:
        raise EncoderError(
            f"the manifest has version {raw.get('version')}, this histokin reads {VERSION}",
            path=path,
            remedy="Use the version of histokin that wrote it, or learn it again",
        )
    values = {key: raw.get(key) for key in (one.name for one in fields(BagManifest))}
    kinds = {"features": str, "options": dict, "features_space": str, "space": str, "learned": dict}
    wrong = [key for key, kind in kinds.items() if not isinstance(values[key], kind)]
    wrong += [key for key in ("words", "dim", "input_px") if type(values[key]) is not int]
    if wrong or not isinstance(raw.get("sha256"), str):
        raise EncoderError(f"the manifest lacks {', '.join(wrong) or 'sha256'}", path=path, remedy=AGAIN)
    return BagManifest(**{key: value for key, value in values.items() if value is not None}), raw["sha256"]
