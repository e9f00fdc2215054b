"""EfficientNet-Lite0 in torch, for reading published weights and exporting them. Needs the torch extra.

The network of Tan & Le, "EfficientNet" (ICML 2019) at width and depth 1.0, in its "Lite" form: no
squeeze-and-excitation, ReLU6 in place of swish, stem and head not scaled. Parameter names follow the widespread
torch conversions of the original weights, so that their state dicts load strictly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

STAGES = (
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD, CLASSES = 32, 1280, 1000
BLOCKS = sum(stage[0] for stage in STAGES)
BN_EPS = 1e-3
MEAN, STD = 127.0, 128.0


@final
@dataclass(frozen=True)
class BlockShape:
    """One inverted residual block: channels in and out, kernel side, stride and expansion ratio."""

    inside: int
    outside: int
    kernel: int
    stride: int
    expansion: int

    @property
    def padding(self) -> int:
        """Zeros on each side, at stride 1; at stride 2 it depends on the size (see :func:`same_padding`)."""
        return self.kernel // 2 if self.stride == 1 else 0


def block_shapes() -> list[BlockShape]:
    """The 16 blocks in order."""
    shapes, channels = [], STEM
    for repeats, kernel, stride, expansion, width in STAGES:
        for index in range(repeats):
            shapes.append(BlockShape(channels, width, kernel, stride if index == 0 else 1, expansion))
            channels = width
    return shapes


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one axis so that the output has ``ceil(side / stride)`` values.

    An odd zero goes after, as where the weights were trained; padding both sides alike shifts every later
    feature by half a pixel.
    """
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def build() -> Any:
    """The network with random weights: a ``torch.nn.ModuleDict``, to be run by the functions below."""
    from torch import nn

    def normalization(channels: int) -> Any:
        return nn.BatchNorm2d(channels, eps=BN_EPS)

    def block(shape: BlockShape) -> Any:
        wide = shape.inside * shape.expansion
        parts: dict[str, Any] = {}
        if shape.expansion > 1:
            parts |= {"_expand_conv": nn.Conv2d(shape.inside, wide, 1, bias=False), "_bn0": normalization(wide)}
        return nn.ModuleDict(
            parts
            | {
                "_depthwise_conv": nn.Conv2d(
                    wide, wide, shape.kernel, shape.stride, padding=shape.padding, groups=wide, bias=False
                ),
                "_bn1": normalization(wide),
                "_project_conv": nn.Conv2d(wide, shape.outside, 1, bias=False),
                "_bn2": normalization(shape.outside),
            }
        )

    return nn.ModuleDict(
        {
            "_conv_stem": nn.Conv2d(3, STEM, 3, 2, bias=False),
            "_bn0": normalization(STEM),
            "_blocks": nn.ModuleList(block(shape) for shape in block_shapes()),
            "_conv_head": nn.Conv2d(STAGES[-1][-1], HEAD, 1, bias=False),
            "_bn1": normalization(HEAD),
            "_fc": nn.Linear(HEAD, CLASSES),
        }
    )


def load(state: Mapping[str, Any]) -> Any:
    """The network with ``state`` in it, ready to answer; a missing or surplus parameter raises RuntimeError."""
    network = build()
    network.load_state_dict(dict(state), strict=True)
    return network.eval()


def feature_maps(network: Any, x: Any, blocks: int) -> Any:
    """Maps after the first ``blocks`` blocks (1 to 16) of images "n 3 h w" that are standardized already."""
    from torch.nn.functional import relu6

    x = relu6(network["_bn0"](network["_conv_stem"](_same(x, 3, 2))))
    for part, shape in zip(network["_blocks"][:blocks], block_shapes(), strict=False):
        x = _block(part, shape, x)
    return x


def several_maps(network: Any, x: Any, blocks: tuple[int, ...]) -> list[Any]:
    """Maps after each of these blocks (ascending, from 1 to 16) of images that are standardized already."""
    found: list[Any] = []
    before = 0
    for number in blocks:
        if before == 0:
            x = feature_maps(network, x, number)
        else:
            for part, shape in zip(network["_blocks"][before:number], block_shapes()[before:number], strict=True):
                x = _block(part, shape, x)
        found.append(x)
        before = number
    return found


def joined(network: Any, pixels: Any, blocks: tuple[int, ...]) -> Any:
    """Mean features of several blocks, each scaled to unit length, side by side, preprocessing included.

    ``pixels`` as :func:`pooled` takes them, ``blocks`` ascending, from 1 to 16; gives "n d", d being the sum of the
    blocks' channels.
    """
    import torch

    maps = several_maps(network, (pixels.float() - MEAN) / STD, blocks)
    means = [found.mean((2, 3)) for found in maps]
    return torch.cat([_direction(mean, 1e-6) for mean in means], 1)


def projected(network: Any, projection: Any, pixels: Any, blocks: tuple[int, ...]) -> Any:
    """Direction of ``projection``, a linear layer, of the joined means: "n d", unit length (zeros stay zeros)."""
    return _direction(projection(joined(network, pixels, blocks)))


def scores(network: Any, x: Any) -> Any:
    """ImageNet scores "n 1000", before the softmax, of standardized images "n 3 h w"."""
    from torch.nn.functional import relu6

    head = relu6(network["_bn1"](network["_conv_head"](feature_maps(network, x, BLOCKS))))
    return network["_fc"](head.mean((2, 3)))


def pooled(network: Any, pixels: Any, blocks: int) -> Any:
    """Direction of the mean feature of one block, preprocessing included: what is exported.

    Takes "n 3 h w" RGB, uint8 or float, from 0 to 255; gives "n d": the mean of the map after ``blocks`` blocks,
    scaled to unit length (zeros stay zeros), so that Euclidean distances rank as cosines do.
    """
    return _direction(feature_maps(network, (pixels.float() - MEAN) / STD, blocks).mean((2, 3)))


def _block(part: Any, shape: BlockShape, x: Any) -> Any:
    from torch.nn.functional import relu6

    y = relu6(part["_bn0"](part["_expand_conv"](x))) if shape.expansion > 1 else x
    y = y if shape.stride == 1 else _same(y, shape.kernel, shape.stride)
    y = relu6(part["_bn1"](part["_depthwise_conv"](y)))
    y = part["_bn2"](part["_project_conv"](y))
    return y + x if shape.stride == 1 and shape.inside == shape.outside else y


def _direction(rows: Any, least: float = 1e-12) -> Any:
    """Rows at unit length; one shorter than ``least`` is divided by that."""
    return rows / rows.norm(dim=1, keepdim=True).clamp_min(least)


def _same(x: Any, kernel: int, stride: int) -> Any:
    from torch.nn.functional import pad

    top, bottom = same_padding(int(x.shape[-2]), kernel, stride)
    left, right = same_padding(int(x.shape[-1]), kernel, stride)
    return pad(x, (left, right, top, bottom)) if top + bottom + left + right else x
