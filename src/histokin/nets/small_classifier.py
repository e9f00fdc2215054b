"""The small classifier: maps of three depths of EfficientNet-Lite0 and one linear layer. PyTorch."""

from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from histokin.errors import EncoderError
from histokin.nets import efficientnet_lite as lite

TAPS = (8, 11, 14)
"""Blocks whose maps are used: texture, cells, and how cells lie together."""

BLOCKS = TAPS[-1]
WIDTH = sum(lite.block_shapes()[block - 1].outside for block in TAPS)
DROPPED = 0.2
MEAN, STD = lite.MEAN / 255, lite.STD / 255


@final
class SmallClassifier(nn.Module):  # type: ignore[misc]
    """Maps after blocks 8, 11 and 14 of EfficientNet-Lite0 (M. Tan and Q. Le, ICML 2019), their mean, one linear layer.

    "n 3 h w" standardized with :data:`MEAN` and :data:`STD` to logits "n classes". The 384 maps are brought to one
    grid (a cell for 16 pixels) and normalized, each by itself. The mean and the linear layer make class activation
    maps exact. Once weights of another training were read (:meth:`fill`) the trunk is not trained any more, which takes
    half the time.
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        whole = lite.build()
        self.trunk = nn.ModuleDict(
            {
                "_conv_stem": whole["_conv_stem"],
                "_bn0": whole["_bn0"],
                "_blocks": nn.ModuleList(list(whole["_blocks"])[:BLOCKS]),
            }
        )
        self.normalize = nn.BatchNorm2d(WIDTH)
        self.dropout = nn.Dropout(DROPPED)
        self.fc = nn.Linear(WIDTH, num_classes)
        self.frozen = False

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """The last maps, "n 384 h/16 w/16"."""
        found = lite.several_maps(self.trunk, images, TAPS)
        height, width = found[0].shape[2:]
        grown = nn.functional.interpolate(found[-1], scale_factor=2.0, mode="nearest")[:, :, :height, :width]
        normalized: torch.Tensor = self.normalize(torch.cat([*found[:-1], grown], dim=1))
        return normalized

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(self.maps(images).mean(dim=(2, 3)))
        return logits

    def train(self, mode: bool = True) -> "SmallClassifier":
        """As every module's, but a trunk that is not trained stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        return self

    def fill(self, path: Path) -> None:
        """Take the trunk's weights from an ONNX file of it, whose batch normalization is part of the convolutions.

        Raises :class:`EncoderError` when the file is damaged or of another network.
        """
        pairs = _convolutions(path)
        layers = self._layers()
        shapes = [tuple(conv.weight.shape) for conv, _ in layers]
        if len(pairs) < len(layers) or [pair[0].shape for pair in pairs[: len(layers)]] != shapes:
            raise EncoderError(
                "the weights belong to another network than the small classifier",
                path=path,
                remedy="Give the ONNX file of an encoder on EfficientNet-Lite0, or leave --start out",
            )
        with torch.no_grad():
            for (conv, normalization), (weight, bias) in zip(layers, pairs, strict=False):
                conv.weight.copy_(torch.from_numpy(weight))
                # (x - 0) / sqrt((1 - eps) + eps) * 1 + bias: the normalization adds the bias and nothing else.
                normalization.running_mean.zero_()
                normalization.running_var.fill_(1 - normalization.eps)
                normalization.weight.fill_(1.0)
                normalization.bias.copy_(torch.from_numpy(bias))
        self.trunk.requires_grad_(False)
        self.frozen = True
        self.train(self.training)

    def _layers(self) -> list[tuple[Any, Any]]:
        """Convolutions and their normalizations in the order of the way through the network."""
        found = [(self.trunk["_conv_stem"], self.trunk["_bn0"])]
        for block in self.trunk["_blocks"]:
            names = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
            found += [(block[conv], block[bn]) for conv, bn in names if conv in block]
        return found


def _convolutions(path: Path) -> list[tuple[Any, Any]]:
    """Weights and biases of an ONNX file's convolutions, in order, as float32 arrays."""
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(path)).graph
        stored = {one.name: one for one in graph.initializer}
        nodes = [node for node in graph.node if node.op_type == "Conv" and len(node.input) == 3]
        pairs = [tuple(numpy_helper.to_array(stored[name]).copy() for name in node.input[1:3]) for node in nodes]
    except Exception as error:  # protobuf and onnx raise a dozen kinds for files that are not theirs
        raise EncoderError(
            f"the weights cannot be read ({type(error).__name__})", path=path, remedy="Give an ONNX file, or none"
        ) from None
    return [(weight, bias) for weight, bias in pairs]
