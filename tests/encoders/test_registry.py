"""Encoders by name and by option."""

import subprocess
import sys

import pytest

from histokin.encoders.registry import ENCODERS, encoder
from histokin.errors import EncoderError, UnknownName, UsageError


def test_names() -> None:
    assert {"color-histogram", "efficientnet-lite0-b14", "onnx"} <= set(ENCODERS.names())


def test_unknown_name_names_the_choices() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'color-histogram'"):
        encoder("colour-histogram")


def test_unknown_option_names_the_choices() -> None:
    with pytest.raises(UsageError, match="has no option thread") as caught:
        encoder("efficientnet-lite0-b14", thread=2)
    assert "threads" in caught.value.remedy
    with pytest.raises(UsageError, match="has no option bins"):
        encoder("color-histogram", bins=4)


def test_missing_option_is_named() -> None:
    with pytest.raises(UsageError, match="needs path"):
        encoder("onnx")


def test_no_cores_is_refused() -> None:
    with pytest.raises(UsageError, match="threads is 0"):
        encoder(threads=0)


def test_a_folder_without_manifest_is_named() -> None:
    with pytest.raises(EncoderError, match="manifest cannot be read"):
        encoder("onnx", path="/nowhere/at/all")


def test_the_core_imports_no_pytorch() -> None:
    code = (
        "import sys, histokin, histokin.app.cli, histokin.retrieval.recipe as r\n"
        "from histokin.encoders.registry import ENCODERS, chosen\n"
        "ENCODERS.load('resnet50'), ENCODERS.load('uni'), chosen('resnet50=random'), r.Recipe().prepare()\n"
        "print([m for m in ('torch', 'torchvision', 'timm', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
