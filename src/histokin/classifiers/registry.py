"""Classifiers by name or by place."""

from pathlib import Path

from histokin.classifiers.base import Classifier
from histokin.errors import UsageError
from histokin.registry import Registry

CLASSIFIERS = Registry("classifier", {"onnx": "histokin.classifiers.onnx:OnnxClassifier"})


def classifier(chosen: str | Path, *, threads: int | None = None) -> Classifier:
    """The classifier of a folder, or ``NAME=FOLDER`` of a registered kind (``onnx`` and those of plug-ins).

    Parameters
    ----------
    chosen : a folder that ``histokin train classifier`` wrote, or one of its two files.
    threads : how many cores to use; None for all that this process may use.

    Raises
    ------
    EncoderError
        when the folder holds no classifier, or a damaged one.
    UnknownName
        when no kind of classifier is called NAME; the choices are named.
    UsageError
        for a name without a folder.
    """
    name, given, place = str(chosen).partition("=")
    if not given or Path(chosen).exists():
        name, place = "onnx", str(chosen)
        if place in CLASSIFIERS.names() and not Path(place).exists():
            raise UsageError(f"the classifier '{place}' needs a folder", remedy=f"Give {place}=FOLDER")
    made: Classifier = CLASSIFIERS.load(name)(Path(place).expanduser(), threads=threads)
    return made
