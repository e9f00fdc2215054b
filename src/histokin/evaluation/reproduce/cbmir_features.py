"""The paper's data base: one JSON file with file name, label and numbers of every image, which is what is searched."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from histokin.encoders.identity import model_sha
from histokin.errors import UnreadableFile
from histokin.types import Vectors

VERSION = 1


def write_features(path: Path, files: Sequence[str], labels: Sequence[str], vectors: Vectors, space: str) -> Path:
    """Write the data base; numbers are written so that they come back as the same single-precision numbers.

    ``space`` is that of the encoder; the digest of its weights goes into the file.
    """
    items = [
        {"file": file, "label": label, "feature": row}
        for file, label, row in zip(files, labels, vectors.astype(np.float64).tolist(), strict=True)
    ]
    content = {"version": VERSION, "model_sha": model_sha(space), "latent_dim": vectors.shape[1], "items": items}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def read_features(path: Path) -> tuple[list[str], list[str], Vectors]:
    """File names, labels and vectors of a data base.

    Raises
    ------
    UnreadableFile
        when it is missing, is no such file, or is of another version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']}")
        items = content["items"]
        vectors = np.array([item["feature"] for item in items], np.float32)
        if vectors.shape != (len(items), content["latent_dim"]):
            raise ValueError("the numbers of an image are missing")
        return [item["file"] for item in items], [item["label"] for item in items], vectors
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableFile(
            f"not a data base of features ({error})", path=path, remedy="Delete it and make the page again"
        ) from None
