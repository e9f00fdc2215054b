"""Encoders by name."""

import inspect
from pathlib import Path
from typing import Any

from histokin.encoders.base import Encoder
from histokin.encoders.foundation_models import FOUNDATION
from histokin.errors import UsageError
from histokin.nets.backbones import BACKBONES
from histokin.registry import Registry

DEFAULT_ENCODER = "efficientnet-lite0-b14"

ENCODERS = Registry(
    "encoder",
    {
        "bag-of-words": "histokin.encoders.bag_of_words:bag_of_words",
        "cbhir": "histokin.encoders.autoencoder:cbhir",
        "cbmir": "histokin.encoders.autoencoder:cbmir",
        "classifier": "histokin.encoders.classifier:ClassifierFeatures",
        "color-histogram": "histokin.encoders.color_histogram:ColorHistogram",
        "efficientnet-lite0-b14": "histokin.encoders.shipped:efficientnet_lite0_b14",
        "efficientnet-lite0-tissue": "histokin.encoders.shipped:efficientnet_lite0_tissue",
        "imtdf": "histokin.encoders.imtdf:imtdf",
        "imported": "histokin.encoders.imported:Imported",
        "onnx": "histokin.encoders.onnx:OnnxEncoder",
        "tc-net": "histokin.encoders.tc_net:TcNetEncoder",
        **{name: f"histokin.encoders.backbone:{name}" for name in BACKBONES},
        **{name: f"histokin.encoders.foundation:{name}" for name in FOUNDATION},
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


def chosen(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the options that a command line's ``NAME``, ``NAME=FILE`` or ``FOLDER`` stands for.

    What follows ``=`` is the option ``weights`` of encoders that have one (also ``official`` and ``random``), ``path``
    of the others. A text that is no registered name and looks like a place is a network in ONNX form.

    Raises
    ------
    UsageError
        when the encoder takes no file.
    """
    name, given, value = text.partition("=")
    names = ENCODERS.names()
    if given and name in names:
        parameters = inspect.signature(ENCODERS.load(name)).parameters
        option = next((option for option in ("weights", "path") if option in parameters), None)
        if option is None or not value:
            raise UsageError(f"encoder '{name}' takes no file", remedy=f"Give --encoder {name}")
        word = option == "weights" and value in ("official", "random")
        return name, {option: value if word else Path(value).expanduser().absolute()}
    if text not in names and ("/" in text or Path(text).exists()):
        return "onnx", {"path": Path(text)}
    return text, {}
