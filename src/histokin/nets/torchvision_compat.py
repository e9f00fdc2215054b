"""torchvision beside a build of PyTorch that it was not compiled for (extra ``torch``)."""

from types import ModuleType
from typing import Any

from histokin.errors import EncoderError

_kept: list[Any] = []
"""PyTorch forgets operators whose library is collected."""


def torchvision_models() -> ModuleType:
    """``torchvision.models``.

    A torchvision whose compiled part does not fit the installed PyTorch (its CPU build, for instance) fails at import,
    because it registers fake forms of two operators that are then missing. No backbone uses them: they are declared,
    and the import is tried again.

    Raises
    ------
    EncoderError
        with the command to type when torch or torchvision is not installed, or cannot be imported.
    """
    try:
        from torchvision import models
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise _unusable(error) from None
        _declare()
        try:
            from torchvision import models
        except (ImportError, RuntimeError) as error:
            raise _unusable(error) from None
    except ImportError as error:
        raise _unusable(error) from None
    found: ModuleType = models
    return found


def _declare() -> None:
    import sys

    import torch

    for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
        del sys.modules[name]
    if _kept:
        return
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)


def _unusable(error: Exception) -> EncoderError:
    first = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return EncoderError(
        f"torchvision cannot be used here ({first})", remedy="pip install 'histokin[torch]' (torch and torchvision)"
    )
