"""Normalizers by name, and maps from their descriptions."""

import inspect
from collections.abc import Mapping
from typing import Any

from histokin.errors import UsageError
from histokin.registry import Registry
from histokin.stain.base import Appearance
from histokin.types import Chain, ImageMap

NORMALIZERS = Registry(
    "normalizer",
    {
        "none": "histokin.stain.none:NoNormalizer",
        "reinhard": "histokin.stain.reinhard:Reinhard",
        "ruifrok": "histokin.stain.ruifrok:Ruifrok",
        "macenko": "histokin.stain.macenko:Macenko",
        "vahadane": "histokin.stain.vahadane:Vahadane",
        "bksvd": "histokin.stain.bksvd:BKSVD",
        "khan": "histokin.stain.khan:Khan",
        "histogram": "histokin.stain.histogram:HistogramMatching",
        "stain-gan": "histokin.stain.stain_gan:StainGAN",
        "stainnet": "histokin.stain.stainnet:StainNet",
    },
)

MAPS = Registry(
    "map",
    {
        "unchanged": "histokin.stain.unchanged:Unchanged",
        "two-stain": "histokin.stain.two_stain:TwoStainMap",
        "reinhard": "histokin.stain.reinhard:ReinhardMap",
        "khan": "histokin.stain.khan:KhanMap",
        "histogram": "histokin.stain.histogram:HistogramMap",
        "stain-gan": "histokin.stain.stain_gan:StainGANMap",
        "stainnet": "histokin.stain.stainnet:StainNetMap",
    },
)
"""Classes whose ``from_dict`` reads what :meth:`ImageMap.to_dict` wrote, by its ``method``."""


def normalizer(name: str, target: Any = None, **options: Any) -> Appearance:
    """The normalizer called ``name``.

    ``target`` is an RGB array, the path of an image, a dictionary (``to_dict()["target"]``), or None for the
    method's built-in target.

    Raises
    ------
    UnknownName
        for a name nobody registered.
    UsageError
        for an option the method does not have (the message names those it has), or a value it cannot take.
    UnreadableFile
        when the target is a path that does not open as an image.
    """
    make = NORMALIZERS.load(name)
    parameters = inspect.signature(make).parameters
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    unknown = [] if open_ended else sorted(set(options) - set(parameters))
    if unknown:
        choices = ", ".join(key for key in parameters if key != "target") or "none"
        raise UsageError(f"{name} has no option '{unknown[0]}'", remedy=f"Its options: {choices}")
    made: Appearance = make(target=target, **options)
    return made


def appearance_from_dict(stored: Mapping[str, Any]) -> Appearance:
    """The appearance that :meth:`Appearance.to_dict` described; other keys are left aside."""
    missing = [key for key in ("name", "options", "target") if key not in stored]
    if missing:
        raise UsageError(
            f"the stored normalizer has no '{missing[0]}'", remedy="Give what to_dict() of a normalizer returned"
        )
    return normalizer(stored["name"], stored["target"], **stored["options"])


def map_from_dict(stored: Mapping[str, Any]) -> ImageMap:
    """The map that :meth:`ImageMap.to_dict` described: the same bytes out. Raises :class:`UsageError`."""
    if stored.get("method") == "chain":
        return Chain(tuple(map_from_dict(step) for step in stored["maps"]))
    method = stored.get("method")
    if not isinstance(method, str):
        raise UsageError("the stored map has no 'method'", remedy="Give what to_dict() of a fitted map returned")
    kind: Any = MAPS.load(method)
    try:
        made: ImageMap = kind.from_dict(stored)
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"the stored {method} map is not complete", remedy="Give what to_dict() of a fitted map returned"
        ) from error
    return made
