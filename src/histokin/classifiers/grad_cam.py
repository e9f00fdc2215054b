"""Grad-CAM: class activation maps of networks without a global pooling layer. Needs PyTorch when called."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from histokin.errors import EncoderError, UsageError
from histokin.extras import loaded

Network = Any
"""A ``torch.nn.Module``: PyTorch is not imported for the sake of annotations."""


def grad_cam(
    network: Network,
    layer: Network,
    images: Float32[np.ndarray, "n 3 h w"],
    classes: Sequence[int] | None = None,
    *,
    rectify: bool = True,
) -> Float32[np.ndarray, "n gh gw"]:
    """Where a network sees a class: its maps, each weighted with the mean gradient of the class's logit.

    ``a_k`` = mean over positions of d logit_c / d A_k; the map is ``ReLU(sum over k of a_k A_k)`` (R. Selvaraju et
    al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", ICCV 2017). With a global
    mean and one linear layer it is the class activation map divided by the number of positions; where there is such
    a layer, use the exact one.

    Parameters
    ----------
    network : a ``torch.nn.Module`` that answers "n 3 h w" with logits "n c"; used in evaluation mode, left as it was.
    layer : a module within it whose output "n k gh gw" is wanted, usually the last convolution.
    images : as the network takes them, standardized.
    classes : whose map, one for each image; None for the class with the highest score.
    rectify : cut off below 0, as published.

    Raises
    ------
    UsageError
        without PyTorch; when ``layer`` is not part of the network's way from images to logits, or gives no maps; or
        for classes that do not exist.
    EncoderError
        when the network cannot run on these images.
    """
    torch: Any = loaded("Grad-CAM", "torch", extra="torch")
    seen: list[Any] = []

    def keep(_module: Any, _given: Any, answer: Any) -> Any:
        seen.append(answer)
        # A network that rectifies in place would change the maps after they were seen.
        return answer.clone() if hasattr(answer, "clone") else answer

    handle = layer.register_forward_hook(keep)
    training, device = network.training, next((p.device for p in network.parameters()), torch.device("cpu"))
    network.eval()
    try:
        with torch.enable_grad():
            given = torch.from_numpy(np.ascontiguousarray(images)).to(device).requires_grad_(True)
            logits = network(given)
            maps = _maps(seen)
            numbers = _numbers(classes, logits)
            score = logits.gather(1, numbers[:, None]).sum()
            (slopes,) = torch.autograd.grad(score, maps, allow_unused=True)
    except RuntimeError as error:
        first = (str(error).splitlines() or [""])[0][:120]
        raise EncoderError(
            f"the network cannot run on images of shape {images.shape} ({first})", remedy="Give images of its own size"
        ) from None
    finally:
        handle.remove()
        network.train(training)
    if slopes is None:
        raise _no_maps("the logits do not depend on it")
    shares = slopes.mean(dim=(2, 3), keepdim=True)
    made = (shares * maps).sum(dim=1)
    made = made.relu() if rectify else made
    return np.asarray(made.detach().cpu().numpy(), np.float32)


def _maps(seen: list[Any]) -> Any:
    if len(seen) != 1 or getattr(seen[0], "ndim", 0) != 4:
        raise _no_maps(f"it was run {len(seen)} times" if len(seen) != 1 else "its output has no height and width")
    return seen[0]


def _no_maps(why: str) -> UsageError:
    return UsageError(
        f"the chosen layer gives no maps of the image ({why})",
        remedy="Choose a convolution of the network, for example network.features",
    )


def _numbers(classes: Sequence[int] | None, logits: Any) -> Any:
    import torch

    if classes is None:
        return logits.argmax(dim=1)
    count = int(logits.shape[1])
    if len(classes) != len(logits) or not all(0 <= number < count for number in classes):
        raise UsageError(
            f"classes {list(classes)[:8]} for {len(logits)} images and {count} classes",
            remedy=f"Give one number from 0 to {count - 1} for each image",
        )
    return torch.tensor(list(classes), device=logits.device)
