"""Local features by name."""

import inspect
from pathlib import Path
from typing import Any

from histokin.encoders.base import LocalFeatures
from histokin.errors import UsageError
from histokin.registry import Registry

DEFAULT_FEATURES = "surf"

LOCAL = Registry(
    "feature",
    {
        "krawtchouk": "histokin.encoders.krawtchouk:KrawtchoukPoints",
        "resnet152-channels": "histokin.encoders.resnet_channels:ResNetChannels",
        "resnet50-channels": "histokin.encoders.resnet_channels:resnet50_channels",
        "sift": "histokin.encoders.sift:Sift",
        "surf": "histokin.encoders.surf:DenseSurf",
        "surf-oriented": "histokin.encoders.surf:oriented",
    },
)


def local_features(name: str = DEFAULT_FEATURES, **options: Any) -> LocalFeatures:
    """The local features called ``name``.

    Parameters
    ----------
    name : one of ``LOCAL.names()``.
    options : what their constructor takes, such as ``step=16`` for ``"surf"``.

    Raises
    ------
    UnknownName
        when nothing is registered under the name; the choices are named.
    UsageError
        when an option is unknown; the choices are named.
    EncoderError
        when weights are missing or damaged.
    """
    factory = LOCAL.load(name)
    parameters = inspect.signature(factory).parameters
    if surplus := sorted(set(options) - set(parameters)):
        choices = ", ".join(sorted(parameters)) or "none"
        raise UsageError(f"features '{name}' have no option {', '.join(surplus)}", remedy=f"Options: {choices}")
    made: LocalFeatures = factory(**options)
    return made


def chosen_features(text: str) -> LocalFeatures:
    """The local features that a command line's ``NAME`` or ``NAME=WEIGHTS`` stands for.

    Raises
    ------
    UsageError
        when they take no weights; otherwise what :func:`local_features` raises.
    """
    name, given, value = text.partition("=")
    if not given:
        return local_features(name)
    if "weights" not in inspect.signature(LOCAL.load(name)).parameters or not value:
        raise UsageError(f"features '{name}' take no file", remedy=f"Give --features {name}")
    weights = value if value in ("official", "random") else Path(value).expanduser().absolute()
    return local_features(name, weights=weights)
