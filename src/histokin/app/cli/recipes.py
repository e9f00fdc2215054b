"""From command-line options to a recipe, and from a folder to an archive."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from histokin.app.cli.common import parse_weights
from histokin.errors import ArchiveMissing, NotComparable
from histokin.retrieval.archive import Archive
from histokin.retrieval.recipe import DEFAULT_NORMALIZER, Recipe
from histokin.slides.grid import Grid


@final
@dataclass(frozen=True)
class Asked:
    """The recipe that options describe, and which of its parts were asked for explicitly."""

    recipe: Recipe
    given: frozenset[str]


def recipe_from_options(options: dict[str, Any]) -> Asked:
    """Options that were not given (None) take the defaults."""
    grid_names = {"grid_mpp": "mpp", "patch_px": "patch_px", "overlap": "overlap", "min_tissue": "min_tissue"}
    grid = Grid(**{field: options[name] for name, field in grid_names.items() if options.get(name) is not None})
    for_normalizer = {"target": options.get("target"), "weights": parse_weights(options.get("weights") or ())}
    parts: dict[str, Any] = {
        "grid": grid,
        "normalizer": options.get("normalizer") or DEFAULT_NORMALIZER,
        "normalizer_options": {name: value for name, value in for_normalizer.items() if value},
        "crops": not options.get("no_crops"),
    }
    if options.get("encoder"):
        parts |= _encoder(options["encoder"])
    given = frozenset(name for name in (*grid_names, "normalizer", "target", "weights", "encoder") if options.get(name))
    return Asked(Recipe(**parts), given)


def _encoder(given: str) -> dict[str, Any]:
    """A registered name, with or without a file, or the place of a network in ONNX form."""
    from histokin.encoders.registry import chosen

    name, options = chosen(given)
    return {"encoder": name, "encoder_options": options}


def existing(path: Path) -> Archive | None:
    """The archive in a folder, or None where there is none yet."""
    try:
        return Archive.open(path)
    except ArchiveMissing:
        return None


def open_or_create(path: Path, asked: Asked) -> Archive:
    """Open the archive, or make it. An archive made by another recipe than the one asked for is refused."""
    found = existing(path)
    if found is None:
        return Archive.create(path, asked.recipe)
    _refuse_other_recipe(found, asked)
    return found


def _wanted(found: Archive, asked: Asked) -> Recipe:
    """The recipe asked for; the archive's own weights serve where its normalizer is asked for without any."""
    own = found.prepared.to_dict()["appearance"]
    if own["name"] == asked.recipe.normalizer and not asked.given & {"target", "weights"}:
        return replace(asked.recipe, normalizer_options={"target": own["target"], **own["options"]})
    return asked.recipe


def _refuse_other_recipe(found: Archive, asked: Asked) -> None:
    if not asked.given:
        return
    here, wanted = found.prepared.to_dict(), _wanted(found, asked).prepare().to_dict()
    pairs = {
        "grid_mpp": (here["grid"]["mpp"], wanted["grid"]["mpp"]),
        "patch_px": (here["grid"]["patch_px"], wanted["grid"]["patch_px"]),
        "overlap": (here["grid"]["overlap"], wanted["grid"]["overlap"]),
        "min_tissue": (here["grid"]["min_tissue"], wanted["grid"]["min_tissue"]),
        "normalizer": (here["appearance"]["name"], wanted["appearance"]["name"]),
        "target": (here["appearance"]["space"], wanted["appearance"]["space"]),
        "weights": (here["appearance"]["space"], wanted["appearance"]["space"]),
        "encoder": (here["encoder"]["name"], wanted["encoder"]["name"]),
    }
    for name in sorted(asked.given):
        archived, now = pairs[name]
        if archived != now:
            raise NotComparable(
                f"the archive was made with {name.replace('_', '-')} {archived}, {now} was asked for",
                remedy="Leave the option out to use the archive's recipe, or index into another archive",
                path=found.store.path,
            )
