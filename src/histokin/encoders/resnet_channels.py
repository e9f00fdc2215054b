"""Channels of a ResNet as local features: what each of 2048 detectors sees on an 8 x 8 grid of the image."""

from pathlib import Path
from typing import Any, final

import numpy as np

from histokin.encoders.base import LocalFeatures, Points
from histokin.encoders.gray_planes import planes
from histokin.errors import EncoderError
from histokin.nets import backbones
from histokin.nets.backbones import IMAGENET_MEAN, IMAGENET_STD
from histokin.types import Image

GRID = 8


@final
class ResNetChannels(LocalFeatures):
    """The last map of a ResNet pooled to 8 x 8 cells; the 64 cells of each of its 2048 channels are one descriptor.

    So there are 2048 descriptors whatever the size of the image, and none has a place of its own: ``xy`` is the middle
    of the image. The strength is the sum of the 64 values, which are not negative. Images keep their size; gray ones
    are copied into three channels; all are standardized with ImageNet's mean and deviation.

    Feature of the cross-modality retrieval paper's "ResNet" rows (E. Breznik et al., "Cross-modality sub-image
    retrieval using contrastive multimodal image representations", Scientific Reports 14, 2024), after K. He et al.,
    "Deep residual learning for image recognition", CVPR 2016.

    Parameters
    ----------
    weights : ``"official"`` (ImageNet), ``"random"`` (always the same; the space then says so), or a state
        dictionary; see :func:`histokin.encoders.backbone.backbone`.
    network : ``resnet152``, or ``resnet50`` where time is short.
    device : where it runs, such as ``cpu`` or ``cuda``.

    Raises
    ------
    EncoderError
        when torch, torchvision or the weights are missing, or the weights are of another network.
    UsageError
        when the device cannot be used.
    """

    def __init__(self, weights: str | Path = "official", *, network: str = "resnet152", device: str = "cpu") -> None:
        if network not in ("resnet50", "resnet152"):
            raise EncoderError(f"the network '{network}' has no such channels", remedy="Choose resnet152 or resnet50")
        from histokin.encoders.backbone import load
        from histokin.encoders.torch_encoder import torch_device

        self._device = torch_device(device)
        loaded = load(network, weights)
        self._network = loaded.network.eval().requires_grad_(False).to(self._device)
        self._name, self._weights = f"{network}-channels", str(weights)
        self._space = f"{network}-channels/{loaded.identity}/fp32"
        self._channels = backbones.backbone(network).dim

    @property
    def name(self) -> str:
        return self._name

    @property
    def space(self) -> str:
        return self._space

    @property
    def weights(self) -> str:
        """``official``, ``random``, or the path of a file."""
        return self._weights

    @property
    def dim(self) -> int:
        return GRID * GRID

    @property
    def options(self) -> dict[str, Any]:
        return {"weights": self._weights}

    def describe(self, image: Image) -> Points:
        """2048 points; see :meth:`histokin.encoders.base.LocalFeatures.describe`."""
        import torch

        batch = torch.from_numpy(planes(image, IMAGENET_MEAN, IMAGENET_STD)[None]).to(self._device)
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        try:
            with torch.inference_mode(), exact:
                seen = backbones.last_map(self._network, batch)
                cells = torch.nn.functional.adaptive_avg_pool2d(seen, GRID).reshape(self._channels, -1)
                descriptors = cells.float().cpu().numpy()
        except RuntimeError as error:
            raise EncoderError(
                f"'{self._name}' cannot run ({str(error).splitlines()[0][:120]})",
                remedy="If memory is short, describe smaller images or use another device",
            ) from None
        if not np.isfinite(descriptors).all():
            raise EncoderError(f"'{self._name}' answers with values that are not finite", remedy="Check its weights")
        height, width = image.shape[:2]
        middle = np.array([(width - 1) / 2, (height - 1) / 2], np.float32)
        return Points(
            np.tile(middle, (self._channels, 1)),
            descriptors,
            descriptors.sum(axis=1, dtype=np.float64).astype(np.float32),
        )


def resnet50_channels(weights: str | Path = "official", *, device: str = "cpu") -> ResNetChannels:
    """The channels of a ResNet50, where time is short."""
    return ResNetChannels(weights, network="resnet50", device=device)
