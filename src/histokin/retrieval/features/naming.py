"""Whose vectors a file holds, and whether they belong to an archive's."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from histokin.encoders.base import Encoder
from histokin.encoders.foundation_models import FOUNDATION
from histokin.encoders.identity import model_sha, same_space
from histokin.encoders.imported import IMPORTED, Imported, at_hand
from histokin.encoders.registry import chosen
from histokin.errors import HistokinError, NotComparable, UnreadableFile, UsageError
from histokin.nets.backbones import BACKBONES
from histokin.retrieval.features.base import Head
from histokin.retrieval.recipe import Prepared
from histokin.slides.grid import Grid
from histokin.stain.base import Appearance
from histokin.stain.registry import appearance_from_dict, normalizer

UNKNOWN = "imported"
"""End of the space of vectors whose encoder has a name and nothing more."""


@final
@dataclass(frozen=True)
class Named:
    """The encoder as the user names it: a name, ``NAME=FILE``, or the folder of an ONNX file; where known its space or
    the digest of its weights, and how its vectors are compared.
    """

    name: str | None = None
    space: str | None = None
    digest: str | None = None
    metric: Literal["euclidean", "cosine"] | None = None


def prepare(head: Head, named: Named, grid: Grid | None, path: Path) -> tuple[Prepared, list[str]]:
    """The recipe of a new archive for such vectors, and warnings.

    Raises
    ------
    UsageError
        nothing says which encoder made them.
    NotComparable
        what the file says and what the user says differ.
    """
    if head.recipe is not None:
        grid, appearance = _parts(head.recipe, path)
        stored = head.recipe["encoder"]
        _agree(named, str(stored.get("space")), path)
    else:
        appearance, stored = normalizer("none"), {}
    made, name, options = _encoder(head, named, stored, path)
    warnings = []
    if isinstance(made, Imported):
        if made.missing is not None:
            warnings.append(f"{made.missing}")
        name, options = IMPORTED, made.options
    grid = grid or Grid(patch_px=made.spec.input_px)
    return Prepared(grid, appearance, made, name, options, False), warnings


def require_same(head: Head, named: Named, prepared: Prepared, path: Path) -> None:
    """Raises :class:`NotComparable` where a file's vectors are not of the archive's encoder and normalizer."""
    spec = prepared.encoder.spec
    if head.dim != spec.dim:
        raise NotComparable(
            f"its features have {head.dim} numbers, the archive's {spec.dim}",
            remedy="Import it into another archive",
            path=path,
        )
    said = _said(head, named, spec.name, path)
    if head.recipe is not None:
        _, appearance = _parts(head.recipe, path)
        _alike("normalizer", appearance.space, prepared.appearance.space, path)
    ours = spec.space
    fits = (
        said in (model_sha(ours), spec.name + "/" + model_sha(ours)) or same_space(said, ours) or same_space(ours, said)
    )
    if not fits:
        _alike("encoder", said, ours, path)


def _said(head: Head, named: Named, name: str, path: Path) -> str:
    """The space a file's vectors are in, as far as the file and the user say."""
    if head.recipe is not None:
        space = str(head.recipe["encoder"].get("space"))
        _agree(named, space, path)
        return space
    called = name if named.name is None or chosen(named.name)[1] else named.name
    if named.space is not None:
        _agree_sha(head, named.space, path)
        return named.space
    sha = named.digest.lower() if named.digest is not None else head.model_sha
    if sha is not None:
        _agree_sha(head, f"{called}/{sha}", path)
        return f"{called}/{sha}"
    if named.name is None:
        raise UsageError(
            "nothing says which encoder made its features",
            remedy="Give --encoder-name, for example --encoder-name uni",
            path=path,
        )
    return f"{called}/{UNKNOWN}"


def _encoder(head: Head, named: Named, stored: Mapping[str, Any], path: Path) -> tuple[Encoder, str, dict[str, Any]]:
    """The encoder that is here where it is the file's; else what stands for it."""
    name, options = _called(named, stored)
    if name is None:
        raise UsageError(
            "nothing says which encoder made its features",
            remedy="Give --encoder-name, for example --encoder-name uni",
            path=path,
        )
    built: Encoder | None = None
    try:
        built = None if name == IMPORTED else at_hand(name, options)
    except HistokinError:
        if named.name is not None and "path" in options:
            raise
    said = _said(head, named, built.spec.name if built else str(stored.get("name", name)), path)
    dim = built.spec.dim if built else _known_dim(name)
    if dim not in (None, head.dim):
        raise NotComparable(
            f"its features have {head.dim} numbers, encoder '{name}' makes {dim}",
            remedy="Give the name of the encoder that made them",
            path=path,
        )
    if built is not None and same_space(said, built.spec.space):
        return built, name, options
    if built is not None:
        spec = {**built.spec.to_dict(), "space": said}
    else:
        spec = {"name": name, **{key: stored[key] for key in EncoderFields if key in stored}, "space": said}
    spec |= {"dim": head.dim, "metric": named.metric or spec.get("metric", "euclidean")}
    spec = {key: value for key, value in spec.items() if key not in ("kind", "name")} | {"called": spec["name"]}
    return _stand_in(spec, name, options, path), name, options


EncoderFields = ("name", "metric", "input_px", "mpp", "precision", "licence")


def _stand_in(spec: dict[str, Any], name: str, options: dict[str, Any], path: Path) -> Imported:
    try:
        if spec["metric"] not in ("euclidean", "cosine") or not 1 <= int(spec.get("input_px", 224)) <= 1 << 14:
            raise ValueError
        return Imported(**spec, registered=name, options=options)
    except (TypeError, ValueError):
        raise UnreadableFile("its recipe is damaged", remedy="Export it again from the archive", path=path) from None


def _called(named: Named, stored: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Name in the registry, and options."""
    if named.name is not None:
        name, given = chosen(named.name)
        return name, {key: str(value.absolute()) if isinstance(value, Path) else value for key, value in given.items()}
    registered, options = stored.get("registered"), stored.get("options")
    if registered == IMPORTED and isinstance(options, dict):
        registered, options = options.get("registered"), options.get("options")
    if not isinstance(registered, str):
        return None, {}
    return registered, dict(options) if isinstance(options, dict) else {}


def _known_dim(name: str) -> int | None:
    """Length of the vectors of an encoder that need not be here."""
    known = FOUNDATION.get(name) or BACKBONES.get(name)
    return known.dim if known else None


def _parts(recipe: Mapping[str, Any], path: Path) -> tuple[Grid, Appearance]:
    try:
        return Grid.from_dict(dict(recipe["grid"])), appearance_from_dict(recipe["appearance"])
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise UnreadableFile(
            f"its recipe is damaged ({str(error)[:80]})", remedy="Export it again from the archive", path=path
        ) from None


def _agree(named: Named, space: str, path: Path) -> None:
    """What the user says must not contradict what the file says."""
    if named.space is not None and not (same_space(named.space, space) or same_space(space, named.space)):
        _alike("encoder", space, named.space, path)
    if named.digest is not None and named.digest.lower() != model_sha(space):
        _alike("encoder digest", model_sha(space), named.digest, path)


def _agree_sha(head: Head, space: str, path: Path) -> None:
    if head.model_sha is not None and head.model_sha not in (model_sha(space), space.rpartition("/")[2].lower()):
        _alike("encoder digest", head.model_sha, model_sha(space), path)


def _alike(what: str, its: str, wanted: str, path: Path) -> None:
    if its != wanted:
        raise NotComparable(
            f"its features were made with {what} {its}, not {wanted}",
            remedy="Import it into another archive, or say what made it with --encoder-name and --encoder-space",
            path=path,
        )
