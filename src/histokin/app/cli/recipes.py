"""From command-line options to a recipe, and from a folder to an archive."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from histokin.app.cli.common import parse_weights
from histokin.errors import ArchiveMissing, NotComparable, UsageError
from histokin.retrieval.archive import Archive
from histokin.retrieval.learning import FITTABLE, needs_learning
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
        parts |= _encoder(options["encoder"], options)
    elif options.get("words") or options.get("features"):
        raise UsageError("--words and --features are of a vocabulary", remedy="Add --encoder bag-of-words")
    if options.get("modality"):
        parts["modality"] = options["modality"]
    if options.get("representation"):
        parts |= _representation(options["representation"])
    names = (*grid_names, "normalizer", "target", "weights", "encoder", "words", "modality", "representation")
    return Asked(Recipe(**parts), frozenset(name for name in names if options.get(name)))


def _encoder(given: str, options: dict[str, Any]) -> dict[str, Any]:
    """A registered name, with or without a file, or the place of a network in ONNX form; with how it is to learn."""
    from histokin.encoders.registry import chosen

    name, own = chosen(given)
    learning = {option: options[option] for option in ("words", "features") if options.get(option)}
    if learning and (name not in FITTABLE.names() or "path" in own):
        raise UsageError(
            f"--{next(iter(learning))} is for an encoder that learns from the images, {given} does not",
            remedy="Give --encoder bag-of-words without a folder",
        )
    return {"encoder": name, "encoder_options": {**own, **learning}}


def _representation(given: str) -> dict[str, Any]:
    from histokin.modality.registry import chosen

    name, options = chosen(given)
    return {"representation": name, "representation_options": options}


def existing(path: Path) -> Archive | None:
    """The archive in a folder, or None where there is none yet."""
    try:
        return Archive.open(path)
    except ArchiveMissing:
        return None


def open_or_create(path: Path, asked: Asked, **learning: Any) -> Archive:
    """Open the archive, or make it. An archive made by another recipe than the one asked for is refused.

    ``learning`` is what :meth:`Archive.create` needs for an encoder that learns: ``learn_from`` and so on.
    """
    found = existing(path)
    if found is None:
        if not needs_learning(asked.recipe):
            return Archive.create(path, asked.recipe)
        from histokin.app.cli.progress import watch

        with watch("images") as progress:
            return Archive.create(path, asked.recipe, **learning, progress=progress)
    _refuse_other_recipe(found, asked)
    return found


def _wanted(found: Archive, asked: Asked) -> Recipe:
    """The recipe asked for; the archive's own weights and words serve where its parts are asked for without any."""
    recipe = asked.recipe
    if needs_learning(recipe) and recipe.encoder == found.prepared.encoder_name:
        recipe = replace(recipe, encoder_options=found.prepared.encoder_options)
    own = found.prepared.to_dict()["appearance"]
    if own["name"] == recipe.normalizer and not asked.given & {"target", "weights"}:
        return replace(recipe, normalizer_options={"target": own["target"], **own["options"]})
    return recipe


def _refuse_other_recipe(found: Archive, asked: Asked) -> None:
    if not asked.given:
        return
    if needs_learning(asked.recipe) and asked.recipe.encoder != found.prepared.encoder_name:
        raise _other("encoder", found.prepared.encoder_name, asked.recipe.encoder, found)
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
        "words": (here["encoder"]["dim"], asked.recipe.encoder_options.get("words", here["encoder"]["dim"])),
        "modality": (found.prepared.modality, asked.recipe.modality),
        "representation": (_space(here), _space(wanted)),
    }
    for name in sorted(asked.given):
        archived, now = pairs[name]
        if archived != now:
            raise _other(name.replace("_", "-"), archived, now, found)


def _space(stored: dict[str, Any]) -> str | None:
    return stored["representation"]["space"] if "representation" in stored else None


def _other(what: str, archived: object, now: object, found: Archive) -> NotComparable:
    return NotComparable(
        f"the archive was made with {what} {archived}, {now} was asked for",
        remedy="Leave the option out to use the archive's recipe, or index into another archive",
        path=found.store.path,
    )
