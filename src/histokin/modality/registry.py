"""Representations by name, and from their descriptions."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histokin.errors import UsageError
from histokin.modality.base import Representation
from histokin.registry import Registry
from histokin.types import ImageMap

REPRESENTATIONS = Registry(
    "representation",
    {
        "comir": "histokin.modality.comir:CoMIR",
        "cyclegan": "histokin.modality.cyclegan:CycleGAN",
        "none": "histokin.modality.none:NoRepresentation",
        "pix2pix": "histokin.modality.pix2pix:Pix2Pix",
        "placenet": "histokin.modality.placenet:PlaceNet",
    },
)


def representation(name: str, **options: Any) -> Representation:
    """The representation called ``name``.

    Parameters
    ----------
    name : one of ``REPRESENTATIONS.names()``.
    options : what its constructor takes: ``path`` of the trained folder; ``towards`` (a modality) for ``pix2pix``
        and ``cyclegan``.

    Raises
    ------
    UnknownName
        for a name nobody registered; the choices are named.
    UsageError
        for an option it does not have, or one that it needs; the choices are named.
    UnreadableFile, UnsupportedFormat
        for a folder that holds no trained representation of that kind.
    """
    make = REPRESENTATIONS.load(name)
    parameters = inspect.signature(make).parameters
    choices = ", ".join(parameters) or "none"
    if surplus := sorted(set(options) - set(parameters)):
        raise UsageError(f"representation '{name}' has no option {', '.join(surplus)}", remedy=f"Options: {choices}")
    needed = [key for key, p in parameters.items() if p.default is inspect.Parameter.empty and key not in options]
    if needed:
        raise UsageError(
            f"representation '{name}' needs {', '.join(needed)}",
            remedy=f"Give {name}=FOLDER, where FOLDER comes from `histokin train {name}`",
        )
    made: Representation = make(**options)
    return made


def chosen(text: str) -> tuple[str, dict[str, Any]]:
    """Name and options of ``NAME``, ``NAME=FOLDER`` or ``NAME=FOLDER,towards=MODALITY`` on a command line.

    Raises
    ------
    UnknownName, UsageError
        for a name nobody registered, or one that takes no folder.
    """
    name, given, rest = text.partition("=")
    parameters = inspect.signature(REPRESENTATIONS.load(name)).parameters
    if not given:
        return name, {}
    folder, towards, modality = rest.rpartition(",towards=")
    place = folder if towards else rest
    if "path" not in parameters or not place:
        raise UsageError(f"'{text}' names no trained folder", remedy="Give comir=FOLDER, or none alone")
    options: dict[str, Any] = {"path": Path(place).expanduser().absolute()}
    if towards:
        options["towards"] = modality
    return name, options


def representation_from_dict(stored: Mapping[str, Any]) -> Representation:
    """The representation that :meth:`Representation.to_dict` described. Raises :class:`UsageError`."""
    name, options = stored.get("name"), stored.get("options")
    if not isinstance(name, str) or not isinstance(options, Mapping):
        raise UsageError(
            "the stored representation is damaged", remedy="Give what to_dict() of a representation returned"
        )
    return representation(name, **options)


def map_from_dict(stored: Mapping[str, Any]) -> ImageMap:
    """The map that :meth:`~histokin.types.ImageMap.to_dict` of a representation's map described."""
    inner, modality = stored.get("representation"), stored.get("modality")
    if not isinstance(inner, Mapping) or not isinstance(modality, str):
        raise UsageError("the stored map is damaged", remedy="Give what to_dict() of a representation's map returned")
    return representation_from_dict(inner).map(modality)
