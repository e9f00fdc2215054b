"""Encoders by name."""

import inspect
from typing import Any

from histokin.encoders.base import Encoder
from histokin.errors import UsageError
from histokin.registry import Registry

DEFAULT_ENCODER = "efficientnet-lite0-b14"

ENCODERS = Registry(
    "encoder",
    {
        "color-histogram": "histokin.encoders.color_histogram:ColorHistogram",
        "efficientnet-lite0-b14": "histokin.encoders.shipped:efficientnet_lite0_b14",
        "onnx": "histokin.encoders.onnx:OnnxEncoder",
    },
)


def encoder(name: str = DEFAULT_ENCODER, **options: Any) -> Encoder:
    """The encoder called ``name``.

    Parameters
    ----------
    name : one of ``ENCODERS.names()``.
    options : what that encoder's constructor takes, such as ``threads=2``, or ``path=...`` for ``"onnx"``.

    Raises
    ------
    UnknownName
        when nothing is registered under the name; the choices are named.
    UsageError
        when an option is unknown or a needed one is missing; the choices are named.
    EncoderError
        when weights are missing or damaged.
    """
    factory = ENCODERS.load(name)
    parameters = inspect.signature(factory).parameters
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    choices = ", ".join(sorted(parameters)) or "none"
    if not open_ended and (surplus := sorted(set(options) - set(parameters))):
        raise UsageError(f"encoder '{name}' has no option {', '.join(surplus)}", remedy=f"Options: {choices}")
    needed = [
        key
        for key, p in parameters.items()
        if p.default is inspect.Parameter.empty
        and p.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    ]
    if missing := [key for key in needed if key not in options]:
        raise UsageError(f"encoder '{name}' needs {', '.join(missing)}", remedy=f"Options: {choices}")
    made: Encoder = factory(**options)
    return made
