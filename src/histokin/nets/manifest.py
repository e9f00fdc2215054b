"""Weight manifests: what a weight file is, what it takes, where it comes from, and its digest."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, final

from histokin.errors import EncoderError

MANIFEST = "encoder.json"
WHOLE = ("input_px", "dim")


@final
@dataclass(frozen=True)
class WeightManifest:
    """The description that lies beside a weight file, as ``encoder.json``.

    ``input_px`` is the side of the square input in pixels, ``mpp`` the scale in microns per pixel it is meant for
    (None: any). ``mean`` and ``std`` standardize RGB values in 0 to 1, one per channel; ``preprocessing`` tells who
    applies them: the "graph" (it takes 0 to 255), or the "encoder" (the graph takes standardized float32).
    ``sha256`` is the digest of the weight file.
    """

    name: str
    file: str
    sha256: str
    input_px: int
    dim: int
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    preprocessing: Literal["graph", "encoder"] = "encoder"
    mpp: float | None = None
    metric: Literal["euclidean", "cosine"] = "euclidean"
    precision: str = "fp32"
    licence: str = "unknown"
    upstream: str = ""
    layer: str = ""
    training_data: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def save(self, folder: Path) -> Path:
        """Write ``encoder.json`` into ``folder`` and return its path."""
        path = folder / MANIFEST
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        return path


def load_manifest(path: str | Path) -> tuple[WeightManifest, Path]:
    """The manifest and the path of the weight file beside it.

    Parameters
    ----------
    path : an ``encoder.json``, the folder that holds one, or an ``.onnx`` file beside one.

    Raises
    ------
    EncoderError
        when the manifest is missing, is not one, or its weight file is not there.
    """
    place = Path(path).expanduser()
    if place.suffix == ".json":
        where = place
    elif place.suffix == ".onnx":
        where = place.parent / MANIFEST
    else:
        where = place / MANIFEST
    try:
        raw = json.loads(where.read_text(encoding="utf-8"))
    except OSError as error:
        raise EncoderError(
            f"the manifest cannot be read ({error.strerror or 'no such file'})",
            path=where,
            remedy=f"Give a folder with the ONNX file and an {MANIFEST}; docs/encoder-card.md lists its keys",
        ) from None
    except ValueError:
        raise EncoderError(
            "the manifest is not JSON", path=where, remedy="Restore it, or install histokin again"
        ) from None
    manifest = _parse(raw, where)
    weights = where.parent / manifest.file
    if place.suffix == ".onnx" and place.name != manifest.file:
        raise EncoderError(
            f"the manifest beside it describes another file, {manifest.file}",
            path=place,
            remedy=f"Give that file, or put this one into a folder with its own {MANIFEST}",
        )
    if not weights.is_file():
        raise EncoderError(
            "the weight file is missing", path=weights, remedy="Restore it beside its manifest, or install again"
        )
    return manifest, weights


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file, 64 lower-case hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _parse(raw: Any, where: Path) -> WeightManifest:
    def wrong(reason: str) -> EncoderError:
        return EncoderError(reason, path=where, remedy="Correct the manifest; docs/encoder-card.md lists its keys")

    if not isinstance(raw, dict):
        raise wrong("the manifest is not a JSON object")
    known = {field.name for field in fields(WeightManifest)}
    if surplus := sorted(set(raw) - known):
        raise wrong(f"the manifest has unknown keys: {', '.join(surplus)}")
    needed = ("name", "file", "sha256", *WHOLE)
    if missing := [key for key in needed if key not in raw]:
        raise wrong(f"the manifest lacks {', '.join(missing)}")
    if problem := _problem(raw):
        raise wrong(problem)
    values = {key: tuple(float(v) for v in raw[key]) for key in ("mean", "std") if key in raw}
    return WeightManifest(**{**raw, **values})


def _problem(raw: dict[str, Any]) -> str | None:
    """The first thing wrong with the values, as one clause, or None."""
    text = ("name", "file", "sha256", "precision", "licence", "upstream", "layer", "training_data")
    mpp = raw.get("mpp")
    rules = [(isinstance(raw.get(key, ""), str), f"{key} is not text") for key in text]
    rules += [(type(raw[key]) is int and raw[key] > 0, f"{key} is not a whole number above 0") for key in WHOLE]
    rules += [
        (_three_numbers(raw.get(key, [1, 1, 1])), f"{key} is not three numbers within 1000") for key in ("mean", "std")
    ]
    rules += [
        (mpp is None or (_number(mpp) and mpp > 0), "mpp is neither null nor a number above 0"),
        (raw.get("preprocessing", "graph") in ("graph", "encoder"), "preprocessing is not graph or encoder"),
        (raw.get("metric", "cosine") in ("euclidean", "cosine"), "metric is not euclidean or cosine"),
    ]
    if wrong := next((reason for good, reason in rules if not good), None):
        return wrong
    if not raw["name"] or not raw["file"] or Path(raw["file"]).name != raw["file"]:
        return "name is empty, or file is not a plain file name"
    return None if min(raw.get("std", [1])) >= 1e-6 else "std holds a value below 0.000001"


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _three_numbers(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(_number(v) and abs(v) <= 1000 for v in value)
