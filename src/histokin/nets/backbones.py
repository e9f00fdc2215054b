"""Networks by name, and three views of each: last convolution map, embedding, logits.

The architectures are torchvision's (A. Krizhevsky 2014, one tower; Simonyan and Zisserman 2014; He et al. 2015; Huang
et al. 2016; Szegedy et al. 2015) and our DCNN. PyTorch is imported when a network is built, not before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, final

from histokin.errors import UnknownName, UsageError

Network = Any
"""A ``torch.nn.Module``; tensors are Any too: PyTorch is not imported for the sake of annotations."""

OFFICIAL = "https://download.pytorch.org/models/"

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@final
@dataclass(frozen=True)
class Backbone:
    """What is known of a network without building it.

    ``dim`` is the length of its embedding, ``parameters`` their number with 1000 classes, ``input_px`` the side of the
    square input, standardized with ``mean`` and ``std`` (RGB in 0 to 1). ``file`` is the name of the official ImageNet
    weights, of ``megabytes``; empty where there are none.
    """

    name: str
    dim: int
    parameters: int
    file: str = ""
    megabytes: float = 0.0
    input_px: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @property
    def url(self) -> str:
        """Where the official weights are published."""
        return OFFICIAL + self.file if self.file else ""


_ALL = (
    Backbone("alexnet", 4096, 61_100_840, "alexnet-owt-7be5be79.pth", 233.1),
    Backbone("vgg16", 4096, 138_357_544, "vgg16-397923af.pth", 527.8),
    Backbone("vgg19", 4096, 143_667_240, "vgg19-dcbb9e9d.pth", 548.1),
    Backbone("resnet50", 2048, 25_557_032, "resnet50-0676ba61.pth", 97.8),
    Backbone("resnet152", 2048, 60_192_808, "resnet152-394f9c45.pth", 230.4),
    Backbone("densenet121", 1024, 7_978_856, "densenet121-a639ec97.pth", 30.8),
    Backbone("densenet169", 1664, 14_149_480, "densenet169-b2777c0a.pth", 54.7),
    # torchvision standardizes with ImageNet's values and rescales within the network; 0.5 gives the same numbers.
    Backbone(
        "inception_v3",
        2048,
        23_834_568,
        "inception_v3_google-0cc3c7bd.pth",
        103.9,
        input_px=299,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
    Backbone("dcnn", 256, 646_376, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
)

BACKBONES: Mapping[str, Backbone] = MappingProxyType({backbone.name: backbone for backbone in _ALL})

_ENDS_OF_BODY = ("avgpool", "classifier", "fc")
_BESIDE = ("AuxLogits",)


def backbone(name: str) -> Backbone:
    """The entry called ``name``. Raises :class:`UnknownName` with the choices."""
    if name not in BACKBONES:
        raise UnknownName(f"no backbone is called '{name}'", remedy=f"Choose one of: {', '.join(sorted(BACKBONES))}")
    return BACKBONES[name]


def build(name: str, classes: int = 1000, *, seed: int | None = None, aux: bool = False) -> Network:
    """The network with random weights (PyTorch's usual start), for ``classes`` classes, in evaluation mode.

    Parameters
    ----------
    seed : draw the weights from it, leaving PyTorch's own generator alone; None for that generator.
    aux : with InceptionV3's auxiliary classifier, which only its training uses (27,161,264 parameters).

    Raises
    ------
    UnknownName
        when there is no such network.
    UsageError
        for fewer than two classes, or ``aux`` where there is none.
    EncoderError
        when torch or torchvision is not installed.
    """
    backbone(name)
    if classes < 2:
        raise UsageError(f"a classifier for {classes} classes", remedy="Give at least 2")
    if aux and name != "inception_v3":
        raise UsageError(f"'{name}' has no auxiliary classifier", remedy="Only inception_v3 has one")
    made = _maker(name, aux)
    if seed is None:
        network = made(num_classes=classes)
    else:
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = made(num_classes=classes)
    return network.eval()


def _maker(name: str, aux: bool) -> Callable[..., Any]:
    from histokin.nets.torchvision_compat import torchvision_models

    if name == "dcnn":
        torchvision_models()  # says what to install where torch is missing
        made: Callable[..., Any] = import_module("histokin.nets.dcnn").Dcnn
        return made
    found = getattr(torchvision_models(), name)
    if name == "inception_v3":
        return lambda **options: found(
            weights=None, aux_logits=aux, transform_input=False, init_weights=False, **options
        )
    return lambda **options: found(weights=None, **options)


def last_map(network: Network, images: Any) -> Any:
    """The last convolution map, "n c h w", as it is pooled: of class activation maps and of dense features."""
    for name, part in network.named_children():
        if name in _ENDS_OF_BODY:
            break
        if name not in _BESIDE:
            images = part(images)
    # DenseNet rectifies its last map outside its layers; the others' maps hold nothing below zero.
    return images.relu()


def embedding(network: Network, images: Any) -> Any:
    """What the last linear layer sees, "n d": the pooled map, or the last hidden layer of AlexNet and VGG."""
    import torch

    seen = last_map(network, images)
    pool = getattr(network, "avgpool", torch.nn.AdaptiveAvgPool2d(1))
    seen = pool(seen).flatten(1)
    hidden = getattr(network, "classifier", None)
    if isinstance(hidden, torch.nn.Sequential):
        seen = hidden[:-1](seen)
    return seen


def logits(network: Network, images: Any) -> Any:
    """One score for each class, "n classes", before the softmax."""
    return head(network)(embedding(network, images))


def head(network: Network) -> Network:
    """The last linear layer, one row of weights for each class."""
    import torch

    last = network.fc if hasattr(network, "fc") else network.classifier
    return last[-1] if isinstance(last, torch.nn.Sequential) else last


def head_name(network: Network) -> str:
    """Where :func:`head` lies in the state dictionary, such as ``fc`` or ``classifier.6``."""
    wanted = head(network)
    found: str = next(name for name, part in network.named_modules() if part is wanted)
    return found
